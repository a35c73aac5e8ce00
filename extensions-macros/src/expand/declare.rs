//! `declare_handler!`

use proc_macro2::TokenStream;
use quote::quote;

use super::{decl, options, wrap};
use crate::check::declare::Declaration;
use crate::check::handler::Rules;

pub(crate) fn expand(declaration: &Declaration) -> TokenStream {
    let point = &declaration.point;
    let decl = decl(&declaration.decl, &Rules::default());
    let options = options::expression(&declaration.options, None);
    let content = quote! {
        #decl
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            __ext_registrar.declare::<#point>(&__EXT_DECL, #options);
        }
        __ext::inventory::submit! {
            __ext::LinkedDeclaration { decl: &__EXT_DECL, register: __ext_register }
        }
    };
    wrap(&declaration.shared, &content)
}
