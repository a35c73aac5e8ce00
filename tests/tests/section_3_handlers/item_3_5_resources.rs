//! 3.5: resources are taken at start-up; all that is missing is one error, before anything runs.

use super::*;

#[derive(ExtensionPoint)]
struct Given;

struct Absent;

static MADE: AtomicU32 = AtomicU32::new(0);

#[extension_handler(Given)]
struct Takes {
    #[inject]
    wanted: Arc<Wanted>,
    #[inject]
    maybe: Option<Arc<Absent>>,
}
impl Handler<Given> for Takes {
    fn handle(&self, _: &mut Given, cx: &Context) -> HandlerResult {
        assert!(self.maybe.is_none());
        cx.resource::<Log>().unwrap().add(format!("wanted {}", self.wanted.0));
        MADE.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[extension_handler(Given)]
fn by_parameter(_: &mut Given, wanted: Res<Wanted>, log: Res<Log>) {
    log.add(format!("parameter {}", wanted.0));
}

#[tokio::test]
async fn fields_and_parameters_are_given_and_all_that_is_missing_is_named_at_once() {
    let (ext, _queue) = on_memory(discovered()).await;
    ext.fire(Given).await.unwrap();
    assert_eq!(lines(&ext), ["wanted 3", "parameter 3"]);
    let before = MADE.load(Ordering::SeqCst);
    let error = Extensions::builder().discover().queue(Memory::new()).build().await.unwrap_err();
    let said = error.to_string();
    for handler in ["item_3_5_resources::Takes`", "item_3_5_resources::by_parameter`"] {
        let line = said.lines().find(|line| line.contains(handler) && line.contains("::Wanted`"));
        assert!(line.is_some_and(|line| line.contains(".resource(…)")), "{handler}: {said}");
    }
    assert!(!said.contains("Absent"), "{said}");
    assert_eq!(MADE.load(Ordering::SeqCst), before);
}
