//! 4.10: many points, one push; one point's veto or error keeps back only its own jobs.

use super::*;

#[tokio::test]
async fn the_results_stand_in_the_points_order_and_one_push_takes_the_jobs_of_those_that_passed() {
    let pushes = Pushes::default();
    let (ext, queue) = on_memory(shop().push_layer(pushes.clone())).await;
    let points = [placed("", ""), placed("second", ""), placed("", "second"), placed("", "")];
    let fired = ext.fire_many(points).await;
    let queued: Vec<_> =
        fired.iter().map(|one| one.as_ref().map_or(99, |fired| fired.queued().len())).collect();
    assert_eq!(queued, [2, 99, 0, 2]);
    assert!(fired[2].as_ref().unwrap().veto().is_some());
    assert_eq!(*pushes.0.lock().unwrap(), [4]);
    assert_eq!(jobs(&queue).await.len(), 4);
}
