//! Stores that are missing, made and out of reach, and what is configured.

use crate::office::Office;

const JOB: &str = "01a201b5-86f5-71f6-b21a-42f2f634834f";

/// Every command that needs a store.
fn commands() -> Vec<String> {
    let plain = [
        "stats",
        "work --stop-when-empty",
        "work --once",
        "test OrderPlaced --with-data '{\"id\":1}'",
        "failed list",
        "failed retry --all",
        "failed forget --all --yes",
        "failed flush --yes",
        "failed prune --yes",
        "jobs list",
        "jobs cancel --all --yes",
        "jobs retry --all",
        "queue list",
        "queue pause books",
        "queue resume books",
        "queue clear books --yes",
        "queue monitor --count 1",
        "workers",
        "doctor",
    ];
    let of_job = ["failed show", "jobs show", "jobs explain"].map(|command| format!("{command} {JOB}"));
    plain.map(str::to_owned).into_iter().chain(of_job).collect()
}

async fn is_said_to_be_missing(office: Office) {
    for line in commands() {
        let output = office.run(&line).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{line}: {said}");
        assert!(
            output.stdout.is_empty() && said.starts_with("error: ") && said.contains("migrate"),
            "{line}: {said}"
        );
    }
    office.run("migrate").await;
    for line in ["stats", "failed list", "work --stop-when-empty"] {
        assert_eq!(office.run(line).await.status.code(), Some(0), "{line}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_to_be_missing_and_never_made_on_sqlite() {
    let office = Office::on_sqlite();
    assert_eq!(office.run("stats").await.status.code(), Some(4));
    assert_eq!(std::fs::read_dir(office.folder()).unwrap().count(), 0);
    is_said_to_be_missing(office).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_to_be_missing_and_never_made_on_postgres() {
    is_said_to_be_missing(Office::on_postgres().await).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_to_be_missing_and_never_made_on_redis() {
    is_said_to_be_missing(Office::on_redis().await).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_ends_every_command() {
    let office = Office::on_sqlite().without_store();
    for line in commands().into_iter().chain(["migrate".to_owned()]) {
        let output = office.run(&line).await;
        assert_eq!(output.status.code(), Some(4), "{line}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.starts_with(b"error: "), "{line}: {output:?}");
    }
}

async fn is_made_once(office: Office) {
    let steps = office.json("migrate --print").await;
    let steps = steps["migrations"].as_array().unwrap();
    let version = steps.last().unwrap()["version"].as_u64().unwrap();
    assert_eq!(steps.len() as u64, version);
    assert_eq!(office.run("stats").await.status.code(), Some(4), "printing makes nothing");
    let made = office.json("migrate").await;
    assert_eq!((made["from"].as_u64(), made["to"].as_u64()), (Some(0), Some(version)));
    let again = office.run("migrate").await;
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.ends_with(&format!("is up to date, with schema version {version}\n")), "{said}");
    let text = String::from_utf8(office.run("migrate --print").await.stdout).unwrap();
    assert!(text.contains(steps[0]["text"].as_str().unwrap().trim_end()), "{text}");
}

#[tokio::test]
async fn a_store_is_made_once_and_its_steps_can_be_read_on_sqlite() {
    is_made_once(Office::on_sqlite()).await;
}

#[tokio::test]
async fn a_store_is_made_once_and_its_steps_can_be_read_on_postgres() {
    is_made_once(Office::on_postgres().await).await;
}

#[tokio::test]
async fn a_store_is_made_once_and_its_steps_can_be_read_on_redis() {
    is_made_once(Office::on_redis().await).await;
}

#[tokio::test]
async fn what_is_configured_is_shown_with_its_origin_and_without_passwords() {
    let office = Office::on_sqlite().with_variable("EXTENSIONS_ENV", "staging");
    std::fs::write(office.folder().join("extensions.toml"), "strict = true\n").unwrap();
    let shown = office.json("config show --queue-url postgres://ann:secret@db/shop").await;
    let entry = |key: &str| {
        let entries = shown["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["key"] == key).unwrap_or_else(|| panic!("no {key}")).clone()
    };
    assert_eq!(
        (&entry("strict")["value"], &entry("environment")["value"]),
        (&"true".into(), &"staging".into())
    );
    assert_eq!(entry("environment")["origin"], "EXTENSIONS_ENV");
    assert!(entry("strict")["origin"].as_str().unwrap().ends_with("extensions.toml:1"));
    assert_eq!(entry("queue_url")["origin"], "builder");
    let output = office.run("config show").await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("staging") && said.contains("extensions.toml:1"), "{said}");
    assert!(!shown.to_string().contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_by_line() {
    let office = Office::on_sqlite();
    std::fs::write(office.folder().join("extensions.toml"), "\nstrct = true\n").unwrap();
    for line in ["config show", "list", "stats"] {
        let output = office.run(line).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("extensions.toml:2") && said.contains("`strict`"), "{line}: {said}");
    }
}

#[tokio::test]
async fn without_any_queue_it_is_said_how_to_name_one() {
    let mut office = Office::on_sqlite();
    office.url.clear();
    let said = "! error: no queue is named; write `--queue-url URL`, set EXTENSIONS_QUEUE_URL, or `queue_url` in extensions.toml";
    for line in ["stats", "migrate", "failed list", "migrate --print"] {
        office.says(2, line, said).await;
    }
    let file = format!("--queue-url sqlite://{}/jobs.db", office.folder().display());
    assert_eq!(office.run(&format!("migrate {file}")).await.status.code(), Some(0));
    assert_eq!(office.run(&format!("stats {file}")).await.status.code(), Some(0));
}
