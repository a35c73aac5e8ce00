//! 3.7: tags and groups are disabled and enabled while the instance runs; no handler is lost.

use super::*;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Sold;

struct Mail;
impl AsyncHandler<Sold> for Mail {
    async fn handle(&self, _: &Sold, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add("mail");
        Ok(())
    }
}

fn tagged() -> ExtensionsBuilder {
    Extensions::builder()
        .register_fn::<Sold>("one", note("one"), at(1).tags(["slow", "stock"]))
        .register_fn::<Sold>("two", note("two"), at(2).group("reports"))
        .register_fn::<Sold>("three", note("three"), at(3).tags(["slow"]).group("reports"))
        .register_fn::<Sold>("four", note("four"), at(4))
        .register_async::<Sold, _>(Mail, AsyncOptions::new().tags(["slow"]))
}

async fn run(ext: &Extensions) -> Vec<String> {
    ext.fire(Sold).await.unwrap();
    work(ext).await;
    lines(ext)
}

const ALL: [&str; 5] = ["one", "two", "three", "four", "mail"];

#[tokio::test]
async fn each_holds_back_its_handlers_and_enabling_brings_them_back_in_their_places() {
    let (ext, _queue) = on_memory(tagged()).await;
    let registry = ext.registry();
    let slow = ext.disable_tag("slow");
    assert_eq!(run(&ext).await, ["two", "four"]);
    let fired = ext.fire(Sold).await.unwrap();
    let held = ["one", "three", "Mail"].map(|name| (name.to_owned(), SkipReason::Disabled));
    assert_eq!(skips(fired.skipped()), held);
    assert!(fired.queued().is_empty() && ext.is_tag_disabled("slow"));
    lines(&ext);
    let reports = ext.disable_group("reports");
    assert_eq!(run(&ext).await, ["four"]);
    drop(slow);
    assert_eq!(run(&ext).await, ["one", "four", "mail"]);
    drop(reports);
    assert_eq!(run(&ext).await, ALL);
    assert!(Arc::ptr_eq(&ext.registry(), &registry) && ext.switched_off() == Default::default());
}

#[tokio::test]
async fn a_disabled_tag_holds_for_those_that_are_registered_later_and_they_come_in_their_places() {
    let (ext, _queue) = on_memory(tagged()).await;
    let (slow, reports) = (ext.disable_tag("slow"), ext.disable_group("reports"));
    let later = Registrations::new()
        .register_fn::<Sold>("zero", note("zero"), at(0).tags(["slow"]))
        .register_fn::<Sold>("three.5", note("three.5"), at(3).group("reports"));
    let guard = ext.register_many(later).unwrap();
    assert_eq!(run(&ext).await, ["four"]);
    drop((slow, reports));
    assert_eq!(run(&ext).await, ["zero", "one", "two", "three", "three.5", "four", "mail"]);
    drop(guard);
    assert_eq!(run(&ext).await, ALL);
}

#[tokio::test]
async fn guards_nest_and_enabling_by_name_ends_them_all() {
    let (ext, _queue) = on_memory(tagged()).await;
    let (first, second) = (ext.disable_tag("slow"), ext.disable_tag("slow"));
    drop(first);
    assert_eq!(run(&ext).await, ["two", "four"]);
    ext.enable_tag("slow");
    assert_eq!(run(&ext).await, ALL);
    let third = ext.disable_tag("slow");
    drop(second);
    assert_eq!(run(&ext).await, ["two", "four"], "a guard ends what it began and nothing else");
    drop(third);
    ext.disable_group("reports").keep();
    assert_eq!(run(&ext).await, ["one", "four", "mail"]);
    ext.enable_group("reports");
    assert_eq!(run(&ext).await, ALL);
}
