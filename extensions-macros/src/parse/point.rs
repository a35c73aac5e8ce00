//! `#[extension_point(…)]`

use syn::{Attribute, Ident, Meta};

use super::options;
use crate::errors::Errors;
use crate::keys;
use crate::root::Root;
use crate::slot::Slot;
use crate::suggest;
use crate::value::{FieldNames, OutputType, Switch, Text, ValuePath, Version};

pub(crate) const ATTRIBUTE: &str = "extension_point";

/// All `#[extension_point(…)]` of a type.
#[derive(Default)]
pub(crate) struct PointOptions {
    pub(crate) queued: Slot<Switch>,
    pub(crate) interruptible: Slot<Switch>,
    pub(crate) output: Slot<OutputType>,
    pub(crate) name: Slot<Text>,
    pub(crate) version: Slot<Version>,
    pub(crate) upcast: Slot<ValuePath>,
    pub(crate) unique_by: Slot<FieldNames>,
    pub(crate) root: Slot<Root>,
}

impl PointOptions {
    pub(crate) fn parse(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut all = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident(ATTRIBUTE)) {
            all.read_attribute(attr, errors);
        }
        all
    }

    fn read_attribute(&mut self, attr: &Attribute, errors: &mut Errors) {
        let Meta::List(list) = &attr.meta else {
            errors.on(attr, "expected options in parentheses, such as `#[extension_point(queued)]`");
            return;
        };
        let read = list.parse_args_with(|input: syn::parse::ParseStream<'_>| {
            options::each(input, errors, |key, input, errors| self.read(key, input, errors));
            Ok(())
        });
        errors.take(read);
    }

    fn read(&mut self, key: &Ident, input: syn::parse::ParseStream<'_>, errors: &mut Errors) {
        match key.to_string().as_str() {
            keys::QUEUED => self.queued.read(key, input, errors),
            keys::INTERRUPTIBLE => self.interruptible.read(key, input, errors),
            keys::OUTPUT => self.output.read(key, input, errors),
            keys::NAME => self.name.read(key, input, errors),
            keys::VERSION => self.version.read(key, input, errors),
            keys::UPCAST => self.upcast.read(key, input, errors),
            keys::UNIQUE_BY => self.unique_by.read(key, input, errors),
            keys::CRATE => self.root.read(key, input, errors),
            keys::REDACT => errors.at(key.span(), "`redact` is not supported yet; remove it"),
            other => errors
                .at(key.span(), format!("unknown option `{other}`; {}", suggest::hint(other, keys::POINT))),
        }
    }
}
