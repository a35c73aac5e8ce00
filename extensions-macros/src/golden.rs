//! Golden expansions: what each entry point writes, as readable files.
//!
//! `snapshots/input/*.rs` holds the items, `snapshots/*.rs` what becomes of them. After an intended change run the tests
//! with `EXTENSIONS_BLESS=1` and read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, Item, Meta};

use crate::parse::attributes::Kind;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

#[test]
fn expansions_are_as_recorded() {
    let mut names: Vec<_> = fs::read_dir(folder().join("input"))
        .expect("the inputs")
        .map(|entry| entry.expect("an input").file_name())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let changed: Vec<String> = names.iter().filter_map(|name| difference(Path::new(name))).collect();
    assert!(changed.is_empty(), "{}\nif this is intended: EXTENSIONS_BLESS=1", changed.join("\n"));
}

#[test]
fn every_snapshot_has_its_input() {
    for entry in fs::read_dir(folder()).expect("the snapshots") {
        let path = entry.expect("a snapshot").path();
        let input = folder().join("input").join(path.file_name().expect("a name"));
        assert!(path.is_dir() || input.exists(), "{} is left over", path.display());
    }
}

fn difference(name: &Path) -> Option<String> {
    let input = fs::read_to_string(folder().join("input").join(name)).expect("an input");
    let written = expand(&input);
    let path = folder().join(name);
    if std::env::var_os("EXTENSIONS_BLESS").is_some() {
        fs::write(&path, written).expect("a snapshot");
        return None;
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    let line = recorded.lines().zip(written.lines()).position(|(recorded, written)| recorded != written);
    (recorded != written).then(|| {
        let line = line.unwrap_or_else(|| recorded.lines().count().min(written.lines().count()));
        let at = |text: &str| text.lines().nth(line).unwrap_or("").trim().to_owned();
        format!(
            "{}:{}\n  recorded: {}\n  written:  {}",
            path.display(),
            line + 1,
            at(&recorded),
            at(&written)
        )
    })
}

fn expand(text: &str) -> String {
    let file: syn::File = syn::parse_str(text).expect("an item");
    let expanded: TokenStream = file.items.into_iter().map(expand_item).collect();
    prettyplease::unparse(&syn::parse2(expanded).expect("Rust code"))
}

fn expand_item(item: Item) -> TokenStream {
    match item {
        Item::Macro(item) => crate::declare(item.mac.tokens),
        Item::Struct(mut item) => expand_attributes(item.attrs.split_off(0), |attrs| {
            item.attrs = attrs;
            item.to_token_stream()
        }),
        Item::Enum(mut item) => expand_attributes(item.attrs.split_off(0), |attrs| {
            item.attrs = attrs;
            item.to_token_stream()
        }),
        Item::Fn(mut item) => expand_attributes(item.attrs.split_off(0), |attrs| {
            item.attrs = attrs;
            item.to_token_stream()
        }),
        other => panic!("nothing of ours: {}", other.to_token_stream()),
    }
}

/// As the compiler does it: an attribute macro gets the item without its own attribute, a derive without `#[derive]`.
fn expand_attributes(
    mut attrs: Vec<Attribute>,
    item: impl FnOnce(Vec<Attribute>) -> TokenStream,
) -> TokenStream {
    let kinds =
        [Kind::ExtensionHandler, Kind::AsyncHandler, Kind::When, Kind::CircuitBreaker, Kind::Scheduled];
    let ours = |attr: &Attribute| kinds.into_iter().find(|kind| attr.path().is_ident(kind.name()));
    if let Some((index, kind)) = attrs.iter().enumerate().find_map(|(i, attr)| Some((i, ours(attr)?))) {
        let args = match attrs.remove(index).meta {
            Meta::List(list) => list.tokens,
            _ => TokenStream::new(),
        };
        return crate::attribute(kind, args, item(attrs));
    }
    attrs.retain(|attr| !attr.path().is_ident("derive"));
    crate::derive_point(item(attrs))
}
