//! Q26 and Q40: what is kept of a completed job, and the jobs that follow it.

use std::sync::Arc;

use super::super::bench::{
    Bench, LONG, SHORT, claimed_ids, complete, followed_by, ids, job, jobs, known, queue, settlement,
    start_and_drop, unique,
};
use super::cases;
use crate::job::{HandlerKey, JobState, LeaseToken, NewJob, Payload, QueueName};
use crate::queue::{ClaimRequest, Pushed, Settle, Settled, Settlement};

fn with_result(result: &[u8]) -> Settle {
    Settle::Complete { keep: true, result: Some(Payload::from(result)), follow_ups: Arc::default() }
}

/// Claims an ordinary job, which is completed with these jobs to follow.
async fn complete_with(bench: &Bench, follow_ups: &[NewJob]) {
    bench.pushed().await;
    bench.assert_claimable_then(followed_by(follow_ups)).await;
}

cases! {
    [26] List => a_result_stays_with_the_record(bench) {
        let id = bench.pushed().await;
        let result = "{\"text\":\"Zoë 'quoted' \\u0000\",\"n\":[1.50]}".as_bytes();
        bench.assert_claimable_then(with_result(result)).await;
        assert_eq!(bench.record(id).await.result, Some(Payload::from(result)));
        let listed = bench.backend.list(crate::queue::JobFilter::default()).await.unwrap();
        assert_eq!(listed[0].result, Some(Payload::from(result)));
        bench.maintain().await;
        assert_eq!(bench.record(id).await.result, Some(Payload::from(result)), "upkeep leaves it alone");
    }

    [26] List => where_none_was_given_there_is_no_result(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(complete()).await;
        assert_eq!(bench.record(id).await.result, None);
    }

    [26] List => each_job_keeps_its_own_result(bench) {
        let batch = jobs(20);
        bench.push(batch.clone()).await;
        let claimed = bench.claim(20).await;
        let end = |n: usize| if n.is_multiple_of(3) { complete() } else { with_result(n.to_string().as_bytes()) };
        let ends = claimed.iter().enumerate().map(|(n, job)| settlement(job, end(n)));
        assert_eq!(bench.backend.settle(ends.collect()).await.unwrap(), [Settled::Done; 20]);
        for (n, record) in bench.backend.get(ids(&batch)).await.unwrap().into_iter().flatten().enumerate() {
            let wanted = (!n.is_multiple_of(3)).then(|| n.to_string());
            assert_eq!(record.result.map(|result| result.to_text()), wanted);
        }
    }

    [26] List => a_large_result_comes_back_whole(bench) {
        let result = vec![b'7'; 1_048_576];
        let id = bench.pushed().await;
        bench.assert_claimable_then(with_result(&result)).await;
        assert!(bench.record(id).await.result == Some(Payload::from(result)));
    }

    [26 24] List Lease => a_lost_completion_leaves_no_result(bench) {
        let id = bench.pushed().await;
        let stale = bench.take_for(SHORT).await;
        bench.lose().await;
        assert_eq!(bench.settle(&stale, with_result(b"1")).await, Settled::LeaseLost);
        assert_eq!(bench.record(id).await.result, None);
        bench.assert_claimable_then(with_result(b"2")).await;
        assert_eq!(bench.settle(&stale, with_result(b"1")).await, Settled::LeaseLost);
        assert_eq!(bench.record(id).await.result, Some(Payload::from(b"2".as_slice())));
    }

    [40] FollowUps => follow_ups_are_stored_with_the_completion(bench) {
        let follow_ups = jobs(3);
        complete_with(&bench, &follow_ups).await;
        let claimed = bench.claim(10).await;
        assert_eq!(claimed_ids(&claimed), ids(&follow_ups));
        assert!(claimed.iter().all(|job| job.attempt == 1));
    }

    [40 26] FollowUps => a_job_without_a_record_is_followed_too(bench) {
        let follow_ups = jobs(2);
        bench.pushed().await;
        let end = Settle::Complete { keep: false, result: None, follow_ups: follow_ups.clone().into() };
        bench.assert_claimable_then(end).await;
        assert_eq!(claimed_ids(&bench.claim(10).await), ids(&follow_ups));
    }

    [40 11] FollowUps => a_follow_up_is_a_job_as_any_other(bench) {
        let other = NewJob {
            queue: QueueName::from("other"),
            handler: HandlerKey::new("Shipped", "tell"),
            point_version: 3,
            payload: Payload::from(b"{}".as_slice()),
            priority: 1,
            max_attempts: 9,
            on_failure: true,
            ..job()
        };
        complete_with(&bench, std::slice::from_ref(&other)).await;
        let handlers = vec![crate::queue::KnownHandler { handler: other.handler.clone(), max_version: 3 }].into();
        let request = ClaimRequest { queues: vec![other.queue.clone()], handlers, ..bench.request(1) };
        let claimed = bench.reserve(request).await.jobs.remove(0);
        assert_eq!((claimed.id, claimed.point_version, claimed.payload), (other.id, 3, other.payload));
        assert_eq!((claimed.priority, claimed.max_attempts, claimed.on_failure), (1, 9, true));
        assert_eq!(claimed.meta, other.meta);
    }

    [40 10] FollowUps List => a_follow_up_may_have_a_delay(bench) {
        let delayed = NewJob { delay: LONG, ..job() };
        complete_with(&bench, std::slice::from_ref(&delayed)).await;
        assert_eq!(bench.state(delayed.id).await, JobState::Scheduled);
        bench.assert_nothing_to_claim().await;
        let due = bench.reserve(bench.request(1)).await.next_due.expect("it is due some day");
        assert!(due > LONG / 2, "{due:?}");
    }

    [40 7] FollowUps => a_follow_up_that_is_stored_is_not_stored_again(bench) {
        let there = job();
        bench.push([there.clone()]).await;
        bench.assert_claimable_then(complete()).await;
        let new = job();
        complete_with(&bench, &[there.clone(), new.clone(), new.clone()]).await;
        assert_eq!(claimed_ids(&bench.claim(10).await), [new.id]);
    }

    [40 8] FollowUps Unique => a_follow_up_whose_key_is_held_is_not_stored(bench) {
        let holder = NewJob { priority: 9, ..unique("k") };
        bench.push([holder.clone()]).await;
        let follow_ups = [unique("k"), job(), unique("new"), unique("new")];
        complete_with(&bench, &follow_ups).await;
        assert_eq!(claimed_ids(&bench.claim(10).await), [follow_ups[1].id, follow_ups[2].id, holder.id]);
        let answers = bench.push([unique("k"), unique("new")]).await;
        assert_eq!(answers, [Pushed::Duplicate { of: holder.id }, Pushed::Duplicate { of: follow_ups[2].id }]);
    }

    [40 9] FollowUps Unique => a_follow_up_may_take_the_key_that_its_job_frees(bench) {
        for keep in [true, false] {
            let (first, second) = (unique("k"), unique("k"));
            bench.push([first.clone()]).await;
            let end = Settle::Complete { keep, result: None, follow_ups: Arc::from([second.clone()]) };
            bench.assert_claimable_then(end).await;
            let claimed = bench.take().await;
            assert_eq!(claimed.id, second.id);
            assert_eq!(bench.push([unique("k")]).await, [Pushed::Duplicate { of: second.id }]);
            bench.end(&claimed, complete()).await;
        }
    }

    [40 24] FollowUps Lease => a_lost_completion_stores_no_follow_ups(bench) {
        bench.pushed().await;
        let stale = bench.take_for(SHORT).await;
        bench.lose().await;
        assert_eq!(bench.settle(&stale, followed_by(&[job(), unique("k")])).await, Settled::LeaseLost);
        let current = bench.take().await;
        bench.assert_nothing_to_claim().await;
        bench.end(&current, complete()).await;
        assert_eq!(bench.settle(&current, followed_by(&jobs(2))).await, Settled::LeaseLost);
        bench.assert_nothing_to_claim().await;
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued], "nor does it take a key");
    }

    [40 25] FollowUps => of_one_call_only_the_completions_that_take_effect_are_followed(bench) {
        bench.push(jobs(3)).await;
        let claimed = bench.claim(3).await;
        let follow_ups: Vec<_> = (0..3).map(|_| jobs(2)).collect();
        let ends = claimed.iter().enumerate().map(|(n, job)| {
            let token = if n == 1 { LeaseToken(u64::MAX) } else { job.token };
            Settlement { job: job.id, token, end: followed_by(&follow_ups[n]) }
        });
        let settled = bench.backend.settle(ends.collect()).await.unwrap();
        assert_eq!(settled, [Settled::Done, Settled::LeaseLost, Settled::Done]);
        let wanted = [ids(&follow_ups[0]), ids(&follow_ups[2])].concat();
        assert_eq!(claimed_ids(&bench.claim(10).await), wanted);
        bench.end(&claimed[1], complete()).await;
    }

    [40 25] FollowUps => a_job_that_is_completed_twice_in_one_call_is_followed_once(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        let (first, second) = (job(), job());
        let ends = [&first, &second].map(|job| settlement(&claimed, followed_by(std::slice::from_ref(job))));
        let settled = bench.backend.settle(ends.into()).await.unwrap();
        assert_eq!(settled, [Settled::Done, Settled::LeaseLost]);
        assert_eq!(claimed_ids(&bench.claim(10).await), [first.id]);
    }

    [40 4] FollowUps Obstruct => a_completion_that_was_refused_stores_no_follow_ups(bench) {
        let follow_ups = jobs(3);
        bench.pushed().await;
        let claimed = bench.take().await;
        let end = settlement(&claimed, followed_by(&follow_ups));
        let obstacle = bench.fixture.obstruct();
        bench.backend.settle(vec![end.clone()]).await.expect_err("the completion cannot succeed");
        drop(obstacle);
        bench.assert_nothing_to_claim().await;
        assert_eq!(bench.backend.settle(vec![end]).await.unwrap(), [Settled::Done]);
        assert_eq!(claimed_ids(&bench.claim(10).await), ids(&follow_ups));
    }

    [40 5] FollowUps List => a_dropped_completion_is_done_with_its_follow_ups_or_not_at_all(bench) {
        for _ in 0..20 {
            let follow_ups: Vec<_> = jobs(20).into_iter().map(|job| NewJob { queue: "after".into(), ..job }).collect();
            bench.pushed().await;
            let claimed = bench.take().await;
            drop(start_and_drop(bench.backend.settle(vec![settlement(&claimed, followed_by(&follow_ups))])));
            bench.push([NewJob { queue: "other".into(), ..job() }]).await;
            // One look at all of them: the call may take effect between two.
            let all = [vec![claimed.id], ids(&follow_ups)].concat();
            let mut found = bench.backend.get(all).await.unwrap().into_iter();
            let completed = found.next().flatten().is_some_and(|record| record.state == JobState::Completed);
            assert_eq!(found.flatten().count(), if completed { 20 } else { 0 });
        }
    }

    [40 12] FollowUps => of_two_completions_that_race_one_is_followed(bench) {
        let other = bench.fixture.reopen().await;
        for _ in 0..10 {
            bench.pushed().await;
            let claimed = bench.take().await;
            let (here, there) = (job(), job());
            let ends = [&here, &there].map(|job| vec![settlement(&claimed, followed_by(std::slice::from_ref(job)))]);
            let [first, second] = ends;
            let (first, second) = tokio::join!(bench.backend.settle(first), other.settle(second));
            let won = match (first.unwrap()[0], second.unwrap()[0]) {
                (Settled::Done, Settled::LeaseLost) => here,
                (Settled::LeaseLost, Settled::Done) => there,
                both => panic!("{both:?}"),
            };
            let next = bench.take().await;
            assert_eq!(next.id, won.id);
            bench.end(&next, complete()).await;
        }
    }

    [40 32] FollowUps => follow_ups_end_a_wait(bench) {
        let other = bench.fixture.reopen().await;
        let handler = HandlerKey::new("Shipped", "tell");
        for _ in 0..5 {
            bench.push([NewJob { queue: "first".into(), ..job() }]).await;
            let request = ClaimRequest { queues: vec!["first".into()], ..bench.request(1) };
            let claimed = bench.reserve(request).await.jobs.remove(0);
            let nothing = bench.reserve(bench.request(1)).await;
            let wait = bench.waits_after(&nothing);
            let follow_up = NewJob { handler: handler.clone(), queue: queue(), ..job() };
            other.settle(vec![settlement(&claimed, followed_by(&[follow_up]))]).await.unwrap();
            wait.ended().await;
            let handlers = vec![known(&handler)].into();
            assert_eq!(bench.reserve(ClaimRequest { handlers, ..bench.request(10) }).await.jobs.len(), 1);
        }
    }

    [40] FollowUps => five_hundred_may_follow(bench) {
        let follow_ups = jobs(500);
        complete_with(&bench, &follow_ups).await;
        assert_eq!(claimed_ids(&bench.claim_all().await), ids(&follow_ups));
    }

    [40 36] FollowUps => follow_ups_are_counted(bench) {
        complete_with(&bench, &jobs(4)).await;
        let stats = bench.stats_of(&queue()).await;
        assert_eq!((stats.count(JobState::Available), stats.count(JobState::Completed)), (4, 1));
    }

    [40 41] FollowUps Unique => a_follow_up_keeps_its_id_taken_as_a_push_does(bench) {
        let once = NewJob { once: Some(LONG), ..job() };
        complete_with(&bench, std::slice::from_ref(&once)).await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        complete_with(&bench, std::slice::from_ref(&once)).await;
        bench.assert_nothing_to_claim().await;
    }
}
