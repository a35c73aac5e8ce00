//! 4.8: one fire changes the options of its jobs, of all or of one, and chooses handlers.

use super::*;

#[tokio::test]
async fn delay_queue_priority_uniqueness_and_tags_for_all_and_for_one_and_the_next_fire_has_none() {
    let (ext, queue) = on_memory(shop()).await;
    let fire = || {
        ext.point(placed("", ""))
            .on_queue("bulk")
            .delay(secs(60))
            .priority(1)
            .unique(true)
            .tags(["fast"])
            .options_for::<Book>(AsyncOptions::new().queue("special").priority(9).tags(["more"]))
            .fire()
    };
    assert_eq!(fire().await.unwrap().queued().len(), 2);
    assert_eq!(fire().await.unwrap().duplicates().len(), 2);
    let stored = jobs(&queue).await;
    let shown: Vec<_> = stored
        .iter()
        .map(|job| (job.queue.as_str(), job.priority, job.state, job.meta.tags.join("+")))
        .collect();
    let scheduled = JobState::Scheduled;
    assert_eq!(shown, [("bulk", 1, scheduled, "fast".into()), ("special", 9, scheduled, "fast+more".into())]);
    ext.fire(placed("", "")).await.unwrap();
    let stored = jobs(&queue).await;
    let next: Vec<_> = stored[2..].iter().map(|job| (job.queue.as_str(), job.state)).collect();
    assert_eq!(next, [("default", JobState::Available), ("books", JobState::Available)]);
}

#[tokio::test]
async fn only_and_except_choose_inline_and_async_handlers() {
    let (ext, _queue) = on_memory(shop()).await;
    let fired = ext.point(placed("", "")).only::<Mail>().only_named("second").fire().await.unwrap();
    assert_eq!(fired.point().seen, ["second"]);
    assert_eq!(fired.queued()[0].handler().handler(), "Mail");
    let left = ["first", "Book"].map(|name| (name.to_owned(), SkipReason::NotChosen));
    assert_eq!(skips(fired.skipped()), left);
    let fired = ext.point(placed("", "")).except::<Mail>().except_named("second").fire().await.unwrap();
    assert_eq!((&*fired.point().seen, fired.queued().len()), (&["first".to_owned()][..], 1));
}
