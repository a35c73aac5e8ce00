//! Times of the inline path: `cargo bench -p inline-path`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use inline_path::{Path, subject};

/// Fires in one measurement.
const FIRES: u64 = 1_000;

fn main() {
    divan::main();
}

fn time(bencher: Bencher<'_, '_>, path: Path, handlers: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut runs = runtime.block_on(subject(path, handlers)).expect("an instance");
    bencher.counter(ItemsCount::new(FIRES)).bench_local(|| runs(black_box(FIRES)));
}

#[divan::bench(args = [0, 1, 4, 16])]
fn fire_sync(bencher: Bencher<'_, '_>, handlers: u64) {
    time(bencher, Path::Sync, handlers);
}

#[divan::bench(args = [0, 1, 4, 16])]
fn fire_await(bencher: Bencher<'_, '_>, handlers: u64) {
    time(bencher, Path::Await, handlers);
}

#[divan::bench(args = [1, 4, 16])]
fn fire_await_awaited_handlers(bencher: Bencher<'_, '_>, handlers: u64) {
    time(bencher, Path::Awaited, handlers);
}

#[divan::bench(args = [1, 4, 16])]
fn boxed_closures_in_a_loop(bencher: Bencher<'_, '_>, handlers: u64) {
    time(bencher, Path::Loop, handlers);
}

#[divan::bench(args = [1, 4, 16])]
fn boxed_futures_in_a_loop(bencher: Bencher<'_, '_>, handlers: u64) {
    time(bencher, Path::Futures, handlers);
}
