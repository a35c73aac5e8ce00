//! `#[derive(ExtensionPoint)]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{GenericArgument, PathArguments, Type};

use super::{deprecation, location, option};
use crate::check::point::{Output, Point};

pub(crate) fn expand(point: &Point) -> TokenStream {
    let import = point.root.import();
    let lints = &point.allowed_lints;
    let deprecated = point.deprecated.is_some().then(|| quote! { #[allow(deprecated)] });
    let (info, implementation) = (info(point), implementation(point));
    // A generic point is a mistake, and nothing of it can be registered.
    let concrete = point.generics.params.is_empty();
    let linked = concrete.then(|| linked(point));
    let queued = (point.queued && concrete).then(|| queued(point));
    quote! {
        #(#[allow(#lints)])*
        #deprecated
        const _: () = {
            #import
            #info
            #implementation
            #linked
            #queued
        };
    }
}

fn linked(point: &Point) -> TokenStream {
    let ident = &point.ident;
    quote! {
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            __ext_registrar.point::<#ident>();
        }
        __ext::inventory::submit! {
            __ext::LinkedPoint { info: &__EXT_INFO, register: __ext_register }
        }
    }
}

fn info(point: &Point) -> TokenStream {
    let Point { name, queued, version, fields, unique_by, .. } = point;
    let type_name = syn::ext::IdentExt::unraw(&point.ident).to_string();
    let interruptible = matches!(point.output, Output::Verdict);
    let upcast = option(point.upcast.as_ref());
    let deprecated = deprecation(point.deprecated.as_ref());
    let location = location();
    quote! {
        static __EXT_SLOT: __ext::PointSlot = __ext::PointSlot::new();
        static __EXT_INFO: __ext::PointInfo = __ext::PointInfo {
            name: #name,
            type_name: #type_name,
            module_path: __ext::module_path!(),
            location: #location,
            queued: #queued,
            interruptible: #interruptible,
            version: #version,
            fields: &[#(#fields),*],
            unique_by: &[#(#unique_by),*],
            upcast: #upcast,
            deprecated: #deprecated,
        };
    }
}

fn implementation(point: &Point) -> TokenStream {
    let Point { ident, output, .. } = point;
    let (impl_generics, ty_generics, where_clause) = point.generics.split_for_impl();
    let bounds = (!point.generics.params.is_empty())
        .then(|| quote! { where Self: __ext::Send + __ext::Sync + 'static });
    let where_clause = where_clause.map_or(bounds, |clause| Some(quote! { #clause }));
    let veto = matches!(output, Output::Verdict).then(|| {
        quote! {
            #[inline]
            fn __veto(output: &Self::Output) -> __ext::Option<&__ext::Veto> {
                __ext::Verdict::as_veto(output)
            }
        }
    });
    let concrete = point.generics.params.is_empty();
    let optional = concrete.then(optional);
    let guarded = matches!(output, Output::Verdict).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics __ext::Interruptible for #ident #ty_generics #where_clause {}
        }
    });
    let collected = match output {
        Output::Type(output) if concrete => Some(collected(ident, output)),
        _ => None,
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics __ext::ExtensionPoint for #ident #ty_generics #where_clause {
            type Output = #output;
            #[inline]
            fn info() -> &'static __ext::PointInfo {
                &__EXT_INFO
            }
            #[inline]
            fn __slot() -> &'static __ext::PointSlot {
                &__EXT_SLOT
            }
            #veto
            #optional
        }
        #guarded
        #collected
    }
}

/// For points with an output: what strategies are given. They skip `None`, hence the look at how the type is written.
fn collected(ident: &syn::Ident, output: &Type) -> TokenStream {
    let (value, given, peeked) = match in_option(output) {
        Some(inner) => (inner, quote! { output }, quote! { __ext::Option::as_ref(output) }),
        None => (output, quote! { __ext::Some(output) }, quote! { __ext::Some(output) }),
    };
    quote! {
        #[automatically_derived]
        impl __ext::WithOutput for #ident {
            type Value = #value;
            fn __value(output: Self::Output) -> __ext::Option<Self::Value> {
                #given
            }
            fn __peek(output: &Self::Output) -> __ext::Option<&Self::Value> {
                #peeked
            }
        }
    }
}

/// The `T` of `Option<T>`.
fn in_option(output: &Type) -> Option<&Type> {
    let path = match output {
        Type::Group(group) => return in_option(&group.elem),
        Type::Paren(paren) => return in_option(&paren.elem),
        Type::Path(path) => &path.path,
        _ => return None,
    };
    let last = path.segments.last().filter(|segment| segment.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) if arguments.args.len() == 1 => Some(inner),
        _ => None,
    }
}

/// What not every point can do. Only where its type is known can `Optionally` tell, hence here.
fn optional() -> TokenStream {
    quote! {
        fn __view(&self) -> __ext::Option<__ext::Result<__ext::serde_json::Value, __ext::serde_json::Error>> {
            __ext::Optionally(self).__ext_view()
        }
        fn __copy(&self) -> __ext::Option<Self> {
            __ext::Optionally(self).__ext_copy()
        }
    }
}

/// `QueuedType` comes first: what is missing for it is told in better words than what is missing for `typetag`. That one writes
/// paths that begin with `typetag::`, hence the import.
fn queued(point: &Point) -> TokenStream {
    let Point { root, ident, name, .. } = point;
    quote! {
        #[automatically_derived]
        impl __ext::QueuedType for #ident {}
        use #root::__private::typetag;
        #[typetag::serde(name = #name)]
        #[automatically_derived]
        impl __ext::QueuedPoint for #ident {
            fn point_info(&self) -> &'static __ext::PointInfo {
                &__EXT_INFO
            }
            fn __fire_boxed(self: __ext::Box<Self>, __ext_extensions: &__ext::Extensions) -> __ext::DynFire<'_> {
                __ext::fire_boxed(*self, __ext_extensions)
            }
            fn __plan_boxed(&self, __ext_extensions: &__ext::Extensions) -> __ext::Plan {
                __ext::plan_boxed(self, __ext_extensions)
            }
        }
    }
}
