//! 4.3: a push that fails gives back the report and the jobs, and can be repeated.

use super::*;

#[tokio::test]
async fn the_jobs_are_pushed_again_without_the_inline_handlers_and_are_there_once() {
    let queue = FaultyQueue::new(Memory::new());
    let (ext, stored) = on(shop(), Arc::new(queue.clone())).await;
    for lost in [false, true] {
        let before = jobs(&stored).await.len();
        if lost {
            queue.lose_next_push_answers(1);
        } else {
            queue.fail_next_pushes(1, QueueErrorKind::Unavailable);
        }
        let error = ext.fire(placed("", "")).await.unwrap_err();
        assert!(matches!(error.kind(), FireErrorKind::PushFailed(_)), "{error:?}");
        assert_eq!(error.point::<Placed>().unwrap().seen, ["first", "second"]);
        assert_eq!(error.unqueued().len(), 2);
        for _ in 0..2 {
            assert_eq!(ext.push(error.unqueued().clone()).await.unwrap(), [Pushed::Queued; 2]);
        }
        assert_eq!(jobs(&stored).await.len(), before + 2, "lost answer: {lost}");
    }
}

#[tokio::test]
async fn a_fire_that_is_dropped_has_pushed_all_its_jobs_or_none() {
    struct Waits;
    impl AwaitedHandler<Placed> for Waits {
        async fn handle(&self, _: &mut Placed, _: &Context) -> HandlerResult<Verdict> {
            pending().await
        }
    }
    let (ext, queue) = on_memory(shop().register_awaited::<Placed, _>(Waits, at(30))).await;
    let mut fire = Box::pin(ext.fire(placed("", "")));
    assert!(poll_once(fire.as_mut()).is_none());
    drop(fire);
    assert!(jobs(&queue).await.is_empty());
    for polls in 0..6 {
        let (ext, queue) = on_memory(shop()).await;
        let mut fire = Box::pin(ext.fire(placed("", "")));
        for _ in 0..polls {
            if poll_once(fire.as_mut()).is_some() {
                break;
            }
        }
        drop(fire);
        assert!([0, 2].contains(&jobs(&queue).await.len()), "after {polls} polls");
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
