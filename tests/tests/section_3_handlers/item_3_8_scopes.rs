//! 3.8: scopes; a scope follows the task, and its jobs, and never leaks into another task's fires.

use extensions::Scope;
use tokio::sync::Barrier;

use super::*;

#[derive(Default, ExtensionPoint)]
struct Imported {
    seen: Vec<String>,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Booked {
    tenant: String,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct FollowUp {
    tenant: String,
    seen: Vec<String>,
}

fn mark(name: impl Into<String>) -> impl Fn(&mut Imported, &Context) -> HandlerResult + Send + Sync {
    let name = name.into();
    move |point, _| {
        point.seen.push(name.clone());
        Ok(())
    }
}

async fn seen(ext: &Extensions) -> Vec<String> {
    ext.fire(Imported::default()).await.unwrap().into_point().seen
}

#[tokio::test]
async fn a_scoped_handler_is_seen_only_inside_in_one_order_with_the_others() {
    let base = Extensions::builder()
        .register_fn::<Imported>("first", mark("first"), at(1))
        .register_fn::<Imported>("last", mark("last"), at(200));
    let (ext, _queue) = on_memory(base).await;
    let scopes = [ext.scope("x"), ext.tenant("x"), ext.user("x"), ext.request("x")];
    for (rank, scope) in (10..).zip(&scopes) {
        let name = format!("{:?}", scope.kind());
        scope.register_fn::<Imported>(name.clone(), mark(name), at(rank));
    }
    for scope in &scopes {
        let own = format!("{:?}", scope.kind());
        assert_eq!(scope.run(seen(&ext)).await, ["first", &own, "last"]);
        assert_eq!(seen(&ext).await, ["first", "last"]);
    }
    assert!(ext.tenant("y").run(seen(&ext)).await == ["first", "last"], "another name is another scope");
    let [custom, tenant, user, request] = &scopes;
    let all = user.run(request.run(tenant.run(custom.run(seen(&ext))))).await;
    assert_eq!(all, ["first", "Custom", "Tenant", "User", "Request", "last"]);
    assert_eq!(custom.run(custom.run(seen(&ext))).await, ["first", "Custom", "last"], "once");
}

#[tokio::test]
async fn handlers_of_every_kind_can_be_scoped_but_async_ones_and_names_are_checked() {
    struct Waits;
    impl AwaitedHandler<Imported> for Waits {
        async fn handle(&self, point: &mut Imported, _: &Context) -> HandlerResult {
            tokio::task::yield_now().await;
            point.seen.push("waits".into());
            Ok(())
        }
    }
    struct Queued;
    impl AsyncHandler<Booked> for Queued {
        async fn handle(&self, _: &Booked, _: &Job) -> HandlerResult {
            Ok(())
        }
    }
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let scope = ext.scope("all kinds");
    scope.register_awaited::<Imported, _>(Waits, at(1));
    let list = Registrations::new()
        .register_fn::<Imported>("closure", mark("closure"), at(2))
        .on_any("Impor*", |_: &AnyPoint<'_>, cx: &Context| {
            note::<Imported>("wildcard")(&mut Imported::default(), cx)
        });
    scope.register_many(list).unwrap();
    assert_eq!(scope.run(seen(&ext)).await, ["waits", "closure"]);
    assert_eq!(lines(&ext), ["wildcard"]);
    let error = scope.run(async { ext.fire_sync(Imported::default()) }).await.unwrap_err();
    assert!(error.to_string().contains("awaited handlers (Waits)"), "{error}");
    assert!(ext.fire_sync(Imported::default()).is_ok());
    let taken = Registrations::new().register_fn::<Imported>("closure", mark("again"), at(3));
    assert!(scope.register_many(taken).unwrap_err().to_string().contains("have the name `closure`"));
    let queued = Registrations::new().register_async::<Booked, _>(Queued, AsyncOptions::new());
    assert!(scope.register_many(queued).unwrap_err().to_string().contains("register it in the instance"));
    assert_eq!(scope.run(seen(&ext)).await, ["waits", "closure"]);
}

#[tokio::test]
async fn a_sync_fire_for_a_tenant_with_awaited_handlers_is_refused() {
    struct Waits;
    impl AwaitedHandler<Imported> for Waits {
        async fn handle(&self, _: &mut Imported, _: &Context) -> HandlerResult {
            Ok(())
        }
    }
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let acme = ext.tenant("acme");
    acme.register_awaited::<Imported, _>(Waits, at(1));
    let fired = ext.point(Imported::default()).for_tenant("acme").fire_sync();
    let error = fired.map(Fired::into_report).unwrap_err();
    assert!(error.to_string().contains("awaited handlers (Waits)"), "{error}");
}

#[tokio::test]
async fn a_fire_for_a_tenant_runs_its_handlers_where_the_instance_has_none() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let acme = ext.tenant("acme");
    acme.register_fn::<Imported>("own", mark("own"), at(1));
    let fire = || ext.point(Imported::default()).for_tenant("acme");
    assert_eq!(fire().fire().await.unwrap().point().seen, ["own"]);
    assert_eq!(fire().fire_sync().unwrap().point().seen, ["own"]);
    assert!(seen(&ext).await.is_empty());
}

#[tokio::test]
async fn what_is_registered_through_a_scope_goes_with_it_and_the_rest_stays() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let (one, other) = (ext.tenant("acme"), ext.tenant("acme"));
    one.register_fn::<Imported>("one", mark("one"), at(1));
    other.register_fn::<Imported>("other", mark("other"), at(2));
    assert_eq!(one.run(seen(&ext)).await, ["one", "other"]);
    drop(one);
    assert_eq!(other.run(seen(&ext)).await, ["other"]);
    drop(other);
    assert!(ext.tenant("acme").run(seen(&ext)).await.is_empty());
}

#[tokio::test]
async fn a_scope_that_is_dropped_while_a_fire_runs_leaves_that_fire_as_it_began() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let drops = |slot: Arc<std::sync::Mutex<Option<Scope>>>| {
        move |_: &mut Imported, _: &Context| {
            drop(slot.lock().unwrap().take());
            Ok(())
        }
    };
    let slot = Arc::default();
    let (held, entered) = (ext.scope("import"), ext.scope("import"));
    held.register_fn::<Imported>("drops", drops(Arc::clone(&slot)), at(1));
    held.register_fn::<Imported>("after", mark("after"), at(2));
    *slot.lock().unwrap() = Some(held);
    entered
        .run(async {
            assert_eq!(seen(&ext).await, ["after"]);
            assert!(seen(&ext).await.is_empty());
        })
        .await;
}

#[tokio::test]
async fn the_inmost_tenant_is_the_tenant_and_the_outer_ones_handlers_are_not_seen() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let scopes =
        ["acme", "other"].map(|name| (ext.tenant(name), ext.user(name), ext.request(name), ext.scope(name)));
    for (tenant, user, request, custom) in &scopes {
        for (rank, scope) in (1..).zip([tenant, user, request, custom]) {
            let name = format!("{:?} {}", scope.kind(), scope.name());
            scope.register_fn::<Imported>(name.replace(' ', "-"), mark(name), at(rank));
        }
    }
    let [acme, other] = &scopes;
    for (outer, inner) in [(&acme.0, &other.0), (&acme.1, &other.1), (&acme.2, &other.2)] {
        let kind = inner.kind();
        assert_eq!(outer.run(inner.run(seen(&ext))).await, [format!("{kind:?} other")]);
    }
    assert_eq!(acme.3.run(other.3.run(seen(&ext))).await, ["Custom acme", "Custom other"], "they add up");
    let fired = acme.0.run(async { ext.point(Imported::default()).for_tenant("other").fire().await });
    assert_eq!(fired.await.unwrap().point().seen, ["Tenant other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_tasks_on_two_threads_each_see_their_own_tenants_handlers_and_nobody_elses() {
    const TENANTS: usize = 20;
    const TASKS: usize = 400;
    struct Yields;
    impl AwaitedHandler<Imported> for Yields {
        async fn handle(&self, point: &mut Imported, cx: &Context) -> HandlerResult {
            for _ in 0..fastrand::u8(0..4) {
                tokio::task::yield_now().await;
            }
            point.seen.push(format!("in {}", cx.tenant().unwrap_or("none")));
            Ok(())
        }
    }
    let base = Extensions::builder().register_awaited::<Imported, _>(Yields, at(50));
    let (ext, _queue) = on_memory(base).await;
    let held: Vec<_> = (0..TENANTS)
        .map(|tenant| {
            let scope = ext.tenant(format!("t{tenant}"));
            scope.register_fn::<Imported>("own", mark(format!("own t{tenant}")), at(90));
            scope
        })
        .collect();
    let together = Arc::new(Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (ext, together) = (ext.clone(), Arc::clone(&together));
            tokio::spawn(async move {
                together.wait().await;
                let tenant = format!("t{}", task % TENANTS);
                for round in 0..20 {
                    if (task + round) % 5 == 0 {
                        assert_eq!(seen(&ext).await, ["in none"]);
                    } else if round % 2 == 0 {
                        let fired = ext.point(Imported::default()).for_tenant(&*tenant).fire().await;
                        let point = fired.unwrap().into_point();
                        assert_eq!(point.seen, [format!("in {tenant}"), format!("own {tenant}")]);
                    } else {
                        let scope = ext.tenant(&*tenant);
                        let inside = scope.run(async {
                            tokio::task::yield_now().await;
                            let first = seen(&ext).await;
                            tokio::task::yield_now().await;
                            assert_eq!(seen(&ext).await, first);
                            first
                        });
                        assert_eq!(inside.await, [format!("in {tenant}"), format!("own {tenant}")]);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        in_time("a task", task).await.unwrap();
    }
    drop(held);
    for tenant in 0..TENANTS {
        let point = ext.point(Imported::default()).for_tenant(format!("t{tenant}")).fire().await.unwrap();
        assert_eq!(point.point().seen, [format!("in t{tenant}")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_task_spawns_is_outside_on_tasks_and_threads_and_so_is_what_shares_the_task() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let scope = ext.scope("inside");
    scope.register_fn::<Imported>("own", mark("own"), at(1));
    let (inside, beside) = tokio::join!(
        scope.run(async {
            let task = tokio::spawn({
                let ext = ext.clone();
                async move { seen(&ext).await }
            });
            let blocking = tokio::task::spawn_blocking({
                let ext = ext.clone();
                move || ext.fire_sync(Imported::default()).unwrap().into_point().seen
            });
            assert!(task.await.unwrap().is_empty() && blocking.await.unwrap().is_empty());
            let thread = std::thread::scope(|threads| {
                let fires = || ext.fire_sync(Imported::default()).unwrap().into_point().seen;
                threads.spawn(fires).join().unwrap()
            });
            assert!(thread.is_empty());
            let mut seen_inside = Vec::new();
            for _ in 0..50 {
                tokio::task::yield_now().await;
                seen_inside.extend(ext.fire_sync(Imported::default()).unwrap().into_point().seen);
            }
            seen_inside
        }),
        async {
            let mut beside = Vec::new();
            for _ in 0..50 {
                beside.extend(seen(&ext).await);
                tokio::task::yield_now().await;
            }
            beside
        }
    );
    assert_eq!((inside.len(), beside.len()), (50, 0));
}

#[tokio::test]
async fn one_instances_scope_is_not_anothers() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let (other, _queue) = on_memory(Extensions::builder()).await;
    let (own, others) = (ext.tenant("acme"), other.tenant("acme"));
    own.register_fn::<Imported>("own", mark("own"), at(1));
    others.register_fn::<Imported>("others", mark("others"), at(1));
    own.run(async {
        assert_eq!(seen(&ext).await, ["own"]);
        assert!(seen(&other).await.is_empty());
        others
            .run(async {
                assert_eq!(
                    (seen(&ext).await, seen(&other).await),
                    (vec!["own".into()], vec!["others".into()])
                )
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn the_context_and_the_jobs_envelope_name_all_scopes_and_nested_fires_are_inside_too() {
    struct Later;
    impl AsyncHandler<Booked> for Later {
        async fn handle(&self, _: &Booked, _: &Job) -> HandlerResult {
            Ok(())
        }
    }
    let named = |_: &mut Booked, cx: &Context| -> HandlerResult {
        let parts = [cx.tenant(), cx.user(), cx.request(), cx.scope()];
        cx.resource::<Log>().unwrap().add(format!("{} {parts:?}", cx.depth()));
        Ok(())
    };
    let nests = |_: &mut Imported, cx: &Context| -> HandlerResult {
        cx.fire_sync(Booked { tenant: String::new() })?;
        Ok(())
    };
    let (ext, queue) = on_memory(
        Extensions::builder()
            .register_fn::<Booked>("named", named, at(1))
            .register_fn::<Imported>("nests", nests, at(1))
            .register_async::<Booked, _>(Later, AsyncOptions::new()),
    )
    .await;
    let (tenant, user, request) = (ext.tenant("acme"), ext.user("7"), ext.request("r1"));
    let (outer, inner) = (ext.scope("outer"), ext.scope("inner"));
    tenant.run(outer.run(user.run(inner.run(request.run(seen(&ext)))))).await;
    seen(&ext).await;
    let all = r#"1 [Some("acme"), Some("7"), Some("r1"), Some("inner")]"#;
    assert_eq!(lines(&ext), [all, "1 [None, None, None, None]"]);
    let stored = jobs(&queue).await;
    let meta = &stored[0].meta;
    let parts = [&meta.tenant, &meta.user, &meta.request].map(Option::as_deref);
    assert_eq!(
        (parts, &*meta.scopes),
        (["acme", "7", "r1"].map(Some), &["outer".into(), "inner".into()][..])
    );
    let meta = &stored[1].meta;
    assert!(meta.tenant.is_none() && meta.user.is_none() && meta.request.is_none() && meta.scopes.is_empty());
}

#[tokio::test]
async fn a_handler_that_enters_another_tenant_for_a_nested_fire_changes_that_fire_only() {
    struct Enters;
    impl AwaitedHandler<Booked> for Enters {
        async fn handle(&self, booked: &mut Booked, cx: &Context) -> HandlerResult {
            let inner = cx.extensions().tenant("inner");
            let point = FollowUp { tenant: "inner".into(), seen: vec![] };
            let fired = inner.run(cx.fire(point)).await?;
            booked.tenant = format!("{} in {}", fired.point().seen.join(","), cx.tenant().unwrap_or("none"));
            Ok(())
        }
    }
    let (ext, queue) = on_memory(
        Extensions::builder()
            .register_awaited::<Booked, _>(Enters, at(1))
            .register_async::<Booked, _>(Follows, AsyncOptions::new())
            .register_async::<FollowUp, _>(Ends, AsyncOptions::new()),
    )
    .await;
    let _scopes = [follow_ups(&ext, "outer"), follow_ups(&ext, "inner")];
    let fire = ext.point(Booked { tenant: String::new() }).for_tenant("outer").fire();
    assert_eq!(fire.await.unwrap().point().tenant, "own inner in outer");
    let tenants: Vec<_> = jobs(&queue).await.into_iter().map(|job| job.meta.tenant.unwrap()).collect();
    assert_eq!(tenants, ["inner", "outer"]);
}

struct Tells;
impl OnFailure<Booked> for Tells {
    async fn on_failure(&self, booked: &Booked, _: &JobError, job: &Job) {
        let point = FollowUp { tenant: booked.tenant.clone(), seen: vec![] };
        let fired = job.extensions().fire(point).await.unwrap();
        job.resource::<Log>().unwrap().add(format!("told {}", fired.point().seen.join(",")));
    }
}

#[tokio::test]
async fn a_callback_is_inside_the_tenant_too() {
    struct Fails;
    impl AsyncHandler<Booked> for Fails {
        async fn handle(&self, _: &Booked, _: &Job) -> HandlerResult {
            Err("always".into())
        }
    }
    let options = AsyncOptions::new().retries(1).on_failure::<Booked, _>(Tells);
    let (ext, _queue) = on_memory(Extensions::builder().register_async::<Booked, _>(Fails, options)).await;
    let _scopes = [follow_ups(&ext, "acme"), follow_ups(&ext, "other")];
    for tenant in ["acme", "other"] {
        ext.point(Booked { tenant: tenant.into() }).for_tenant(tenant).fire().await.unwrap();
    }
    assert_eq!(work(&ext).await.dead, 2);
    assert_eq!(lines(&ext), ["told own acme", "told own other"]);
}

struct Follows;
impl AsyncHandler<Booked> for Follows {
    async fn handle(&self, booked: &Booked, job: &Job) -> HandlerResult {
        assert_eq!(job.tenant(), Some(&*booked.tenant));
        tokio::task::yield_now().await;
        let point = FollowUp { tenant: booked.tenant.clone(), seen: vec![] };
        job.resource::<Log>().unwrap().add(job.extensions().fire(point).await?.point().seen.join(","));
        Ok(())
    }
}

struct FollowsBlocking;
impl BlockingHandler<Booked> for FollowsBlocking {
    fn handle(&self, booked: &Booked, job: &Job) -> HandlerResult {
        let point = FollowUp { tenant: booked.tenant.clone(), seen: vec![] };
        job.resource::<Log>().unwrap().add(job.extensions().fire_sync(point)?.point().seen.join(","));
        Ok(())
    }
}

#[extension_handler(Booked, name = "blocking")]
#[async_handler(queue = "blocking")]
fn follows_blocking(booked: &Booked, job: &Job) -> HandlerResult {
    FollowsBlocking.handle(booked, job)
}

struct Ends;
impl AsyncHandler<FollowUp> for Ends {
    async fn handle(&self, point: &FollowUp, job: &Job) -> HandlerResult {
        assert_eq!(job.tenant(), Some(&*point.tenant));
        Ok(())
    }
}

async fn on_file(folder: &tempfile::TempDir, builder: ExtensionsBuilder) -> Extensions {
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    builder.resource(Log::default()).queue_url(url).build().await.unwrap()
}

fn follow_ups(ext: &Extensions, tenant: &str) -> Scope {
    let own = tenant.to_owned();
    let scope = ext.tenant(tenant);
    let sees = move |point: &mut FollowUp, cx: &Context| {
        assert_eq!(cx.tenant(), Some(&*own));
        point.seen.push(format!("own {own}"));
        Ok(())
    };
    scope.register_fn::<FollowUp>("sees", sees, at(1));
    scope
}

const TENANTS: [&str; 3] = ["acme", "other", "third"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_in_a_worker_and_its_follow_up_fires_are_inside_the_tenant_of_their_fire() {
    let folder = tempfile::tempdir().unwrap();
    let handlers = || {
        Extensions::builder()
            .register_async::<Booked, _>(Follows, AsyncOptions::new().retries(1))
            .register_async::<FollowUp, _>(Ends, AsyncOptions::new().retries(1))
    };
    let (web, works) = (on_file(&folder, handlers()).await, on_file(&folder, handlers()).await);
    let _scopes = TENANTS.map(|tenant| follow_ups(&works, tenant));
    let fires = (0..60).map(|n| {
        let (web, tenant) = (web.clone(), TENANTS[n % 3]);
        tokio::spawn(async move {
            let booked = Booked { tenant: tenant.to_owned() };
            web.tenant(tenant).run(async { web.fire(booked).await }).await.unwrap();
        })
    });
    for fire in fires.collect::<Vec<_>>() {
        fire.await.unwrap();
    }
    let worker = works.worker().concurrency(16).stop_when_drained().run_until(std::future::pending());
    let report = in_time("the worker's end", worker).await.unwrap();
    assert_eq!((report.completed, report.failed), (120, 0));
    let mut seen = lines(&works);
    seen.sort();
    let expected: Vec<_> = TENANTS.iter().flat_map(|name| vec![format!("own {name}"); 20]).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_an_attempt_of_a_blocking_handler() {
    let folder = tempfile::tempdir().unwrap();
    let ext = on_file(&folder, discovered()).await;
    let _scopes = TENANTS.map(|tenant| follow_ups(&ext, tenant));
    for tenant in TENANTS {
        let booked = Booked { tenant: tenant.to_owned() };
        ext.point(booked).for_tenant(tenant).fire().await.unwrap();
    }
    let worker = ext.worker().queues(["blocking"]).stop_when_drained().run_until(std::future::pending());
    assert_eq!(in_time("the worker's end", worker).await.unwrap().completed, 3);
    let mut seen = lines(&ext);
    seen.sort();
    assert_eq!(seen, TENANTS.map(|name| format!("own {name}")));
}
