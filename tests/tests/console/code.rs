//! What needs the code of handlers: `list`, `inspect`, `plan`, `test`, `work`; and the command line as such.

use crate::office::Office;

#[tokio::test]
async fn points_and_handlers_are_listed_without_a_store() {
    let office = Office::on_sqlite();
    let everything = "
        POINT         HANDLER             KIND    PRIORITY  QUEUE   TAGS   GROUP
        DoorOpened    (no handlers)
        OrderPlaced   reserve             inline        10          stock  warehouse
        OrderPlaced   book                async        100  books
        OrderPlaced   confirm             async        100  emails  mail
        refund.asked  limit (deprecated)  inline       100";
    office.done("list", everything).await;
    let by_tag = "
        POINT        HANDLER  KIND   PRIORITY  QUEUE   TAGS  GROUP
        OrderPlaced  confirm  async       100  emails  mail";
    office.done("list --tag mail", by_tag).await;
    office.done("list --handler con* --point Order*", by_tag).await;
    let by_group = "
        POINT        HANDLER  KIND    PRIORITY  QUEUE  TAGS   GROUP
        OrderPlaced  reserve  inline        10         stock  warehouse";
    office.done("list --group warehouse", by_group).await;
    let by_type = "
        POINT         HANDLER             KIND    PRIORITY  QUEUE  TAGS  GROUP
        refund.asked  limit (deprecated)  inline       100";
    office.done("list --point RefundAsked", by_type).await;
    let unused = "
        POINT       KIND    TYPE                DEFINED AT
        DoorOpened  inline  office::DoorOpened  tests/src/bin/office.rs:46";
    office.done("list --unused", unused).await;
    office.done("list --unused --point Order*", "every point has handlers").await;
    assert_eq!(std::fs::read_dir(office.folder()).unwrap().count(), 0, "no store was made");
}

#[tokio::test]
async fn a_name_that_nothing_has_is_told_the_nearest() {
    let office = Office::on_sqlite();
    for (line, said) in [
        ("list --tag mial", "! error: there is no tag `mial`"),
        ("list --group warehous", "! error: there is no group `warehous`; `warehouse` is there"),
        ("list --point order", "! error: there is no point `order`"),
        ("list --handler confrim", "! error: there is no handler `confrim`; `confirm` is there"),
        ("inspect refund.aksed", "! error: there is no point `refund.aksed`; `refund.asked` is there"),
        ("plan OrderPlace", "! error: there is no point `OrderPlace`; `OrderPlaced` is there"),
    ] {
        office.says(3, line, said).await;
    }
}

#[tokio::test]
async fn a_point_is_inspected_with_every_option_of_its_handlers() {
    let office = Office::on_sqlite();
    let order = "
        OrderPlaced  queued
          type      office::OrderPlaced
          defined   tests/src/bin/office.rs:9
          version   1
          handlers  3
        reserve  inline
          code      office::reserve
          defined   tests/src/bin/office.rs:15
          priority  10
          tags      stock
          group     warehouse
          breaker   open for 1m after 5 failures in a row
        book  async
          code      office::book
          defined   tests/src/bin/office.rs:25
          priority  100
          breaker   off
          queue     books, priority 5
          attempts  1
          back-off  exponential from 10s
          time-out  1m
        confirm  async
          code      office::confirm
          defined   tests/src/bin/office.rs:20
          priority  100
          tags      mail
          breaker   open for 1m after 5 failures in a row
          queue     emails, priority 5
          attempts  3
          back-off  the list [10s, 30s, 60s, 300s]: 10s, 30s
          time-out  30s
          unique    by the whole payload, until its end
          ! with 3 attempts the waits 1m, 5m are never reached";
    office.done("inspect OrderPlaced", order).await;
    let refund = "
        refund.asked  queued, interruptible
          type      office::RefundAsked
          defined   tests/src/bin/office.rs:33
          version   1
          handlers  1
        limit (deprecated)  inline
          code         office::limit
          defined      tests/src/bin/office.rs:39
          priority     100
          deprecated   since 2.0: ask the bank
          unavailable  deny
          breaker      open for 1m after 5 failures in a row";
    office.done("inspect office::RefundAsked", refund).await;
}

#[tokio::test]
async fn a_plan_runs_and_stores_nothing() {
    let office = Office::on_sqlite();
    let plan = "
        OrderPlaced
            10  reserve  inline    runs
           100  book     async     is queued: queue books, priority 5, at most 1 attempts
           100  confirm  async     is queued: queue emails, priority 5, at most 3 attempts";
    office.done("plan OrderPlaced --with-data '{\"id\": 13}'", plan).await;
    office.done("test OrderPlaced --dry-run --with-data '{\"id\": 13}'", plan).await;
    assert_eq!(std::fs::read_dir(office.folder()).unwrap().count(), 0, "no store was made");
}

#[tokio::test]
async fn data_that_is_no_point_is_refused_before_anything_runs() {
    let office = Office::on_sqlite().made().await;
    for (line, code, said) in [
        ("plan OrderPlaced", 2, "! error: `--with-data` is no `OrderPlaced`: missing field `id`"),
        (
            "test OrderPlaced --with-data [7]",
            2,
            "! error: `--with-data` is no `OrderPlaced`: write an object, such as {\"id\": 7}",
        ),
        (
            "plan DoorOpened",
            1,
            "! error: `DoorOpened` cannot be read from JSON: it is no queued point; add `#[extension_point(queued)]` to \
             office::DoorOpened",
        ),
    ] {
        office.says(code, line, said).await;
    }
}

#[tokio::test]
async fn a_test_fires_for_real_and_reports() {
    let office = Office::on_sqlite().made().await;
    let fired = "
        fired OrderPlaced
          ran      reserve in <age>
          queued   OrderPlaced/book on books as <id>
          queued   OrderPlaced/confirm on emails as <id>";
    office.done("test OrderPlaced --with-data '{\"id\": 1}'", fired).await;
    let again = "
        fired OrderPlaced
          ran      reserve in <age>
          queued   OrderPlaced/book on books as <id>
          kept out OrderPlaced/confirm: job <id> holds its unique key";
    office.done("test OrderPlaced --with-data '{\"id\": 1}'", again).await;
    let failed = "
        not done OrderPlaced
          ran      reserve in <age>
          failed   reserve: nobody sells the order 13";
    office.says(1, "test OrderPlaced --with-data '{\"id\": 13}'", failed).await;
    let vetoed = "
        not done refund.asked
          ran      limit in <age>
          vetoed   limit: more than 100";
    office.says(1, "test refund.asked --with-data '{\"cents\": 10001}'", vetoed).await;
}

#[tokio::test]
async fn an_application_that_cannot_be_made_says_why() {
    let office = Office::on_sqlite().made().await.with_variable("OFFICE_IS_WRONG", "1");
    for line in
        ["list", "inspect OrderPlaced", "test OrderPlaced --with-data '{\"id\":1}'", "work --stop-when-empty"]
    {
        let output = office.run(line).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.starts_with("error: ") && said.contains("office::Nowhere"), "{line}: {said}");
    }
    let json = office.run("list --json").await;
    let said: serde_json::Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!((said["exit_code"].as_u64(), json.stdout.len()), (Some(1), 0));
}

#[tokio::test]
async fn a_command_line_that_cannot_be_is_refused() {
    let office = Office::on_sqlite().made().await;
    for line in [
        "",
        "jump",
        "work --queue a=2,b --stop-when-empty",
        "work --queue a=0 --stop-when-empty",
        "work --concurrency 0",
        "work --max-time soon",
        "failed list --state completed",
        "failed retry",
        "jobs cancel",
        "jobs show 7",
        "queue pause",
        "queue pause 'two words'",
        "queue monitor --interval never",
        "completions tcsh",
        "stats --queue-url nosuch://x",
        "failed prune --older-than '5 minutes'",
        "work --once --max-jobs 2",
        "work --max-memory much",
        "work --listen 9464",
        "work --queue-concurrency a --stop-when-empty",
        "stats --period tomorrow",
        "stats --period 72h",
        "work --listen localhost:9464",
        "config",
        "jobs explain 7",
    ] {
        let output = office.run(line).await;
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{line}: {output:?}");
    }
}

#[tokio::test]
async fn completions_know_the_commands() {
    let office = Office::on_sqlite();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = office.run(&format!("completions {shell}")).await;
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for word in ["office", "monitor", "older-than", "stop-when-empty"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_is_no_failure() {
    let office = Office::on_sqlite().made().await;
    let mut child = office.start("queue monitor --interval 50ms --json --count 1000");
    drop(child.stdout.take());
    let output = crate::office::finish(child).await;
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[tokio::test]
async fn a_worker_that_cannot_serve_its_endpoints_does_not_start() {
    let office = Office::on_sqlite().made().await;
    office.order(1).await;
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let output = office.run(&format!("work --stop-when-empty --listen {address}")).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with(&format!("error: nothing can be served at {address}: ")), "{said}");
    assert_eq!(office.json("stats").await["queues"][1]["counts"]["available"], 1);
    drop(taken);
    let output = office.run(&format!("work --stop-when-empty --listen {address}")).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), &*said),
        (Some(0), &*format!("serving http://{address}/live, /ready and /metrics\n"))
    );
}
