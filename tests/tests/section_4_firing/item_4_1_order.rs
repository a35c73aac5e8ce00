//! 4.1: inline handlers by priority, then all jobs in one push; an error or a veto queues nothing.

use super::*;

#[tokio::test]
async fn all_jobs_are_pushed_at_once_after_the_last_inline_handler_with_the_point_as_it_left_it() {
    let pushes = Pushes::default();
    let (ext, queue) = on_memory(shop().push_layer(pushes.clone())).await;
    let fired = ext.fire(placed("", "")).await.unwrap();
    assert_eq!(fired.point().seen, ["first", "second"]);
    assert_eq!(*pushes.0.lock().unwrap(), [2]);
    let stored = jobs(&queue).await;
    assert_eq!(stored[0].payload, stored[1].payload);
    assert_eq!(stored.iter().map(|job| job.handler.handler()).collect::<Vec<_>>(), ["Mail", "Book"]);
    let worker = ext.worker().queues(["default", "books"]).stop_when_empty().run_until(pending());
    in_time("the jobs", worker).await.unwrap();
    let mut seen = lines(&ext);
    seen.sort();
    assert_eq!(seen, ["book first+second", "mail first+second"]);
}

#[tokio::test]
async fn an_error_or_a_veto_of_any_inline_handler_queues_nothing() {
    let pushes = Pushes::default();
    let (ext, queue) = on_memory(shop().push_layer(pushes.clone())).await;
    for name in ["first", "second"] {
        assert_eq!(kind(ext.fire(placed(name, "")).await), "HandlerFailed");
        assert!(ext.fire(placed("", name)).await.unwrap().veto().is_some());
        assert!(ext.point(placed("", name)).graceful().fire().await.unwrap().veto().is_some());
    }
    assert!(jobs(&queue).await.is_empty() && pushes.0.lock().unwrap().is_empty());
}
