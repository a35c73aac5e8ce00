//! `declare_handler!(Point => "name", …)`

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Token, Type};

use super::async_handler::AsyncOptions;
use super::options;
use crate::errors::Errors;
use crate::slot::here;

pub(crate) struct Declaration {
    pub(crate) point: Option<Type>,
    pub(crate) name: Option<LitStr>,
    pub(crate) options: AsyncOptions,
}

const FORM: &str = "write `declare_handler!(MyPoint => \"handler_name\", queue = \"documents\")`";

impl Declaration {
    pub(crate) fn parse(input: TokenStream, errors: &mut Errors) -> Self {
        let mut all = Self { point: None, name: None, options: AsyncOptions::default() };
        let read = (|input: ParseStream<'_>| {
            let before = errors.count();
            if let Err(mistake) = all.read_head(input) {
                input.parse::<TokenStream>()?;
                return Err(mistake);
            }
            options::end_of_option(input, errors, before);
            all.options.read_all(input, errors);
            Ok(())
        })
        .parse2(input);
        errors.take(read);
        all
    }

    fn read_head(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let wrong = |what: &str| syn::Error::new(here(input), format!("expected {what}; {FORM}"));
        self.point = Some(input.parse().map_err(|_| wrong("the point's type"))?);
        input.parse::<Token![=>]>().map_err(|_| wrong("`=>`"))?;
        self.name = Some(input.parse().map_err(|_| wrong("the handler's name as a string"))?);
        Ok(())
    }
}
