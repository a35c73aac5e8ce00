//! A fire sees one consistent snapshot of what is registered and switched off, whatever changes meanwhile; when all guards are gone, the
//! instance is as it was and fires pay nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use extensions::prelude::*;
use extensions::queue::Memory;
use serde::{Deserialize, Serialize};

const READERS: u32 = 4;
const ROUNDS: u32 = 1_500;

#[derive(Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Busy {
    seen: Vec<String>,
}

#[derive(Default, ExtensionPoint)]
struct Outer {
    inner: Vec<String>,
}

#[derive(Default, ExtensionPoint)]
struct Calm(u32);

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

fn mark(name: &'static str) -> impl Fn(&mut Busy, &Context) -> HandlerResult + Send + Sync {
    move |point, _| {
        point.seen.push(name.to_owned());
        if fastrand::u8(..) < 8 {
            std::thread::yield_now();
        }
        Ok(())
    }
}

struct Paired;
impl AsyncHandler<Busy> for Paired {
    async fn handle(&self, _: &Busy, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn base() -> extensions::ExtensionsBuilder {
    let nests = |outer: &mut Outer, cx: &Context| -> HandlerResult {
        outer.inner = cx.fire_sync(Busy::default())?.into_point().seen;
        Ok(())
    };
    let calm = |calm: &mut Calm, _: &Context| {
        calm.0 += 1;
        Ok(())
    };
    Extensions::builder()
        .register_fn::<Busy>("tag-1", mark("tag-1"), at(10).tags(["tag"]))
        .register_fn::<Busy>("always", mark("always"), at(20))
        .register_fn::<Busy>("tag-2", mark("tag-2"), at(30).tags(["tag", "other"]))
        .register_fn::<Busy>("group-1", mark("group-1"), at(40).group("group"))
        .register_fn::<Busy>("muted", mark("muted"), at(50))
        .register_fn::<Busy>("group-2", mark("group-2"), at(60).group("group"))
        .register_fn::<Busy>("tag-3", mark("tag-3"), at(70).tags(["tag"]))
        .register_fn::<Outer>("nests", nests, at(1))
        .register_fn::<Calm>("calm", calm, at(1))
}

/// Handlers that come and go together, one of them an async one.
fn pair() -> Registrations {
    Registrations::new()
        .register_fn::<Busy>("pair-1", mark("pair-1"), at(15))
        .register_async::<Busy, _>(Paired, AsyncOptions::new())
        .register_fn::<Busy>("pair-2", mark("pair-2"), at(65))
}

const ORDER: [&str; 10] =
    ["tag-1", "pair-1", "always", "scoped-1", "tag-2", "group-1", "muted", "group-2", "pair-2", "tag-3"];
const TOGETHER: [&[&str]; 3] = [&["tag-1", "tag-2", "tag-3"], &["group-1", "group-2"], &["pair-1", "pair-2"]];

/// Whether what a fire saw was there at one time.
fn check(seen: &[String], jobs: Option<usize>, may_be_silent: bool) {
    if may_be_silent && seen.is_empty() {
        assert!(jobs.is_none_or(|jobs| jobs == 0));
        return;
    }
    let places: Vec<_> =
        seen.iter().map(|name| ORDER.iter().position(|one| one == name).expect("a known name")).collect();
    assert!(places.windows(2).all(|two| two[0] < two[1]), "out of order or twice: {seen:?}");
    let has = |name: &&&str| seen.iter().any(|one| one == **name);
    assert!(has(&&"always"), "{seen:?}");
    for together in TOGETHER {
        let there = together.iter().filter(has).count();
        assert!(there == 0 || there == together.len(), "{together:?} of {seen:?}");
    }
    if let Some(jobs) = jobs {
        assert_eq!(jobs, usize::from(has(&&"pair-1")), "{seen:?}");
    }
}

fn wild(name: &'static str) -> impl Fn(&AnyPoint<'_>, &Context) -> HandlerResult + Send + Sync {
    move |any, _| {
        assert!(any.name() == "Busy" && any.view().is_some());
        WILD.with(|seen| seen.borrow_mut().push(name));
        Ok(())
    }
}

thread_local! {
    static WILD: std::cell::RefCell<Vec<&'static str>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// What the plain fire on this thread saw, wildcards included.
fn fire(ext: &Extensions) {
    WILD.take();
    let fired = ext.fire_sync(Busy::default()).expect("a fire");
    let wild = WILD.take();
    assert!(wild.is_empty() || wild == ["wild-1", "wild-2"], "{wild:?}");
    check(&fired.point().seen, Some(fired.queued().len()), fired.is_silenced());
}

fn read(ext: &Extensions, left: &AtomicU32) {
    while left.load(Ordering::Acquire) > 0 {
        fire(ext);
        let fired = ext.point(Busy::default()).graceful().for_tenant("acme").fire_sync().expect("a fire");
        check(&fired.point().seen, Some(fired.queued().len()), fired.is_silenced());
        let outer = ext.fire_sync(Outer::default()).expect("a nested fire");
        check(&outer.point().inner, None, true);
        assert_eq!(ext.fire_sync(Calm(1)).expect("a calm one").point().0, 2);
        let names: Vec<_> = ext.handlers_of::<Busy>().iter().map(|info| info.name.to_string()).collect();
        let pairs = names.iter().filter(|name| name.starts_with("pair") || *name == "Paired").count();
        assert!(pairs == 0 || pairs == 3, "{names:?}");
    }
}

async fn read_async(ext: Extensions, left: Arc<AtomicU32>) {
    while left.load(Ordering::Acquire) > 0 {
        for fired in ext.fire_many([Busy::default(), Busy::default()]).await {
            let fired = fired.expect("one of many");
            check(&fired.point().seen, Some(fired.queued().len()), fired.is_silenced());
        }
        let fired = ext.tenant("acme").run(async { ext.fire(Busy::default()).await }).await.expect("a fire");
        check(&fired.point().seen, Some(fired.queued().len()), fired.is_silenced());
        let silent = ext.silenced(async { ext.fire(Busy::default()).await }).await.expect("a silent fire");
        assert!(silent.is_silenced() && silent.point().seen.is_empty());
        tokio::task::yield_now().await;
    }
}

type Writer = fn(&Extensions);

/// Each makes one change and takes it back.
const WRITERS: [Writer; 8] = [
    |ext| {
        let pair = ext.register_many(pair()).expect("the pair");
        std::thread::yield_now();
        drop(pair);
    },
    |ext| drop(ext.disable_tag("tag")),
    |ext| {
        let guards = (ext.disable_group("group"), ext.disable_group("group"));
        std::thread::yield_now();
        drop(guards);
    },
    |ext| drop(ext.mute_named("muted")),
    |ext| {
        let list = Registrations::new()
            .on_any_with("Bus?", wild("wild-1"), at(1).name("wild-1"))
            .on_any_with("*::Busy", wild("wild-2"), at(90).name("wild-2"));
        drop(ext.register_many(list).expect("wildcards"));
    },
    |ext| {
        let scope = ext.tenant("acme");
        scope.register_fn::<Busy>("scoped-1", mark("scoped-1"), at(25));
        std::thread::yield_now();
    },
    |ext| drop(ext.silence_point::<Busy>()),
    |ext| {
        let list = Registrations::new().register_fn::<Calm>("kept", |_, _| Ok(()), at(2));
        ext.register_many(list).expect("a kept one").keep();
        assert!(ext.unregister_named::<Calm>("kept"));
        let twice = Registrations::new().register_fn::<Calm>("calm", |_, _| Ok(()), at(2));
        ext.register_many(twice).expect_err("the name is taken");
    },
];

fn storm() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let ext = runtime.block_on(base().queue(Memory::new()).build()).expect("an instance");
    let (start, breakers) = (ext.registry(), ext.breakers().len());
    let left = Arc::new(AtomicU32::new(WRITERS.len() as u32));
    std::thread::scope(|threads| {
        for _ in 0..READERS {
            threads.spawn(|| read(&ext, &left));
        }
        let tasks: Vec<_> =
            (0..READERS).map(|_| runtime.spawn(read_async(ext.clone(), Arc::clone(&left)))).collect();
        for write in WRITERS {
            let (ext, left) = (&ext, &left);
            threads.spawn(move || {
                let done = Done(left);
                (0..ROUNDS).for_each(|_| write(ext));
                drop(done);
            });
        }
        for task in tasks {
            runtime.block_on(task).expect("a task of readers");
        }
    });
    assert!(Arc::ptr_eq(&start, &ext.registry()), "the registry is the one of the start");
    assert_eq!((ext.switched_off(), ext.breakers().len()), (Default::default(), breakers));
    fire(&ext);
    let mut fired = 0;
    let allocations =
        allocation_counter::measure(|| fired = ext.fire_sync(Calm(1)).map_or(0, |fired| fired.point().0));
    assert_eq!((fired, allocations.count_total), (2, 0), "a calm fire pays nothing again");
}

/// Counts a writer as done, also where it panics.
struct Done<'a>(&'a AtomicU32);
impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[test]
fn every_fire_sees_one_snapshot_while_others_register_mute_disable_and_silence_and_nothing_is_left() {
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let storm = std::thread::spawn(move || {
        storm();
        drop(done);
    });
    let end = ended.recv_timeout(Duration::from_secs(120));
    assert_ne!(end, Err(std::sync::mpsc::RecvTimeoutError::Timeout), "locked up");
    storm.join().expect("the storm");
}
