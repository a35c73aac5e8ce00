//! Product 2.4, 3.1–3.5, 3.10–3.12: what is registered, in which order, and all that stops start-up.

use std::sync::Arc;

use extensions::handler::HandlerKind;
use extensions::prelude::*;
use extensions::queue::Memory;
use extensions::{ExtensionsBuilder, Resources};
use serde::{Deserialize, Serialize};

mod shop {
    use super::*;

    #[derive(Default, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, version = 2, unique_by = id, upcast = upcast)]
    pub(crate) struct Sold {
        pub(crate) id: u64,
    }

    pub(crate) fn upcast(
        version: u32,
        mut payload: serde_json::Value,
    ) -> Result<serde_json::Value, BoxError> {
        if version != 1 {
            return Err(format!("no version {version}").into());
        }
        payload["id"] = payload["number"].take();
        Ok(payload)
    }

    #[derive(ExtensionPoint)]
    pub(crate) struct Quiet;
}
use shop::{Quiet, Sold};

struct Mailer(&'static str);

#[extension_handler(Sold, priority = 50, tags = ["mail", "slow"], group = "mails", aliases = ["OldMail"])]
#[async_handler(queue = "emails", retries = 4, unique = true, unique_for = 60, tags = ["job"])]
#[deprecated(since = "0.2.0", note = "use the newsletter")]
struct SendMail {
    #[inject]
    mailer: Arc<Mailer>,
    _retries: u32,
}
impl AsyncHandler<Sold> for SendMail {
    async fn handle(&self, _: &Sold, _: &Job) -> HandlerResult {
        assert_eq!(self.mailer.0, "smtp");
        Ok(())
    }
}

#[extension_handler(Sold, name = "ledger", priority = -3)]
#[extension_handler(Quiet)]
#[derive(Default)]
struct Ledger;
impl Handler<Sold> for Ledger {
    fn handle(&self, _: &mut Sold, _: &Context) -> HandlerResult {
        Ok(())
    }
}
impl Handler<Quiet> for Ledger {
    fn handle(&self, _: &mut Quiet, _: &Context) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(Quiet, with = Configured::new)]
struct Configured(&'static str);
impl Configured {
    fn new(resources: &Resources) -> Result<Self, BoxError> {
        Ok(Self(resources.get::<Mailer>().ok_or("no mailer to copy from")?.0))
    }
}
impl Handler<Quiet> for Configured {
    fn handle(&self, _: &mut Quiet, _: &Context) -> HandlerResult {
        assert_eq!(self.0, "smtp");
        Ok(())
    }
}

declare_handler!(Sold => "make_pdf", queue = "documents", retries = 5);

/// Everything that is linked here, with the clash that another test is about out of the way.
fn linked() -> ExtensionsBuilder {
    Extensions::builder().discover().rename_point("registry::AlsoSold", "also.sold")
}

fn discovered() -> ExtensionsBuilder {
    linked().resource(Mailer("smtp")).queue(Memory::new())
}

async fn problems(builder: ExtensionsBuilder) -> Vec<String> {
    let error = builder.build().await.unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    let text = error.to_string();
    assert!(problems.iter().all(|problem| text.contains(problem.as_str())));
    problems
}

#[tokio::test]
async fn introspection_shows_everything_in_the_order_in_which_it_runs() {
    let ext = discovered().build().await.unwrap();
    let names: Vec<_> = ext.handlers_of::<Sold>().iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["ledger", "SendMail", "make_pdf"]);
    assert_eq!(ext.count_handlers::<Quiet>(), 2);
    let all = ext.handlers_of::<Sold>();
    let mail = &all[1];
    assert_eq!((mail.kind, mail.priority, mail.group.as_deref()), (HandlerKind::Async, 50, Some("mails")));
    assert_eq!(mail.tags, ["mail", "slow", "job"]);
    assert_eq!(mail.aliases, ["OldMail"]);
    assert_eq!(mail.path, "registry::SendMail");
    assert!(mail.location.file.ends_with("registry.rs") && mail.location.line > 1);
    assert_eq!(mail.deprecated.unwrap().note, Some("use the newsletter"));
    let options = mail.options.as_ref().unwrap();
    assert_eq!((options.queue.as_str(), options.max_attempts), ("emails", 4));
    let unique = options.unique.as_ref().unwrap();
    assert_eq!((unique.ttl, unique.by.as_slice()), (Some(secs(60)), &["id".to_owned()][..]));
    assert_eq!(all[2].kind, HandlerKind::Declared);
    let registry = ext.registry();
    let points: Vec<_> =
        registry.points().iter().map(|point| (&*point.name, point.version, point.handlers)).collect();
    assert_eq!(
        points,
        [("Elsewhere", 1, 0), ("Loud", 1, 0), ("Quiet", 1, 2), ("Sold", 2, 3), ("also.sold", 1, 0)]
    );
}

#[tokio::test]
async fn every_missing_resource_is_named_in_one_error() {
    let builder = linked().queue(Memory::new());
    let said = problems(builder).await;
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said.iter().any(|text| text.contains("`registry::SendMail`")
        && text.contains("registry::Mailer")
        && text.contains("`mailer`")));
    assert!(
        said.iter()
            .any(|text| text.contains("registry::Configured") && text.contains("no mailer to copy from"))
    );
}

#[tokio::test]
async fn async_handlers_without_a_queue_stop_start_up_and_say_what_to_write() {
    let said = problems(linked().resource(Mailer("smtp"))).await;
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("`Sold/SendMail`") && said[0].contains(".queue_url(\"sqlite://jobs.db\")"),
        "{said:?}"
    );
    assert!(said[0].contains("EXTENSIONS_QUEUE_URL"));
}

#[tokio::test]
async fn a_queue_that_cannot_be_opened_is_a_problem_of_start_up() {
    let said = problems(Extensions::builder().queue_url("mongodb://x")).await;
    assert!(said[0].contains("`mongodb` is no queue") && said[0].contains("`sqlite:`"), "{said:?}");
}

#[derive(ExtensionPoint)]
#[extension_point(name = "Sold")]
struct AlsoSold;

struct Plain;
impl<P: ExtensionPoint<Output = ()>> Handler<P> for Plain {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}
struct Twin;
impl<P: ExtensionPoint<Output = ()>> Handler<P> for Twin {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

fn clashing() -> ExtensionsBuilder {
    Extensions::builder()
        .register::<Sold, _>(Plain, HandlerOptions::new().name("ledger"))
        .register::<Sold, _>(Twin, HandlerOptions::new().name("ledger"))
        .register::<AlsoSold, _>(Plain, HandlerOptions::new())
}

#[tokio::test]
async fn names_used_twice_are_named_with_both_places_and_can_be_renamed() {
    let said = problems(clashing()).await;
    assert_eq!(said.len(), 2, "{said:#?}");
    let handlers = said.iter().find(|text| text.contains("two handlers of `Sold`")).unwrap();
    assert_eq!(handlers.matches("registry.rs:").count(), 2, "{handlers}");
    assert!(handlers.contains("rename_handler(\"registry::Twin\""), "{handlers}");
    let points = said.iter().find(|text| text.contains("two points")).unwrap();
    assert!(points.contains("registry::AlsoSold") && points.contains("registry::shop::Sold"), "{points}");
    assert_eq!(points.matches("registry.rs:").count(), 2, "{points}");
    let renamed =
        clashing().rename_point("registry::AlsoSold", "also.sold").rename_handler("registry::Twin", "twin");
    let ext = renamed.build().await.unwrap();
    let names: Vec<_> = ext.registry().handlers().iter().map(|info| info.key().to_string()).collect();
    assert_eq!(names, ["Sold/ledger", "Sold/twin", "also.sold/Plain"]);
}

#[tokio::test]
async fn a_rename_of_nothing_is_a_problem() {
    let said =
        problems(discovered().rename_point("shop::Nothing", "x").rename_handler("registry::Ledger", "a b"))
            .await;
    assert!(said.iter().any(|text| text.contains(".rename_point(\"shop::Nothing\"")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("without spaces")), "{said:?}");
}

struct Pdf;
impl AsyncHandler<Sold> for Pdf {
    async fn handle(&self, _: &Sold, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_declaration_agrees_with_its_definition_or_stops_start_up() {
    let defined = |retries| AsyncOptions::new().name("make_pdf").queue("documents").retries(retries);
    let ext = discovered().register_async::<Sold, _>(Pdf, defined(5)).build().await.unwrap();
    let info = ext.handlers_of::<Sold>().into_iter().find(|info| info.name == "make_pdf").unwrap();
    assert_eq!(info.kind, HandlerKind::Async);
    assert_eq!(ext.count_handlers::<Sold>(), 3);
    let said = problems(discovered().register_async::<Sold, _>(Pdf, defined(2))).await;
    assert!(
        said[0].contains("`max_attempts` 5 against 2") && said[0].matches("registry.rs:").count() == 2,
        "{said:?}"
    );
}

#[tokio::test]
async fn a_declared_handler_queues_jobs_that_another_program_runs() {
    let queue: Arc<dyn extensions::queue::QueueBackend> = Arc::new(Memory::new());
    let web = linked().resource(Mailer("smtp")).shared_queue(Arc::clone(&queue)).build().await.unwrap();
    let fired = web.fire(Sold { id: 1 }).await.unwrap();
    assert_eq!(fired.queued().len(), 2);
    let options = AsyncOptions::new().name("make_pdf").queue("documents");
    let printer = Extensions::builder()
        .register_async::<Sold, _>(Pdf, options)
        .shared_queue(queue)
        .build()
        .await
        .unwrap();
    let report = printer
        .worker()
        .queues(["documents"])
        .stop_when_empty()
        .run_until(std::future::pending())
        .await
        .unwrap();
    assert_eq!(report.completed, 1);
}

#[async_handler(queue = "crm", retries = 7, delay = "5s")]
struct SyncCrm;
impl AsyncHandler<Sold> for SyncCrm {
    async fn handle(&self, _: &Sold, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn registration_by_hand_starts_from_the_types_own_options_and_then_from_the_defaults() {
    let ext = Extensions::builder()
        .async_defaults(AsyncOptions::new().queue("everything").timeout(secs(5)))
        .register_async::<Sold, _>(SyncCrm, AsyncOptions::new().retries(2))
        .register_async::<Sold, _>(Pdf, AsyncOptions::new())
        .queue(Memory::new())
        .build()
        .await
        .unwrap();
    let options: Vec<_> =
        ext.registry().handlers().iter().map(|info| info.options.clone().unwrap()).collect();
    let (pdf, crm) = (&options[0], &options[1]);
    assert_eq!((crm.queue.as_str(), crm.max_attempts, crm.delay), ("crm", 2, secs(5)));
    assert_eq!((crm.timeout, pdf.timeout), (Some(secs(5)), Some(secs(5))));
    assert_eq!((pdf.queue.as_str(), pdf.max_attempts), ("everything", 3));
}

#[tokio::test]
async fn options_that_cannot_be_are_all_reported() {
    let wrong =
        AsyncOptions::new().retries(0).priority(10).queue("a b").unique_for(secs(1)).unique_by(["idd"]);
    let said =
        problems(Extensions::builder().register_async::<Sold, _>(Pdf, wrong).queue(Memory::new())).await;
    assert_eq!(said.len(), 6, "{said:#?}");
    for part in [
        "`unique_by` names `idd`, which the payload of `Sold` does not have; it has id",
        "`retries` is 0",
        "`priority` is 10",
        "`queue` is \"a b\"",
        "`unique_for` needs `unique`",
    ] {
        assert!(
            said.iter().any(|text| text.contains(part) && text.contains("registry.rs:")),
            "{part}: {said:#?}"
        );
    }
}

struct Told;
impl OnFailure<Sold> for Told {
    async fn on_failure(&self, _: &Sold, _: &JobError, _: &Job) {}
}
#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Elsewhere;
struct Any;
impl AsyncHandler<Elsewhere> for Any {
    async fn handle(&self, _: &Elsewhere, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_callback_for_another_point_is_a_problem() {
    let options = AsyncOptions::new().on_failure::<Sold, _>(Told);
    let said =
        problems(Extensions::builder().register_async::<Elsewhere, _>(Any, options).queue(Memory::new()))
            .await;
    assert!(said[0].contains("a callback is for the point `Sold`, not for `Elsewhere`"), "{said:?}");
}

#[tokio::test]
async fn what_main_prints_of_an_error_says_what_to_do() {
    let error = linked().resource(Mailer("smtp")).build().await.unwrap_err();
    assert!(format!("{error:?}").contains(".queue_url(\"sqlite://jobs.db\")"), "{error:?}");
    assert!(format!("{error:#?}").contains("NoQueue"), "{error:#?}");
    let error =
        Extensions::builder().queue_url("sqlite:///no/such/folder/jobs.db").build().await.unwrap_err();
    let said = format!("{error:?}");
    assert!(said.contains("/no/such/folder") && said.matches("No such file").count() <= 1, "{said}");
}

#[derive(ExtensionPoint)]
#[deprecated(note = "fire `Quiet`")]
struct Loud;

#[tokio::test]
async fn numbers_with_which_no_breaker_can_work_stop_start_up_once_and_blame_no_handler() {
    let options = extensions::BreakerOptions::new().threshold(0);
    let built = Extensions::builder().circuit_breaker(options);
    let built = built.register_fn::<Quiet>("one", |_, _| Ok(()), HandlerOptions::new());
    let error =
        built.register_fn::<Quiet>("two", |_, _| Ok(()), HandlerOptions::new()).build().await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the instance cannot start: 1 problem\n"), "{text}");
    assert!(text.contains("`.circuit_breaker(…)`: `threshold` is 0"), "{text}");
}

#[tokio::test]
async fn a_registration_that_is_refused_while_the_instance_runs_says_so() {
    let ext = Extensions::builder().build().await.unwrap();
    let count = || ext.register_fn::<Quiet>("count", |_, _| Ok(()), HandlerOptions::new());
    let _first = count().unwrap();
    let text = count().unwrap_err().to_string();
    assert!(text.starts_with("nothing was registered: 1 problem\n"), "{text}");
    assert!(text.contains("`.name(\"…\")` in its options"), "{text}");
}

#[tokio::test]
async fn a_deprecated_point_is_flagged_in_the_listing() {
    #[expect(deprecated, reason = "it is what is listed")]
    let builder = Extensions::builder().register_fn::<Loud>("hear", |_, _| Ok(()), HandlerOptions::new());
    let registry = builder.build().await.unwrap().registry();
    let point = registry.points().iter().find(|point| point.name == "Loud").unwrap();
    assert_eq!(point.deprecated.unwrap().note, Some("fire `Quiet`"));
}
