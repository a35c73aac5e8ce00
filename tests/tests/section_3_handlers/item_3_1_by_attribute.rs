//! 3.1: by attribute on a unit struct, a struct with injected fields, a function, sync or async; on several points.

use super::*;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct First;
#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Second;

#[extension_handler(First, priority = 1)]
struct Unit;
impl Handler<First> for Unit {
    fn handle(&self, _: &mut First, cx: &Context) -> HandlerResult {
        cx.resource::<Log>().unwrap().add("unit");
        Ok(())
    }
}

#[extension_handler(First, priority = 2)]
#[extension_handler(Second, priority = 2, awaited)]
struct Injected {
    #[inject]
    log: Arc<Log>,
    calls: AtomicU32,
}
impl Handler<First> for Injected {
    fn handle(&self, _: &mut First, _: &Context) -> HandlerResult {
        self.log.add(format!("injected {}", self.calls.fetch_add(1, Ordering::Relaxed)));
        Ok(())
    }
}
impl AwaitedHandler<Second> for Injected {
    async fn handle(&self, _: &mut Second, _: &Context) -> HandlerResult {
        tokio::task::yield_now().await;
        self.log.add(format!("awaited {}", self.calls.fetch_add(1, Ordering::Relaxed)));
        Ok(())
    }
}

#[extension_handler(First, priority = 3)]
fn function(_: &mut First, log: Res<Log>) {
    log.add("function");
}

#[extension_handler(Second, priority = 3)]
#[extension_handler(First, priority = 4)]
async fn on_both(log: Res<Log>) {
    log.add("async function");
}

#[extension_handler(First)]
#[async_handler(queue = "later")]
async fn queued(_: &First, log: Res<Log>) {
    log.add("queued function");
}

#[tokio::test]
async fn every_form_runs_and_one_value_serves_all_its_points() {
    let (ext, _queue) = on_memory(discovered()).await;
    ext.fire(First).await.unwrap();
    assert_eq!(lines(&ext), ["unit", "injected 0", "function", "async function"]);
    ext.fire(Second).await.unwrap();
    assert_eq!(lines(&ext), ["awaited 1", "async function"]);
    let worker = ext.worker().queues(["later"]).stop_when_empty().run_until(std::future::pending());
    assert_eq!(in_time("the job", worker).await.unwrap().completed, 1);
    assert_eq!(lines(&ext), ["queued function"]);
}
