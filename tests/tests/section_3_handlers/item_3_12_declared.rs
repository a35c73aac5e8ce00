//! 3.12: a program that fires but has not the handler's code declares it.

use extensions::queue::QueueBackend;

use super::*;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Printed;

declare_handler!(Printed => "make_pdf", queue = "documents", max_attempts = 5);

struct Pdf;
impl AsyncHandler<Printed> for Pdf {
    async fn handle(&self, _: &Printed, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add(format!("{} {}", job.queue(), job.max_attempts()));
        Ok(())
    }
}

fn defined(attempts: u32) -> AsyncOptions {
    AsyncOptions::new().name("make_pdf").queue("documents").max_attempts(attempts)
}

#[tokio::test]
async fn it_queues_what_another_program_runs_and_must_agree_with_the_definition_where_both_are() {
    let (web, queue) = on_memory(discovered()).await;
    let queued = web.fire(Printed).await.unwrap().queued()[0].clone();
    assert_eq!(queued.handler().to_string(), "Printed/make_pdf");
    let worker = web.worker().queues(["documents"]).stop_when_empty().run_until(std::future::pending());
    assert_eq!(in_time("the web's worker", worker).await.unwrap().completed, 0);
    let printer = Extensions::builder().register_async::<Printed, _>(Pdf, defined(5));
    let (printer, _) = tests::kit::on(printer, Arc::clone(&queue) as Arc<dyn QueueBackend>).await;
    let worker = printer.worker().queues(["documents"]).stop_when_empty().run_until(std::future::pending());
    assert_eq!(in_time("the printer's worker", worker).await.unwrap().completed, 1);
    assert_eq!(lines(&printer), ["documents 5"]);
    let both = |attempts| {
        let builder = discovered().register_async::<Printed, _>(Pdf, defined(attempts));
        builder.resource(Log::default()).queue(Memory::new()).build()
    };
    assert_eq!(both(5).await.unwrap().count_handlers::<Printed>(), 1);
    let said = both(2).await.unwrap_err().to_string();
    assert!(said.contains("`max_attempts` 5 against 2"), "{said}");
}
