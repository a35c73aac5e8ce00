//! What a type's fields are called in its serialised form, as far as its `serde` attributes tell.

use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DeriveInput, Expr, Field, Fields, Ident, LitStr, Token, token};

/// The key that says of which type a `dyn QueuedPoint` is.
pub(crate) const TAG: &str = "type";

/// The `serde` attributes that matter here.
#[derive(Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Option<String>,
    rename_all_fields: Option<String>,
    tag: Option<LitStr>,
    content: Option<LitStr>,
    untagged: bool,
    /// The field has no key of its own: it is left out, or its fields stand in its place.
    keyless: bool,
    /// The serialised form has other keys than the fields' own.
    opaque: bool,
}

impl Serde {
    /// What can't be read is left to `serde`, which will complain.
    fn of(attrs: &[Attribute]) -> Self {
        let mut all = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
            let _ = attr.parse_nested_meta(|meta| all.read(&meta));
        }
        all
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match key.as_str() {
            "rename" => self.rename = serialized_name(meta)?,
            "rename_all" => self.rename_all = serialized_name(meta)?,
            "rename_all_fields" => self.rename_all_fields = serialized_name(meta)?,
            "tag" => self.tag = Some(meta.value()?.parse()?),
            "content" => self.content = Some(meta.value()?.parse()?),
            "untagged" => self.untagged = true,
            "skip" | "skip_serializing" => self.keyless = true,
            "flatten" => (self.keyless, self.opaque) = (true, true),
            "transparent" => self.opaque = true,
            "into" | "remote" => {
                self.opaque = true;
                skip_value(meta)?;
            }
            _ => skip_value(meta)?,
        }
        Ok(())
    }
}

/// `= "name"`, or the `serialize` half of `(serialize = "name", deserialize = "…")`.
fn serialized_name(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<String>> {
    if meta.input.peek(Token![=]) {
        return Ok(Some(meta.value()?.parse::<LitStr>()?.value()));
    }
    let mut name = None;
    meta.parse_nested_meta(|half| {
        let value: LitStr = half.value()?.parse()?;
        if half.path.is_ident("serialize") {
            name = Some(value.value());
        }
        Ok(())
    })?;
    Ok(name)
}

fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(token::Paren) {
        meta.parse_nested_meta(|inner| skip_value(&inner))?;
    }
    Ok(())
}

/// A field of a struct and its key.
pub(crate) struct Key<'i> {
    pub(crate) field: &'i Ident,
    /// `None` if the field has no key of its own.
    pub(crate) name: Option<String>,
}

/// The named fields of a struct.
pub(crate) fn keys(input: &DeriveInput) -> Vec<Key<'_>> {
    let Data::Struct(data) = &input.data else { return Vec::new() };
    let rule = Serde::of(&input.attrs).rename_all;
    keys_of(&data.fields, rule.as_deref())
}

/// Every key of a struct's serialised form; none where they cannot be told.
pub(crate) fn all_keys(input: &DeriveInput) -> Vec<String> {
    let Data::Struct(data) = &input.data else { return Vec::new() };
    let opaque = |attrs: &[Attribute]| Serde::of(attrs).opaque;
    if opaque(&input.attrs) || data.fields.iter().any(|field| opaque(&field.attrs)) {
        return Vec::new();
    }
    keys(input).into_iter().filter_map(|key| key.name).collect()
}

fn keys_of<'i>(fields: &'i Fields, rule: Option<&str>) -> Vec<Key<'i>> {
    let key = |field: &'i Field| {
        let serde = Serde::of(&field.attrs);
        let ident = field.ident.as_ref()?;
        let name = serde.rename.unwrap_or_else(|| field_name(&ident.unraw().to_string(), rule));
        Some(Key { field: ident, name: (!serde.keyless).then_some(name) })
    };
    fields.iter().filter_map(key).collect()
}

/// Where the serialised form gets a key `type` of its own, which would clash with the tag of `dyn QueuedPoint`.
pub(crate) fn clash(input: &DeriveInput) -> Option<proc_macro2::Span> {
    let serde = Serde::of(&input.attrs);
    let tags = [&serde.tag, &serde.content].into_iter().flatten();
    if let Some(tag) = tags.into_iter().find(|tag| tag.value() == TAG) {
        return Some(tag.span());
    }
    let clash = |keys: Vec<Key<'_>>| {
        keys.iter().find(|key| key.name.as_deref() == Some(TAG)).map(|key| key.field.span())
    };
    let Data::Enum(data) = &input.data else { return clash(keys(input)) };
    let externally_tagged = serde.tag.is_none() && !serde.untagged;
    data.variants.iter().find_map(|variant| {
        let own = Serde::of(&variant.attrs);
        let flat = serde.untagged || own.untagged || serde.tag.is_some() && serde.content.is_none();
        if flat {
            let rule = own.rename_all.as_deref().or(serde.rename_all_fields.as_deref());
            return clash(keys_of(&variant.fields, rule));
        }
        let name = own
            .rename
            .unwrap_or_else(|| variant_name(&variant.ident.unraw().to_string(), serde.rename_all.as_deref()));
        (externally_tagged && name == TAG).then(|| variant.ident.span())
    })
}

/// `rename_all` for a field, whose own name is in snake case.
fn field_name(name: &str, rule: Option<&str>) -> String {
    match rule {
        Some("UPPERCASE" | "SCREAMING_SNAKE_CASE") => name.to_ascii_uppercase(),
        Some("PascalCase") => pascal(name),
        Some("camelCase") => lower_first(&pascal(name)),
        Some("kebab-case") => name.replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => name.to_ascii_uppercase().replace('_', "-"),
        _ => name.to_owned(),
    }
}

/// `rename_all` for a variant, whose own name is in Pascal case.
fn variant_name(name: &str, rule: Option<&str>) -> String {
    match rule {
        Some("lowercase") => name.to_ascii_lowercase(),
        Some("UPPERCASE") => name.to_ascii_uppercase(),
        Some("camelCase") => lower_first(name),
        Some("snake_case") => snake(name),
        Some("SCREAMING_SNAKE_CASE") => snake(name).to_ascii_uppercase(),
        Some("kebab-case") => snake(name).replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => snake(name).to_ascii_uppercase().replace('_', "-"),
        _ => name.to_owned(),
    }
}

fn pascal(snake: &str) -> String {
    let upper_first =
        |word: &str| word.get(..1).unwrap_or("").to_ascii_uppercase() + word.get(1..).unwrap_or("");
    snake.split('_').map(upper_first).collect()
}

fn lower_first(pascal: &str) -> String {
    pascal.get(..1).unwrap_or("").to_ascii_lowercase() + pascal.get(1..).unwrap_or("")
}

fn snake(pascal: &str) -> String {
    let mut snake = String::new();
    for (i, letter) in pascal.char_indices() {
        if i > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(item: &str) -> Vec<Option<String>> {
        keys(&syn::parse_str(item).expect("an item")).into_iter().map(|key| key.name).collect()
    }

    fn clashes(item: &str) -> bool {
        clash(&syn::parse_str(item).expect("an item")).is_some()
    }

    #[test]
    fn keys_follow_the_serde_attributes() {
        let item = r#"
            #[serde(rename_all = "camelCase", deny_unknown_fields, bound(serialize = "T: X"))]
            struct S { order_id: u64, #[serde(rename = "mail")] e_mail: String, #[serde(skip)] cache: u8,
                       #[serde(rename(serialize = "w", deserialize = "r"), default = "f")] both: u8 }
        "#;
        let keys = [Some("orderId"), Some("mail"), None, Some("w")].map(|name| name.map(str::to_owned));
        assert_eq!(names(item), keys);
    }

    #[test]
    fn a_key_type_is_found_in_all_its_disguises() {
        assert!(clashes("struct S { r#type: u8 }"));
        assert!(clashes("#[serde(rename_all = \"camelCase\")] struct S { type_: u8 }"));
        assert!(clashes("struct S { #[serde(rename = \"type\")] kind: u8 }"));
        assert!(clashes("#[serde(tag = \"type\")] enum E { A { b: u8 } }"));
        assert!(clashes("#[serde(tag = \"kind\")] enum E { A { r#type: u8 } }"));
        assert!(clashes("#[serde(tag = \"kind\", content = \"type\")] enum E { A(u8) }"));
        assert!(clashes("#[serde(rename_all = \"snake_case\")] enum E { Type(u8) }"));
        assert!(clashes("#[serde(untagged)] enum E { A { r#type: u8 } }"));
    }

    #[test]
    fn other_types_are_left_in_peace() {
        assert!(!clashes("struct S { #[serde(rename = \"kind\")] r#type: u8 }"));
        assert!(!clashes("struct S { #[serde(skip)] r#type: u8, type_: u8 }"));
        assert!(!clashes("enum E { Type(u8), A { r#type: u8 } }"));
        assert!(!clashes("#[serde(tag = \"kind\", content = \"data\")] enum E { A { r#type: u8 } }"));
        assert!(!clashes("struct S(u8);"));
    }
}
