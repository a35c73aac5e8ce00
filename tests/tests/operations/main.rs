//! Every command of `docs/operations.md`, as it stands there, in a shell, on a live store: what it says is compared with the page, what became of
//! it with the store. Each section is one test, in which the page's commands are run in their order and none is left out.

mod page;
mod shop;

use std::collections::{BTreeMap, BTreeSet};

use extensions::job::JobState::{Available, Completed, Dead, Running};

use self::page::{Page, Section};
use self::shop::{Console, Shop, free_port, until_probe};

/// A test of each section, by the shop's own binary and, where no handler is run, by `extensions`.
macro_rules! sections {
    ($($story:ident: $heading:literal)+) => {
        const SECTIONS: &[&str] = &[$($heading),+];

        $(mod $story {
            use super::*;

            #[tokio::test]
            async fn by_the_own_binary() {
                let mut section = Page::read().section($heading, Shop::open(Console::Own));
                super::$story(&mut section).await;
                section.end();
            }

            #[tokio::test]
            async fn by_the_stand_alone_one() {
                let mut section = Page::read().section($heading, Shop::open(Console::StandAlone));
                super::$story(&mut section).await;
                section.end();
            }
        })+
    };
}

sections! {
    a_store_is_made: "Make the store"
    a_queue_is_paused_watched_and_resumed: "Pause, watch and resume"
    a_job_that_does_not_run_is_found_out_about: "Find out why a job does not run"
    jobs_dead_of_one_error_are_retried: "Retry all jobs dead of one error"
    a_release_is_rolled: "Roll a release"
    a_release_is_rolled_by_a_supervisor: "Roll a release under a supervisor"
    metrics_are_read: "Read the metrics"
    cron_runs_workers_that_overlap: "Run from cron"
}

#[test]
fn every_command_of_the_page_stands_in_a_section_that_is_tested() {
    let page = Page::read();
    assert_eq!(page.sections_with_commands(), SECTIONS);
    let stray = page.commands_in_prose();
    assert!(stray.is_empty(), "to be tested, these must stand in blocks of their own: {stray:?}");
}

#[test]
#[should_panic(expected = "is not run by its test")]
fn a_command_that_its_test_does_not_run_makes_it_fail() {
    let section = Page::read().section("Make the store", Shop::open(Console::Own));
    section.end();
}

async fn a_store_is_made(page: &mut Section) {
    assert!(page.shop.store().await.is_err(), "there is none yet");
    let said = page.run().await;
    assert!(said.contains("made"), "{said}");
    page.run().await;
    assert!(page.shop.store().await.is_ok());
}

async fn a_queue_is_paused_watched_and_resumed(page: &mut Section) {
    page.shop.make().await;
    let worker = page.shop.work("shop work --queue emails,books").await;
    page.shop.order(1).await;
    page.shop.until("the first order is done", [(Completed, 2)]).await;

    page.run().await;
    for order in [2, 3] {
        page.shop.order(order).await;
    }
    page.shop.until("the other queue goes on", [(Available, 2), (Completed, 4)]).await;
    let mut monitor = page.start();
    monitor.until_it_says_what_the_page_says().await;
    assert_eq!(monitor.interrupted().await.0, Some(0));

    // A worker that starts later heeds it too.
    assert_eq!(worker.terminated().await.0, Some(0));
    let worker = page.shop.work("shop work --queue emails,books").await;
    page.shop.order(4).await;
    page.shop.until("only the other queue goes on", [(Available, 3), (Completed, 5)]).await;

    page.run().await;
    page.shop.until("all mail is sent", [(Completed, 8)]).await;
    page.run().await;
    assert_eq!(page.shop.entered("confirmed.log"), [1, 2, 3, 4]);
    assert_eq!(worker.terminated().await.0, Some(0));
}

async fn a_job_that_does_not_run_is_found_out_about(page: &mut Section) {
    page.shop.make().await;
    let worker = page.shop.work("shop work --queue books").await;
    page.shop.run("queue pause emails").await;
    page.shop.order(1).await;
    page.shop.until("it is booked", [(Available, 1), (Completed, 1)]).await;

    let jobs = page.shop.jobs().await;
    let id = jobs.iter().find(|job| job.state == Available).unwrap().id;
    page.means("01a201b5-86f5-71f6-b21a-42f2f634834f", &id.to_string());
    page.means("4711", &worker.pid().to_string());
    page.run().await;
    page.run().await;
    page.run().await;
    page.run().await;
    assert_eq!(page.shop.states().await, BTreeMap::from([(Completed, 2)]));
    assert_eq!(page.shop.entered("confirmed.log"), [1]);
    page.run().await;
    assert_eq!(worker.terminated().await.0, Some(0));
}

async fn jobs_dead_of_one_error_are_retried(page: &mut Section) {
    page.shop.make().await;
    page.shop.put("ledger.away");
    let worker = page.shop.work("shop work").await;
    for order in [1, 2, 3, 13] {
        page.shop.order(order).await;
    }
    page.shop.until("they are dead", [(Completed, 4), (Dead, 4)]).await;

    page.run().await;
    page.shop.take_away("ledger.away");
    page.run().await;
    assert_eq!(page.shop.states().await[&Dead], 4, "they were only counted");
    page.run().await;
    page.shop.until("the ledger is complete", [(Completed, 7), (Dead, 1)]).await;
    assert_eq!(page.shop.entered("booked.log"), [1, 2, 3]);
    page.run().await;
    page.run().await;
    assert_eq!(page.shop.states().await, BTreeMap::from([(Completed, 7)]));
    assert_eq!(worker.terminated().await.0, Some(0));
}

async fn a_release_is_rolled(page: &mut Section) {
    page.shop.make().await;
    page.shop.put("letter-box.shut");
    let (port_of_old, port) = (free_port(), free_port());
    let old = format!("releases/41/shop work --queue emails --listen 127.0.0.1:{port_of_old}");
    let old = page.shop.work(&old).await;
    page.shop.run("queue pause books").await;
    page.shop.order(1).await;
    page.shop.until_running(1).await;

    page.run().await;
    page.means("9465", &port.to_string());
    let new = page.start();
    until_probe(port, "/ready", "ok").await;
    page.run().await;
    page.means("4711", &old.pid().to_string());
    page.means("4712", &new.pid().to_string());
    page.shop.until_it_shows(&old, 1).await;
    page.run().await;
    page.run().await;

    // The old one drains, and is live while it does. What comes now is the new one's.
    until_probe(port_of_old, "/ready", "the worker ends").await;
    until_probe(port_of_old, "/live", "ok").await;
    for order in [2, 3] {
        page.shop.order(order).await;
    }
    page.shop.until_running(3).await;
    page.shop.take_away("letter-box.shut");
    assert_eq!(old.ended().await, (Some(0), "ended (asked to): 1 completed".to_owned()));
    page.shop.until("all mail is sent", [(Available, 3), (Completed, 3)]).await;
    let done = page.shop.jobs().await.into_iter().filter(|job| job.state == Completed);
    let attempts: Vec<_> = done.map(|job| (job.attempt, job.lost_count, job.errors.len())).collect();
    assert_eq!(attempts, [(1, 0, 0); 3], "no attempt is burnt");
    assert_eq!(page.shop.entered("confirmed.log"), [1, 2, 3]);

    page.shop.run("queue resume books").await;
    page.shop.run("work --queue books --stop-when-empty").await;
    page.run().await;
    assert_eq!(new.terminated().await, (Some(0), "ended (asked to): 2 completed".to_owned()));
}

async fn a_release_is_rolled_by_a_supervisor(page: &mut Section) {
    page.shop.make().await;
    page.shop.install(41);
    page.shop.install(42);
    page.shop.turn_to(41);
    page.means("9466", &free_port().to_string());
    page.configure();
    page.shop.put("letter-box.shut");
    let supervisor = page.start();
    page.run().await;
    page.means("4700", &supervisor.pid().to_string());
    let old = page.shop.until_workers_are_of(41, 2).await;
    page.shop.order(1).await;
    page.shop.until("its mail is under way", [(Completed, 1), (Running, 1)]).await;

    page.run().await;
    // Whoever has the job drains when its turn comes; nobody waits for it but the roll itself.
    page.shop.order(2).await;
    page.shop.until("the second mail is under way too", [(Completed, 2), (Running, 2)]).await;
    page.shop.take_away("letter-box.shut");
    let new = page.shop.until_workers_are_of(42, 2).await;
    assert!(old.iter().all(|pid| !new.contains(pid)), "{old:?} {new:?}");
    page.shop.until("all is done", [(Completed, 4)]).await;
    let attempts: Vec<_> = page.shop.jobs().await.iter().map(|job| (job.attempt, job.lost_count)).collect();
    assert_eq!(attempts, [(1, 0); 4], "no attempt is burnt");
    assert_eq!(page.shop.entered("confirmed.log"), [1, 2]);
    page.means("4721", &new[0].to_string());
    page.means("4722", &new[1].to_string());
    page.shop.until_idle().await;
    page.run().await;
    assert_eq!(supervisor.terminated().await.0, Some(0));
}

async fn metrics_are_read(page: &mut Section) {
    page.shop.make().await;
    let port = free_port();
    page.means("9464", &port.to_string());
    let worker = page.start();
    page.run().await;
    for order in [1, 2, 13] {
        page.shop.order(order).await;
    }
    page.shop.until("they are done", [(Completed, 5), (Dead, 1)]).await;
    page.shop.until_told(6).await;
    page.run().await;
    page.run().await;
    page.run().await;
    assert_eq!(worker.terminated().await, (Some(0), "ended (asked to): 5 completed, 1 dead".to_owned()));
}

async fn cron_runs_workers_that_overlap(page: &mut Section) {
    page.shop.make().await;
    // Before the letter box opens no run can end, nor take more than its four slots hold.
    page.shop.put("letter-box.shut");
    page.shop.run("queue pause books").await;
    for order in 1..=12 {
        page.shop.order(order).await;
    }
    let first = page.cron();
    page.shop.until_running(4).await;
    let second = page.cron_again();
    page.shop.until_running(8).await;
    let at_work: BTreeSet<_> = page.shop.jobs().await.iter().filter_map(|job| job.worker).collect();
    assert_eq!(at_work.len(), 2, "the runs overlap");
    page.shop.run("queue resume books").await;
    page.shop.take_away("letter-box.shut");
    assert_eq!((first.ended().await.0, second.ended().await.0), (Some(0), Some(0)));

    let jobs = page.shop.jobs().await;
    let ends: Vec<_> = jobs.iter().map(|job| (job.state, job.attempt, job.lost_count)).collect();
    assert_eq!(ends, [(Completed, 1, 0); 24]);
    let once: Vec<u64> = (1..=12).collect();
    assert_eq!((page.shop.entered("confirmed.log"), page.shop.entered("booked.log")), (once.clone(), once));
    let log = page.shop.read("work.log");
    assert_eq!(log.matches("ended (nothing left to do): ").count(), 2, "{log}");
    page.run().await;
}
