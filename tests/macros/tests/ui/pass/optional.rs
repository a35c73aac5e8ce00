//! What a point is besides, it can do: `__view` and `__copy` follow from its traits, however these come about.
#![deny(warnings)]
#![forbid(unsafe_code)]

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Bare {
    id: u64,
}

#[derive(serde::Serialize, ExtensionPoint)]
struct Data {
    id: u64,
}

#[derive(Clone, ExtensionPoint)]
struct Copied {
    id: u64,
}

#[derive(Clone, Copy, serde::Serialize, serde::Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Both {
    id: u64,
}

#[derive(ExtensionPoint)]
struct ByHand {
    id: u64,
}

impl Clone for ByHand {
    fn clone(&self) -> Self {
        Self { id: self.id + 1 }
    }
}

/// A method of all types must not come in the way.
trait Everything {
    fn view(&self) {}
    fn copy(&self) {}
    fn __view(&self) {}
    fn __copy(&self) {}
}

impl<T> Everything for T {}

#[derive(serde::Serialize, ExtensionPoint)]
struct Unwritable {
    #[serde(serialize_with = "refuse")]
    id: u64,
}

fn refuse<S: serde::Serializer>(_: &u64, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("no"))
}

fn view<P: ExtensionPoint>(point: &P) -> Option<String> {
    ExtensionPoint::__view(point).map(|view| view.map_or_else(|error| error.to_string(), |view| view.to_string()))
}

fn copy<P: ExtensionPoint>(point: &P) -> Option<P> {
    ExtensionPoint::__copy(point)
}

fn main() {
    let (bare, data, copied, both) = (Bare { id: 1 }, Data { id: 2 }, Copied { id: 3 }, Both { id: 4 });
    assert!(bare.id == 1 && view(&bare).is_none() && copy(&bare).is_none());
    assert!(view(&data).as_deref() == Some(r#"{"id":2}"#) && copy(&data).is_none());
    assert!(view(&copied).is_none() && copy(&copied).is_some_and(|copied| copied.id == 3));
    assert!(view(&both).as_deref() == Some(r#"{"id":4}"#) && copy(&both).is_some_and(|both| both.id == 4));
    assert!(copy(&ByHand { id: 5 }).is_some_and(|copied| copied.id == 6));
    assert_eq!(view(&Unwritable { id: 7 }).as_deref(), Some("no"));
    (bare.view(), bare.copy(), Everything::__view(&bare), Everything::__copy(&bare));
}
