//! The model of what has to hold for a handler to take part in a fire.

use quote::ToTokens;
use syn::{ExprPath, Ident};

use super::names;
use crate::errors::Errors;
use crate::parse::when::{Condition as Parsed, When};
use crate::slot::Given;
use crate::value::{Text, Texts};

/// All of a handler's conditions; every one has to hold.
#[derive(Default)]
pub(crate) struct Conditions {
    pub(crate) asked: Vec<Condition>,
    pub(crate) predicates: Vec<ExprPath>,
}

pub(crate) enum Condition {
    Environments(Vec<String>),
    Feature(String),
    NotFeature(String),
}

/// `subject` is what `Self` means in a path; nothing on a function.
pub(crate) fn check(whens: Vec<When>, subject: Option<&Ident>, errors: &mut Errors) -> Conditions {
    let mut all = Conditions::default();
    for given in whens.into_iter().flat_map(|when| when.conditions) {
        all.add(given, subject, errors);
    }
    all
}

impl Conditions {
    fn add(&mut self, given: Given<Parsed>, subject: Option<&Ident>, errors: &mut Errors) {
        let asked = match given.value {
            Parsed::Predicate(path) => return self.add_predicate(&path, subject, errors),
            Parsed::Environments(names) => Condition::environments(&names, errors),
            Parsed::Feature(name) => feature(&name, errors).map(Condition::Feature),
            Parsed::NotFeature(name) => feature(&name, errors).map(Condition::NotFeature),
        };
        let Some(asked) = asked else { return };
        if let Some(message) = self.asked.iter().find_map(|earlier| earlier.clash(&asked)) {
            errors.at(given.span, message);
        }
        self.asked.push(asked);
    }

    fn add_predicate(&mut self, path: &ExprPath, subject: Option<&Ident>, errors: &mut Errors) {
        let path = subject.map_or_else(|| path.clone(), |ident| names::of_type(path, ident));
        let text = path.to_token_stream().to_string();
        if self.predicates.iter().any(|earlier| earlier.to_token_stream().to_string() == text) {
            errors.on(&path, twice(&text.replace(' ', "")));
        }
        self.predicates.push(path);
    }
}

impl Condition {
    fn environments(names: &Texts, errors: &mut Errors) -> Option<Self> {
        let names = names::words(Some(names), "an environment's name", errors);
        (!names.is_empty()).then_some(Self::Environments(names))
    }

    /// Why this one and a later one are not both of use.
    fn clash(&self, later: &Self) -> Option<String> {
        match (self, later) {
            (Self::Feature(one), Self::Feature(other)) | (Self::NotFeature(one), Self::NotFeature(other)) => {
                (one == other).then(|| twice(one))
            }
            (Self::Feature(one), Self::NotFeature(other)) | (Self::NotFeature(one), Self::Feature(other)) => {
                (one == other)
                    .then(|| format!("`{one}` cannot be on and off; remove one of the two conditions"))
            }
            (Self::Environments(some), Self::Environments(others)) => {
                let all: Vec<&String> = some.iter().chain(others).collect();
                (!some.iter().any(|name| others.contains(name)))
                    .then(|| format!("no environment is in both conditions; write one list: `env = {all:?}`"))
            }
            _ => None,
        }
    }
}

fn feature(name: &Text, errors: &mut Errors) -> Option<String> {
    names::word(Some(name), "a feature's name", errors)
}

fn twice(what: &str) -> String {
    format!("`{what}` is given twice; remove one of them")
}
