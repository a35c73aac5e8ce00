//! Every form of every option of a background handler.
#![deny(warnings)]

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q {
    id: u64,
}

macro_rules! handlers {
    ($($name:ident($($options:tt)*);)*) => {
        $(
            #[extension_handler(Q)]
            #[async_handler($($options)*)]
            async fn $name(_: &Q) {}
        )*
    };
}

const CALLBACK: Callback = Callback("here");
struct Callback(&'static str);

impl<P: QueuedPoint> OnFailure<P> for Callback {
    async fn on_failure(&self, _: &P, _: &JobError, _: &Job) {
        let _ = self.0;
    }
}

mod callbacks {
    pub(crate) use super::CALLBACK;
}

handlers! {
    none();
    queue(queue = "emails");
    delay(delay = 30);
    delay_text(delay = "1h 30m");
    no_delay(delay = 0);
    retries(retries = 1);
    max_attempts(max_attempts = 10);
    fixed(backoff = "fixed");
    linear(backoff = "linear", backoff_seconds = 5);
    exponential(backoff = "exponential", backoff_seconds = "1m");
    seconds(backoff_seconds = 10);
    list(backoff_seconds = [10, "30s", 60, "5m"]);
    fixed_call(backoff = fixed("10s"));
    linear_call(backoff = linear(10, max = "1m"));
    exponential_call(backoff = exponential("10s", max = "1h", jitter = 0.1));
    full_jitter(backoff = exponential("10s", jitter = "full",));
    no_base(backoff = exponential(max = "1h"));
    timeout(timeout = 120);
    timeout_text(timeout = "500ms");
    timeout_none(timeout = "none");
    on_failure(on_failure = CALLBACK);
    on_failure_path(on_failure = callbacks::CALLBACK);
    unique(unique);
    unique_true(unique = true);
    unique_false(unique = false);
    unique_for(unique, unique_for = "1h");
    unique_by(unique, unique_by = id);
    unique_by_text(unique, unique_by = "id");
    unique_by_list(unique, unique_by = [id]);
    unique_until_start(unique, unique_until = "start");
    unique_until_end(unique, unique_until = "end");
    priority_first(priority = 0);
    priority_last(priority = 9);
    tags(tags = ["a", "b"]);
    retry_until(retry_until = "1d");
    expires_in(expires_in = "10m");
    expires_in_after_the_delay(delay = "1m", expires_in = "61s");
    missing_discard(missing = "discard");
    missing_fail(missing = "fail");
    trailing_comma(queue = "emails",);
}

fn main() {}
