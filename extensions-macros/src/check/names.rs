//! Names that are stored in queues and shown to operators.

use proc_macro2::Span;
use syn::{ExprPath, Ident, LitStr};

use crate::errors::Errors;
use crate::value::{Text, Texts};

/// Longer names don't fit into the keys of every backend.
const LONGEST: usize = 200;

/// Checks a name of a point or a handler. `None` if it is wrong.
pub(crate) fn stored(name: &str, span: Span, errors: &mut Errors) -> Option<String> {
    if name.contains('/') {
        errors.at(span, format!("a name contains no `/`; write `{}`", name.replace('/', ".")));
        return None;
    }
    plain(name, "a name", span, errors)
}

/// Checks the name of a queue.
pub(crate) fn queue(text: Option<&Text>, errors: &mut Errors) -> Option<String> {
    let literal = &text?.0;
    plain(&literal.value(), "a queue's name", literal.span(), errors)
}

fn plain(name: &str, what: &str, span: Span, errors: &mut Errors) -> Option<String> {
    let wrong = if name.is_empty() {
        format!("{what} cannot be empty")
    } else if name.len() > LONGEST {
        format!("{what} is at most {LONGEST} bytes long, this one has {}", name.len())
    } else if name.contains(char::is_whitespace) {
        let joined: Vec<&str> = name.split_whitespace().collect();
        format!("{what} contains no white space; write `{}`", joined.join("-"))
    } else if name.contains(char::is_control) {
        format!("{what} contains no control characters")
    } else {
        return Some(name.to_owned());
    };
    errors.at(span, wrong);
    None
}

/// A list of tags, or of other words that are not empty and occur once.
pub(crate) fn words(list: Option<&Texts>, what: &str, errors: &mut Errors) -> Vec<String> {
    let literals: &[LitStr] = list.map_or(&[], |list| &list.0);
    let mut words = Vec::new();
    for literal in literals {
        let word = literal.value();
        if word.trim().is_empty() {
            errors.at(literal.span(), format!("{what} cannot be empty"));
        } else if words.contains(&word) {
            errors.at(literal.span(), format!("`{word}` is given twice; remove one of them"));
        } else {
            words.push(word);
        }
    }
    words
}

/// A word that is not empty.
pub(crate) fn word(text: Option<&Text>, what: &str, errors: &mut Errors) -> Option<String> {
    let literal = &text?.0;
    let word = literal.value();
    if word.trim().is_empty() {
        errors.at(literal.span(), format!("{what} cannot be empty"));
        return None;
    }
    Some(word)
}

/// `Self::new` means the type also outside of an `impl`.
pub(crate) fn of_type(path: &ExprPath, ident: &Ident) -> ExprPath {
    let mut path = path.clone();
    if let Some(first) = path.path.segments.first_mut()
        && first.ident == "Self"
    {
        let span = first.ident.span();
        first.ident = ident.clone();
        first.ident.set_span(span);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> Option<String> {
        let mut errors = Errors::new();
        let _ = stored(name, Span::call_site(), &mut errors);
        errors.finish().map(|tokens| tokens.to_string())
    }

    #[test]
    fn plain_names_pass() {
        for name in ["OrderPlaced", "order.placed", "bestellung-übermittelt", "a::b", &"x".repeat(200)] {
            assert_eq!(message(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_no_backend_could_keep_are_refused() {
        for name in
            ["", "order/placed", "order placed", "order\u{0}", "a\nb", &"x".repeat(201), &"ü".repeat(101)]
        {
            assert!(message(name).is_some(), "{name:?}");
        }
    }
}
