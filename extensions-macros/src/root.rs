//! The path under which the user's crate knows `extensions`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Ident, Path, Token};

/// `::extensions`, or what `crate = "…"` says.
#[derive(Clone)]
pub(crate) struct Root(Path);

impl Root {
    /// A bare name is a dependency of the user's crate and gets its leading `::`, so that no local module of
    /// that name gets in the way.
    pub(crate) fn new(mut path: Path) -> Self {
        let relative = path
            .segments
            .first()
            .is_some_and(|first| ["crate", "self", "super", "$crate"].iter().any(|word| first.ident == word));
        if path.leading_colon.is_none() && !relative {
            path.leading_colon = Some(Token![::](Span::call_site()));
        }
        Self(path)
    }

    /// The imports with which each expansion begins.
    pub(crate) fn import(&self) -> TokenStream {
        quote! { use #self::__private as __ext; }
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new(Path::from(Ident::new("extensions", Span::call_site())))
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> String {
        Root::new(syn::parse_str(text).expect("a path")).to_token_stream().to_string().replace(' ', "")
    }

    #[test]
    fn a_dependency_becomes_absolute() {
        assert_eq!(root("ext"), "::ext");
        assert_eq!(root("facade::extensions"), "::facade::extensions");
    }

    #[test]
    fn other_paths_stay() {
        assert_eq!(root("::ext"), "::ext");
        assert_eq!(root("crate"), "crate");
        assert_eq!(root("super::ext"), "super::ext");
    }
}
