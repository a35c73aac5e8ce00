//! What `--json` answers with is what `docs/console.md` shows.

use std::path::Path;

use serde_json::Value;

use crate::office::Office;

/// Objects whose keys are data and not part of the shape.
const MAPS: &[&str] = &["entered", "handlers", "json", "meta"];

/// The example in the document that stands under a command.
fn documented(command: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/console.md");
    let text = std::fs::read_to_string(path).unwrap();
    let heading = format!("`{command} --json`");
    let rest = text.split(&heading).nth(1).unwrap_or_else(|| panic!("no {heading} in docs/console.md"));
    let block = rest.split("```json\n").nth(1).and_then(|block| block.split("```").next()).unwrap();
    serde_json::from_str(block).unwrap_or_else(|error| panic!("{heading}: {error}"))
}

/// Where two documents differ in keys or types; what is null or empty in one of them may be anything in the other.
fn differences(at: &str, documented: &Value, said: &Value) -> Vec<String> {
    match (documented, said) {
        (Value::Null, _) | (_, Value::Null) => Vec::new(),
        (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => Vec::new(),
        (Value::Array(documented), Value::Array(said)) => match (documented.first(), said.first()) {
            (Some(documented), Some(said)) => differences(&format!("{at}[]"), documented, said),
            _ => Vec::new(),
        },
        (Value::Object(documented), Value::Object(said)) => {
            let name = at.rsplit('.').next().unwrap_or_default();
            if MAPS.contains(&name) {
                return Vec::new();
            }
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            let (mut left, mut right) = (keys(documented), keys(said));
            left.sort();
            right.sort();
            if left != right {
                return vec![format!("{at}: documented {left:?}, said {right:?}")];
            }
            documented
                .iter()
                .flat_map(|(key, value)| differences(&format!("{at}.{key}"), value, &said[key]))
                .collect()
        }
        _ => vec![format!("{at}: documented {documented}, said {said}")],
    }
}

async fn is_as_documented(office: &Office, command: &str, line: &str) {
    let output = office.run(&format!("{line} --json")).await;
    let said: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {output:?}"));
    let differences = differences(command, &documented(command), &said);
    assert!(differences.is_empty(), "{}\n{said}", differences.join("\n"));
}

#[tokio::test]
async fn every_answer_for_programs_has_the_shape_that_is_documented() {
    let office = Office::on_sqlite();
    is_as_documented(&office, "migrate --print", "migrate --print").await;
    is_as_documented(&office, "migrate", "migrate").await;
    is_as_documented(&office, "config show", "config show").await;
    is_as_documented(&office, "list", "list --point Order*").await;
    is_as_documented(&office, "inspect", "inspect OrderPlaced").await;
    is_as_documented(&office, "plan", "plan OrderPlaced --with-data '{\"id\":1}'").await;
    is_as_documented(&office, "test", "test OrderPlaced --with-data '{\"id\":1}'").await;
    is_as_documented(&office, "test", "test OrderPlaced --with-data '{\"id\":1}'").await;
    is_as_documented(&office, "test", "test OrderPlaced --with-data '{\"id\":13}'").await;
    is_as_documented(&office, "test", "test refund.asked --with-data '{\"cents\":99999}'").await;
    is_as_documented(&office, "doctor", "doctor").await;
    is_as_documented(&office, "work", "work --stop-when-empty").await;
    is_as_documented(&office, "stats", "stats --period 24h").await;
    is_as_documented(&office, "queue monitor", "queue monitor --count 1").await;
    is_as_documented(&office, "failed list", "failed list").await;
    is_as_documented(&office, "jobs list", "jobs list").await;
    let id = office.failed().await.remove(0);
    is_as_documented(&office, "jobs show", &format!("jobs show {id}")).await;
    is_as_documented(&office, "jobs show", &format!("failed show {id}")).await;
    is_as_documented(&office, "jobs explain", &format!("jobs explain {id}")).await;
    is_as_documented(
        &office,
        "failed retry",
        &format!("failed retry {id} 01a201b5-86f5-71f6-b21a-42f2f634834f"),
    )
    .await;
    is_as_documented(&office, "queue pause", "queue pause books").await;
    is_as_documented(&office, "queue resume", "queue resume books").await;
    is_as_documented(&office, "queue clear", "queue clear books --yes").await;
    is_as_documented(&office, "failed prune", "failed prune --yes").await;
    let mut worker = office.start("work");
    let shown = tests::kit::until("the worker", async || {
        let said = office.json("workers").await;
        (said["workers"] != serde_json::json!([])).then_some(said)
    });
    let differences = differences("workers", &documented("workers"), &shown.await);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    worker.kill().await.unwrap();
}

#[test]
fn another_shape_is_seen() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let documented = json(r#"{"a": 1, "b": [{"c": "x"}], "d": null}"#);
    assert_eq!(differences("", &documented, &json(r#"{"a": 2, "b": [], "d": true}"#)), [""; 0]);
    for other in
        [r#"{"a": 1, "b": []}"#, r#"{"a": "1", "b": [], "d": 1}"#, r#"{"a": 1, "b": [{"e": 1}], "d": 1}"#]
    {
        assert_eq!(differences("", &documented, &json(other)).len(), 1, "{other}");
    }
}
