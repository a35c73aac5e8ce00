//! Points and handlers inside functions, and from `macro_rules`.
#![deny(warnings)]

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

macro_rules! point {
    ($name:ident, $($options:tt)*) => {
        #[derive(Serialize, Deserialize, ExtensionPoint)]
        #[extension_point($($options)*)]
        struct $name;
    };
}

macro_rules! handler {
    ($name:ident, $point:ty, $priority:literal, $tag:expr) => {
        #[extension_handler($point, priority = $priority)]
        #[async_handler(queue = $tag)]
        async fn $name(_: &$point, _: &Job) {}
    };
}

macro_rules! by_path {
    ($name:ident, $point:path) => {
        #[extension_handler($point)]
        struct $name;

        impl Handler<$point> for $name {
            fn handle(&self, _: &mut $point, _: &Context) -> HandlerResult {
                Ok(())
            }
        }
    };
}

point!(FromMacro, queued);
handler!(from_macro, FromMacro, 7, "emails");
by_path!(ByPath, self::FromMacro);

fn first() -> &'static str {
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "first.local")]
    struct Local;

    #[extension_handler(Local)]
    #[async_handler(on_failure = Ignore)]
    async fn on_local(_: &Local) {}

    struct Ignore;
    impl OnFailure<Local> for Ignore {
        async fn on_failure(&self, _: &Local, _: &JobError, _: &Job) {}
    }

    declare_handler!(Local => "elsewhere");

    Local::info().name
}

fn second() -> &'static str {
    #[derive(ExtensionPoint)]
    #[extension_point(interruptible)]
    struct Local;

    #[extension_handler(Local, awaited)]
    struct OnLocal;
    impl AwaitedHandler<Local> for OnLocal {
        async fn handle(&self, _: &mut Local, _: &Context) -> HandlerResult<Verdict> {
            Ok(Verdict::Continue)
        }
    }

    Local::info().name
}

mod outer {
    pub(crate) mod inner {
        use extensions::{ExtensionPoint, extension_handler};

        #[derive(ExtensionPoint)]
        pub(crate) struct Deep;

        #[extension_handler(super::inner::Deep)]
        fn on_deep(_: &Deep) {}
    }
}

fn main() {
    assert_eq!((first(), second()), ("first.local", "Local"));
    assert_eq!(outer::inner::Deep::info().module_path, concat!(module_path!(), "::outer::inner"));
}
