//! Product 2, item by item: points.

use std::sync::Arc;
use std::time::Instant;

use extensions::FireErrorKind;
use extensions::job::NewJob;
use extensions::prelude::*;
use extensions::queue::Memory;
use serde::{Deserialize, Serialize};
use tests::kit::{jobs, lines, names, new_job, on_memory, work};

/// 2.1: any struct or enum that is not generic is a point; without async handlers it needs no serde.
mod item_2_1_any_struct_or_enum_is_a_point {
    use super::*;

    #[derive(ExtensionPoint)]
    struct Unit;

    #[derive(ExtensionPoint)]
    struct Tuple(Instant, u32);

    #[derive(ExtensionPoint)]
    struct Named {
        hook: Box<dyn Fn() -> u32 + Send + Sync>,
        got: u32,
    }

    #[derive(Debug, PartialEq, ExtensionPoint)]
    enum Choice {
        Left,
        Right(u32),
        Both { times: u32 },
    }

    #[extension_handler(Unit)]
    fn on_unit(_: &mut Unit) -> HandlerResult {
        Err("unit".into())
    }

    #[extension_handler(Tuple)]
    fn on_tuple(tuple: &mut Tuple) {
        tuple.1 += u32::from(tuple.0 <= Instant::now());
    }

    #[extension_handler(Named)]
    fn on_named(named: &mut Named) {
        named.got = (named.hook)();
    }

    #[extension_handler(Choice)]
    fn on_choice(choice: &mut Choice) {
        *choice = match *choice {
            Choice::Left => Choice::Right(1),
            Choice::Right(times) => Choice::Both { times },
            Choice::Both { times } => Choice::Both { times: times + 1 },
        };
    }

    #[tokio::test]
    async fn each_form_is_fired_and_changed_by_its_handlers_without_serde() {
        let twin = "section_2_points::item_2_4_names_used_twice::Other";
        let ext = Extensions::builder().discover().rename_point(twin, "twin").build().await.unwrap();
        assert_eq!(ext.fire(Unit).await.unwrap_err().to_string(), "firing `Unit` failed: `on_unit`: unit");
        assert_eq!(ext.fire(Tuple(Instant::now(), 6)).await.unwrap().point().1, 7);
        let named = Named { hook: Box::new(|| 9), got: 0 };
        assert_eq!(ext.fire(named).await.unwrap().point().got, 9);
        let mut choice = Choice::Left;
        for expected in [Choice::Right(1), Choice::Both { times: 1 }, Choice::Both { times: 2 }] {
            choice = ext.fire(choice).await.unwrap().into_point();
            assert_eq!(choice, expected);
        }
    }
}

/// 2.2: a queued point has a stable wire name and a version, and older payloads become today's type.
mod item_2_2_wire_names_and_versions {
    use super::*;

    mod shop {
        use super::*;

        #[derive(Serialize, Deserialize, ExtensionPoint)]
        #[extension_point(queued)]
        pub(super) struct Shipped {
            pub(super) parcel: u32,
        }
    }

    #[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "order.placed", version = 3, upcast = newer)]
    struct Placed {
        cents: u64,
    }

    fn newer(version: u32, mut payload: serde_json::Value) -> Result<serde_json::Value, BoxError> {
        let euros = payload["euros"].as_u64().ok_or("no euros")?;
        payload["cents"] = (euros * 100 + u64::from(version)).into();
        Ok(payload)
    }

    struct Book;
    impl AsyncHandler<Placed> for Book {
        async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
            job.resource::<tests::kit::Log>().unwrap().add(placed.cents.to_string());
            Ok(())
        }
    }
    struct Track;
    impl AsyncHandler<shop::Shipped> for Track {
        async fn handle(&self, shipped: &shop::Shipped, job: &Job) -> HandlerResult {
            job.resource::<tests::kit::Log>().unwrap().add(format!("parcel {}", shipped.parcel));
            Ok(())
        }
    }

    fn stored(version: u32, payload: &str) -> NewJob {
        NewJob { point_version: version, max_attempts: 1, ..new_job("order.placed/Book", payload) }
    }

    #[tokio::test]
    async fn the_stored_job_has_the_name_and_the_version_and_old_payloads_run_as_todays_type() {
        let builder = Extensions::builder()
            .register_async::<Placed, _>(Book, AsyncOptions::new())
            .register_async::<shop::Shipped, _>(Track, AsyncOptions::new());
        let (ext, queue) = on_memory(builder).await;
        ext.fire(Placed { cents: 7 }).await.unwrap();
        ext.fire(shop::Shipped { parcel: 5 }).await.unwrap();
        let kept: Vec<_> =
            jobs(&queue).await.iter().map(|job| (job.handler.to_string(), job.point_version)).collect();
        assert_eq!(kept, [("order.placed/Book".into(), 3), ("Shipped/Track".into(), 1)]);
        ext.push(vec![stored(1, r#"{"euros":2}"#), stored(2, r#"{"euros":3}"#)]).await.unwrap();
        assert_eq!(work(&ext).await.completed, 4);
        let mut seen = lines(&ext);
        seen.sort();
        assert_eq!(seen, ["201", "302", "7", "parcel 5"]);
    }
}

/// 2.3: inline handlers return the point's output: nothing, a type of its own, or a verdict that can veto.
mod item_2_3_outputs_and_verdicts {
    use super::*;

    #[derive(ExtensionPoint)]
    struct Told;

    #[derive(ExtensionPoint)]
    #[extension_point(output = Vec<&'static str>)]
    struct Asked;

    #[derive(ExtensionPoint)]
    #[extension_point(interruptible)]
    struct Judged(bool);

    #[tokio::test]
    async fn the_output_is_what_each_inline_handler_returns_and_a_verdict_can_veto() {
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .register_fn::<Told>("told", |_, _| Ok(()), HandlerOptions::new())
                .register_fn::<Asked>("a", |_, _| Ok(vec!["one", "two"]), HandlerOptions::new())
                .register_fn::<Asked>("b", |_, _| Ok(vec![]), HandlerOptions::new())
                .register_fn::<Judged>(
                    "judge",
                    |judged, _| Ok(if judged.0 { Verdict::veto("guilty") } else { Verdict::Continue }),
                    HandlerOptions::new(),
                ),
        )
        .await;
        assert_eq!(ext.fire(Told).await.unwrap().outputs().count(), 0);
        let asked = ext.fire(Asked).await.unwrap();
        assert_eq!(asked.outputs().cloned().collect::<Vec<_>>(), [vec!["one", "two"], vec![]]);
        let judged = ext.fire(Judged(true)).await.unwrap();
        assert_eq!(judged.veto().map(|veto| (veto.by(), veto.reason())), Some(("judge", "guilty")));
        assert!(matches!(judged.into_result().unwrap_err().kind(), FireErrorKind::Vetoed));
        assert!(ext.allows(Judged(false)).await.unwrap() && !ext.allows(Judged(true)).await.unwrap());
    }
}

/// 2.4: what has one name twice stops start-up with both places and both ways out.
mod item_2_4_names_used_twice {
    use super::*;

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "twice")]
    struct One;
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "twice")]
    struct Other;

    struct Store;
    impl<P: QueuedPoint> AsyncHandler<P> for Store {
        async fn handle(&self, _: &P, job: &Job) -> HandlerResult {
            job.resource::<tests::kit::Log>().unwrap().add(job.handler().to_string());
            Ok(())
        }
    }
    struct Keep;
    impl<P: QueuedPoint> AsyncHandler<P> for Keep {
        async fn handle(&self, _: &P, job: &Job) -> HandlerResult {
            job.resource::<tests::kit::Log>().unwrap().add(job.handler().to_string());
            Ok(())
        }
    }

    fn clashing() -> extensions::ExtensionsBuilder {
        let named = AsyncOptions::new().name("same");
        Extensions::builder()
            .register_async::<One, _>(Store, named.clone())
            .register_async::<One, _>(Keep, named)
            .register_async::<Other, _>(Store, AsyncOptions::new().name("else"))
    }

    #[tokio::test]
    async fn both_places_and_the_ways_out_are_named_and_the_ways_out_work_to_the_end() {
        let queue = Arc::new(Memory::new());
        let error = clashing().shared_queue(queue).build().await.unwrap_err();
        let said: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:#?}");
        let path = module_path!();
        for (way_out, attribute) in [
            (format!(".rename_handler(\"{path}::Keep\""), "name = \"…\""),
            (format!(".rename_point(\"{path}::Other\""), "#[extension_point(name = \"…\")]"),
        ] {
            let one = said.iter().find(|text| text.contains(&way_out)).unwrap_or_else(|| panic!("{said:#?}"));
            assert!(one.contains(attribute), "{one}");
            assert_eq!(one.matches("section_2_points.rs:").count(), 2, "{one}");
        }
        let renamed = clashing()
            .rename_handler(format!("{path}::Keep"), "kept")
            .rename_point(format!("{path}::Other"), "other");
        let (ext, _queue) = on_memory(renamed).await;
        assert_eq!(names::<One>(&ext), ["kept", "same"]);
        ext.fire(One).await.unwrap();
        ext.fire(Other).await.unwrap();
        assert_eq!(work(&ext).await.completed, 3);
        let mut seen = lines(&ext);
        seen.sort();
        assert_eq!(seen, ["other/else", "twice/kept", "twice/same"]);
    }
}
