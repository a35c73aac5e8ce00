use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, priority = "high")]
struct Priority;

#[extension_handler(P, priority = 3000000000)]
struct TooHigh;

#[extension_handler(P, tags = "stock")]
struct Tags;

#[extension_handler(P, tags = ["a", "", "a"])]
struct EmptyTag;

#[extension_handler(P, group = "")]
struct Group;

#[extension_handler(P, awaited = "yes")]
struct Awaited;

#[extension_handler(P, on_unavailable = "alow")]
struct OnUnavailable;

#[extension_handler(P, name = "a b", aliases = ["c/d"])]
struct Names;

#[extension_handler(P, name = "same", aliases = ["same"])]
struct Alias;

fn main() {}
