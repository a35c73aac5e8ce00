//! Q13, Q14 and Q16 over many lanes: a lane is a queue, a handler and a version.

use std::time::Duration;

use super::super::bench::{Bench, SHORT, claimed_ids, handler, ids, job, jobs, known, retry};
use super::cases;
use crate::job::{HandlerKey, JobId, NewJob, QueueName};
use crate::queue::{ClaimRequest, KnownHandler, Settle};

fn lane(n: usize) -> HandlerKey {
    HandlerKey::new(&format!("Point{}", n / 4), &format!("handler{n}"))
}

fn lanes(n: usize) -> Vec<KnownHandler> {
    (0..n).map(|n| known(&lane(n))).collect()
}

/// Claims by `max` until nothing is left; the ids in their order.
async fn drain(bench: &Bench, request: ClaimRequest) -> Vec<JobId> {
    let mut order = Vec::new();
    loop {
        let claimed = bench.reserve(request.clone()).await.jobs;
        if claimed.is_empty() {
            return order;
        }
        assert!(claimed.len() <= request.max, "{} of {}", claimed.len(), request.max);
        order.extend(claimed_ids(&claimed));
    }
}

cases! {
    [13 16] => more_lanes_than_are_asked_for_are_merged_into_one_order(bench) {
        let batch: Vec<_> = (0..120).map(|n| NewJob { handler: lane(n * 7 % 40), ..job() }).collect();
        bench.push(batch.clone()).await;
        let request = ClaimRequest { handlers: lanes(40).into(), ..bench.request(3) };
        assert_eq!(drain(&bench, request).await, ids(&batch));
    }

    [13] Priority => priority_counts_before_time_and_time_before_the_push_across_lanes(bench) {
        let delay = |n: usize| SHORT / 3 * u32::try_from(n % 4).unwrap_or_default();
        let priority = |n: usize| u8::try_from(n * 3 % 10).unwrap_or_default();
        let batch: Vec<_> = (0..100)
            .map(|n| NewJob { handler: lane(n * 7 % 11), priority: priority(n), delay: delay(n), ..job() })
            .collect();
        bench.push(batch.clone()).await;
        bench.pass(SHORT).await;
        let mut wanted: Vec<_> = (0..100).collect();
        wanted.sort_by_key(|n| (priority(*n), delay(*n), *n));
        let request = ClaimRequest { handlers: lanes(11).into(), ..bench.request(7) };
        let order = drain(&bench, request).await;
        assert_eq!(order, wanted.iter().map(|n| batch[*n].id).collect::<Vec<_>>());
    }

    [13] Priority => all_ten_priorities_are_told_apart(bench) {
        let batch: Vec<_> = (0..=9).rev().map(|priority| NewJob { priority, ..job() }).collect();
        bench.push(batch.clone()).await;
        let mut wanted = ids(&batch);
        wanted.reverse();
        assert_eq!(claimed_ids(&bench.claim(10).await), wanted);
    }

    [13] => versions_of_one_handler_are_merged_into_one_order(bench) {
        let batch: Vec<_> = (0..30).map(|n| NewJob { point_version: 1 + n * 7 % 5, ..job() }).collect();
        bench.push(batch.clone()).await;
        let handlers = vec![KnownHandler { handler: handler(), max_version: 5 }].into();
        assert_eq!(drain(&bench, ClaimRequest { handlers, ..bench.request(4) }).await, ids(&batch));
    }

    [13] => an_urgent_queue_goes_before_a_better_priority_of_a_later_one(bench) {
        let queues: Vec<_> = ["first", "second", "third"].map(QueueName::from).into();
        let at = |n: usize| NewJob {
            queue: queues[n % 3].clone(),
            handler: lane(n % 7),
            priority: u8::try_from(n % 3).map_or(9, |queue| 9 - queue),
            ..job()
        };
        let batch: Vec<_> = (0..42).map(at).collect();
        bench.push(batch.clone()).await;
        let request = ClaimRequest { queues, handlers: lanes(7).into(), ..bench.request(5) };
        let mut wanted: Vec<_> = (0..42).collect();
        wanted.sort_by_key(|n| n % 3);
        let order = drain(&bench, request).await;
        assert_eq!(order, wanted.iter().map(|n| batch[*n].id).collect::<Vec<_>>());
    }

    [13 28] => what_comes_back_stands_before_what_came_later_in_other_lanes(bench) {
        let batch: Vec<_> = (0..6).map(|n| NewJob { handler: lane(n % 3), ..job() }).collect();
        bench.push(batch.clone()).await;
        let request = |max| ClaimRequest { handlers: lanes(3).into(), ..bench.request(max) };
        let claimed = bench.reserve(request(4)).await.jobs;
        for back in [2, 0] {
            bench.end(&claimed[back], Settle::Release).await;
        }
        let wanted = [0, 2, 4, 5].map(|n: usize| batch[n].id);
        assert_eq!(drain(&bench, request(1)).await, wanted);
    }

    [13 27] => a_retry_goes_behind_what_could_run_before_it(bench) {
        let (first, second) = (NewJob { handler: lane(0), ..job() }, NewJob { handler: lane(1), ..job() });
        let request = |max| ClaimRequest { handlers: lanes(2).into(), ..bench.request(max) };
        bench.push([first.clone(), second.clone()]).await;
        let claimed = bench.reserve(request(1)).await.jobs.remove(0);
        bench.pass(Duration::from_millis(5)).await;
        bench.end(&claimed, retry(Duration::ZERO)).await;
        assert_eq!(drain(&bench, request(1)).await, [second.id, first.id]);
    }

    [14] Filter => a_few_of_many_lanes_are_served(bench) {
        let batch: Vec<_> = (0..300).map(|n| NewJob { handler: lane(n), ..job() }).collect();
        bench.push(batch.clone()).await;
        let mine = [known(&lane(299)), known(&lane(150)), known(&lane(7)), known(&lane(1000))];
        let claimed = bench.reserve(ClaimRequest { handlers: mine.into(), ..bench.request(10) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), [batch[7].id, batch[150].id, batch[299].id]);
        let rest = drain(&bench, ClaimRequest { handlers: lanes(300).into(), ..bench.request(100) }).await;
        assert_eq!(rest.len(), 297);
    }

    [14] Filter => a_handler_that_is_named_twice_is_served_once_up_to_its_newest_version(bench) {
        let batch: Vec<_> = (1..=3).map(|point_version| NewJob { point_version, ..job() }).collect();
        bench.push(batch.clone()).await;
        let named = |max_version| KnownHandler { handler: handler(), max_version };
        let handlers = vec![named(1), named(2), named(1)].into();
        let claimed = bench.reserve(ClaimRequest { handlers, ..bench.request(10) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), ids(&batch[..2]));
    }

    [14] Filter => handlers_that_begin_alike_are_told_apart(bench) {
        let names = ["a", "a:1", "a/1", "ab", "A", "a ", "a%", "a_", "ax"];
        let of = |name: &str| HandlerKey::from(format!("Point/{name}"));
        bench.push(names.map(|name| NewJob { handler: of(name), ..job() })).await;
        for name in names {
            let request = ClaimRequest { handlers: vec![known(&of(name))].into(), ..bench.request(100) };
            let claimed = bench.reserve(request).await.jobs;
            assert_eq!(claimed.iter().map(|job| job.handler.clone()).collect::<Vec<_>>(), [of(name)]);
        }
    }

    [14 13] => a_lane_that_ran_empty_is_served_again(bench) {
        for round in 0..5 {
            let batch: Vec<_> = (0..4).map(|n| NewJob { handler: lane((n + round) % 5), ..job() }).collect();
            bench.push(batch.clone()).await;
            let request = ClaimRequest { handlers: lanes(5).into(), ..bench.request(3) };
            assert_eq!(drain(&bench, request).await, ids(&batch));
        }
        bench.push(jobs(1)).await;
        assert_eq!(bench.claim(10).await.len(), 1);
    }
}
