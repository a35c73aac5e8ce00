//! Product 4.7 while handlers come and go: a sync fire refuses awaited handlers by the same snapshot that it runs by.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Calm(u32);

fn count(calm: &mut Calm, _: &Context) -> HandlerResult {
    calm.0 += 1;
    Ok(())
}

struct Sleeps;
impl AwaitedHandler<Calm> for Sleeps {
    async fn handle(&self, _: &mut Calm, _: &Context) -> HandlerResult {
        tokio::time::sleep(Duration::from_micros(1)).await;
        Ok(())
    }
}

/// Ends the readers, also where the writer panics.
struct Done<'a>(&'a AtomicBool);
impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_sync_fire_never_runs_an_awaited_handler_that_comes_meanwhile() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let builder = Extensions::builder().register_fn::<Calm>("count", count, HandlerOptions::new());
    let ext = runtime.block_on(builder.build()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    match ext.fire_sync(Calm(1)) {
                        Ok(fired) => assert_eq!(fired.point().0, 2),
                        Err(error) => {
                            assert!(error.to_string().contains("(Sleeps), which `fire_sync`"), "{error}")
                        }
                    }
                }
            });
        }
        let _done = Done(&done);
        for _ in 0..20_000 {
            drop(ext.register_awaited::<Calm, _>(Sleeps, HandlerOptions::new()).unwrap());
        }
    });
}
