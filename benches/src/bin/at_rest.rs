//! A supervisor and its worker with nothing to do, for the case `idle`: a program of its own, as `compare` is larger than a program of a user.
//!
//! `at-rest supervise CONFIG URL`, which starts `at-rest work --queue-url URL …`.

use std::path::Path;

use extensions::config::Config;
use extensions::prelude::*;
use extensions::supervisor::{Supervisor, attach};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, name = "bench.idle")]
struct Nothing;

struct Never;

impl AsyncHandler<Nothing> for Never {
    async fn handle(&self, _: &Nothing, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["supervise", config, url] => {
            Supervisor::new(Config::from_file(Path::new(config))?).queue_url(url).run().await?;
        }
        ["work", ref rest @ ..] => {
            let url =
                rest.iter().skip_while(|word| **word != "--queue-url").nth(1).ok_or("the queue's URL")?;
            let attached = attach()?.ok_or("a worker under a supervisor")?;
            let extensions = Extensions::builder()
                .queue_url(*url)
                .register_async::<Nothing, _>(Never, AsyncOptions::new().name("never"))
                .build()
                .await?;
            attached.tie(extensions.worker()).run().await?;
        }
        _ => return Err("one of `supervise CONFIG URL` and `work --queue-url URL`".into()),
    }
    Ok(())
}
