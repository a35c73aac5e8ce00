//! Configuration: the builder beats variables, variables beat the file, the file beats what is built in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use extensions::config::{Config, Entry, Origin, PoolQueues};
use extensions::features::StaticFlags;
use extensions::prelude::*;
use extensions::queue::{Memory, Retention};
use extensions::{BreakerStatus, BuildProblem, ExtensionsBuilder};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Ordered;

#[extension_handler(Ordered)]
#[async_handler]
async fn with_defaults() {}

#[extension_handler(Ordered)]
#[async_handler(queue = "own", retries = 9, backoff = fixed("7s"))]
async fn with_options() {}

#[derive(Debug, ExtensionPoint)]
#[extension_point(output = &'static str)]
struct Asked;

#[extension_handler(Asked)]
#[when(env = "staging")]
fn in_staging() -> &'static str {
    "staging"
}

#[extension_handler(Asked)]
#[when(feature = "new-billing")]
fn with_new_billing() -> &'static str {
    "new billing"
}

#[derive(Debug, ExtensionPoint)]
struct Unheard;

/// A folder with an `extensions.toml`.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("extensions.toml"), text).unwrap();
    folder
}

/// An instance over a file, on a queue in memory.
async fn built(text: &str, change: impl FnOnce(ExtensionsBuilder) -> ExtensionsBuilder) -> Extensions {
    let folder = folder(text);
    let builder = Extensions::builder().discover().queue(Memory::new());
    change(builder.config_file(folder.path().join("extensions.toml"))).build().await.unwrap()
}

/// The problems of a builder that cannot build, with places in `folder` made relative.
async fn problems(folder: &Path, builder: ExtensionsBuilder) -> Vec<String> {
    let error = builder.build().await.unwrap_err();
    let place = format!("{}/", folder.display());
    error.problems().iter().map(|problem| problem.to_string().replace(&place, "")).collect()
}

fn entry(config: &Config, key: &str) -> Entry {
    let found = config.entries().into_iter().find(|entry| entry.key == key);
    found.unwrap_or_else(|| panic!("no entry `{key}`"))
}

/// A key's value and where it is from.
fn shown(ext: &Extensions, key: &str) -> (String, String) {
    let entry = entry(ext.config(), key);
    let origin = match entry.origin {
        Origin::File { line, .. } => format!("line {line}"),
        other => other.to_string(),
    };
    (entry.value.unwrap_or_default(), origin)
}

/// The queue, the attempts and the first wait of an async handler.
fn options(ext: &Extensions, handler: &str) -> (String, u32, u64) {
    let handlers = ext.handlers_of::<Ordered>();
    let info = handlers.iter().find(|info| &*info.name == handler).expect("the handler");
    let options = info.options.as_ref().expect("options");
    (options.queue.as_str().to_owned(), options.max_attempts, options.backoff.delay(2, 0.5).as_secs())
}

async fn answers(ext: &Extensions) -> Vec<&'static str> {
    ext.fire(Asked).await.unwrap().outputs().copied().collect()
}

/// Set in the process that a test runs itself in once more.
const PART: &str = "TESTS_CONFIG_PART";

/// Runs a test again, alone in a process with these variables and this working directory.
fn again(test: &str, folder: &Path, variables: &[(&str, &str)]) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--test-threads=1"]).current_dir(folder).env(PART, "1");
    let output = again.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn is_again() -> bool {
    std::env::var_os(PART).is_some()
}

const LAYERED: &str = r#"
queue_url = "sqlite://of_file.db"
environment = "staging"
graceful = true
strict = true
[async]
default_queue = "later"
tries = 5
backoff = "1m"
backoff_strategy = "linear"
[circuit_breaker]
threshold = 2
[profiling]
enabled = true
slow_threshold = 250
[features]
new-billing = true
"#;

#[tokio::test]
async fn the_file_of_the_working_directory_holds_where_nothing_else_is_said() {
    if !is_again() {
        let outer = folder(LAYERED);
        let inner = outer.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        again("the_file_of_the_working_directory_holds_where_nothing_else_is_said", &inner, &[]);
        // A relative path in the file is relative to the working directory.
        assert!(inner.join("of_file.db").is_file() && !outer.path().join("of_file.db").exists());
        return;
    }
    let ext = Extensions::builder().discover().build().await.unwrap();
    assert!(ext.queue().unwrap().describe().ends_with("/of_file.db"));
    assert_eq!(answers(&ext).await, ["staging", "new billing"]);
    assert_eq!(options(&ext, "with_defaults"), ("later".to_owned(), 5, 120));
    assert_eq!(options(&ext, "with_options"), ("own".to_owned(), 9, 7));
    assert!(ext.fire(Unheard).await.is_err(), "strict mode");
    assert_eq!(shown(&ext, "profiling.slow_threshold"), ("250ms".to_owned(), "line 15".to_owned()));
    assert!(ext.config().file().unwrap().ends_with("extensions.toml"));
}

#[tokio::test]
async fn variables_beat_the_file_and_the_builder_beats_both() {
    if !is_again() {
        let folder = folder(LAYERED);
        let variables = [
            ("EXTENSIONS_QUEUE_URL", "sqlite://of_variable.db"),
            ("EXTENSIONS_ENV", "testing"),
            ("EXTENSIONS_STRICT", "off"),
            ("EXTENSIONS_ASYNC_TRIES", "6"),
            ("EXTENSIONS_ASYNC_BACKOFF", "30s"),
            ("EXTENSIONS_FEATURE_NEW_BILLING", "no"),
            ("EXTENSIONS_PROFILING", ""),
        ];
        again("variables_beat_the_file_and_the_builder_beats_both", folder.path(), &variables);
        assert!(!folder.path().join("of_file.db").exists());
        return;
    }
    let ext = Extensions::builder().discover().build().await.unwrap();
    assert!(ext.queue().unwrap().describe().ends_with("/of_variable.db"));
    assert_eq!(answers(&ext).await, Vec::<&str>::new());
    assert_eq!(options(&ext, "with_defaults"), ("later".to_owned(), 6, 60));
    assert!(ext.fire(Unheard).await.is_ok(), "strict mode is off");
    let origins = [
        ("environment", "testing", "EXTENSIONS_ENV"),
        ("async.tries", "6", "EXTENSIONS_ASYNC_TRIES"),
        ("async.default_queue", "later", "line 7"),
        ("profiling.enabled", "true", "line 14"),
        ("features.new-billing", "false", "EXTENSIONS_FEATURE_NEW_BILLING"),
        ("circuit_breaker.timeout", "1m", "default"),
    ];
    for (key, value, origin) in origins {
        assert_eq!(shown(&ext, key), (value.to_owned(), origin.to_owned()), "{key}");
    }

    let builder = Extensions::builder().discover().queue(Memory::new()).environment("staging").strict(true);
    let builder = builder.features(StaticFlags::new().with("new-billing", true));
    let builder = builder.async_defaults(AsyncOptions::new().retries(2).backoff(Backoff::fixed(secs(1))));
    let ext = builder.build().await.unwrap();
    assert_eq!(answers(&ext).await, ["staging", "new billing"]);
    assert_eq!(options(&ext, "with_defaults"), ("later".to_owned(), 2, 1));
    assert!(ext.fire(Unheard).await.is_err(), "strict mode");
    let origins = [
        ("queue_url", "memory", "builder"),
        ("environment", "staging", "builder"),
        ("async.tries", "2", "builder"),
        ("async.backoff", "1s", "builder"),
        ("async.backoff_strategy", "fixed", "builder"),
        ("async.default_queue", "later", "line 7"),
        ("features", "own", "builder"),
    ];
    for (key, value, origin) in origins {
        assert_eq!(shown(&ext, key), (value.to_owned(), origin.to_owned()), "{key}");
    }
}

#[tokio::test]
async fn every_setting_of_the_builder_beats_the_file() {
    let text = "graceful = true\nstrict = true\n[profiling]\nenabled = true\n[circuit_breaker]\nenabled = false\nthreshold = 9\n\
                [retention]\ncompleted = '5m'\ncancelled = 1\n";
    let kept = Retention { completed: secs(60), ..Retention::default() };
    let ext = built(text, |builder| {
        let builder = builder.graceful(false).strict(false).profiling(false).slow_threshold(secs(2));
        builder.circuit_breaker(BreakerOptions::new().threshold(4)).retention(kept)
    })
    .await;
    let fired = ext.fire(Asked).await.unwrap();
    assert!(fired.is_success() && ext.fire(Unheard).await.is_ok());
    let values = [
        ("graceful", "false"),
        ("strict", "false"),
        ("profiling.enabled", "false"),
        ("profiling.slow_threshold", "2s"),
        ("circuit_breaker.enabled", "true"),
        ("circuit_breaker.threshold", "4"),
        ("circuit_breaker.successes", "3"),
        ("retention.completed", "1m"),
        ("retention.cancelled", "1d"),
    ];
    for (key, value) in values {
        assert_eq!(shown(&ext, key), (value.to_owned(), "builder".to_owned()), "{key}");
    }
    let ext = built("[circuit_breaker]\nthreshold = 2\n", ExtensionsBuilder::without_circuit_breaker).await;
    assert!(ext.breaker_of_named::<Ordered>("with_defaults").is_none());
    assert_eq!(shown(&ext, "circuit_breaker.enabled"), ("false".to_owned(), "builder".to_owned()));
}

#[tokio::test]
async fn what_the_file_says_of_breakers_holds_for_handlers() {
    for (text, expected) in [
        ("[circuit_breaker]\nthreshold = 1\n", Some(BreakerStatus::Open)),
        ("[circuit_breaker]\nthreshold = 2\n", Some(BreakerStatus::Closed)),
        ("[circuit_breaker]\nenabled = false\n", None),
    ] {
        let fails = |_: &mut Unheard, _: &Context| Err("no".into());
        let add = |builder: ExtensionsBuilder| {
            builder.register_fn::<Unheard>("fails", fails, HandlerOptions::new())
        };
        let ext = built(text, add).await;
        assert!(ext.fire(Unheard).await.is_err());
        let breaker = ext.breaker_of_named::<Unheard>("fails");
        assert_eq!(breaker.map(|breaker| breaker.status()), expected, "{text}");
    }
}

#[tokio::test]
async fn all_mistakes_are_told_at_once_and_no_queue_is_opened() {
    let folder = folder("queue_url = 'sqlite://never.db'\n[async]\ntires = 3\ntries = 'many'\n");
    let url = format!("sqlite://{}/never.db", folder.path().display());
    let builder = Extensions::builder().queue_url(url).config_file(folder.path().join("extensions.toml"));
    let builder = builder.circuit_breaker(BreakerOptions::new().threshold(0));
    let said = problems(folder.path(), builder).await;
    assert_eq!(said[0], "extensions.toml:3: `async.tires` is no key; did you mean `async.tries`?");
    assert_eq!(
        said[1],
        "extensions.toml:4: `async.tries` is the text \"many\"; write a whole number from 1 on"
    );
    assert!(said.len() == 3 && said[2].starts_with("`.circuit_breaker(…)`"), "{said:?}");
    assert!(!folder.path().join("never.db").exists());
}

#[tokio::test]
async fn a_file_that_is_named_and_is_not_there_stops_the_start_up() {
    let folder = tempfile::tempdir().unwrap();
    if is_again() {
        let error = Extensions::builder().queue(Memory::new()).build().await.unwrap_err();
        let [BuildProblem::Config(mistake)] = error.problems() else { panic!("{error}") };
        assert_eq!((mistake.file(), mistake.line()), (Some("nowhere.toml"), None));
        assert!(mistake.message().starts_with("the file cannot be read: "), "{mistake}");
        assert!(Extensions::builder().queue(Memory::new()).without_config().build().await.is_ok());
        return;
    }
    let missing = Extensions::builder().config_file(folder.path().join("none.toml"));
    let said = problems(folder.path(), missing).await;
    assert!(said.len() == 1 && said[0].starts_with("none.toml: the file cannot be read: "), "{said:?}");
    let variables = [("EXTENSIONS_CONFIG", "nowhere.toml")];
    again("a_file_that_is_named_and_is_not_there_stops_the_start_up", folder.path(), &variables);
}

#[tokio::test]
async fn a_wrong_variable_is_named() {
    if !is_again() {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("EXTENSIONS_GRACEFUL", "maybe"), ("EXTENSIONS_ASYNC_TRIES", "-1")];
        return again("a_wrong_variable_is_named", folder.path(), &variables);
    }
    let error = Config::load().unwrap_err().to_string();
    let expected = "the configuration cannot be used: 2 mistakes\n  \
                    1. EXTENSIONS_GRACEFUL (`graceful`) is \"maybe\"; write `true` or `false`\n  \
                    2. EXTENSIONS_ASYNC_TRIES (`async.tries`) is \"-1\"; write a whole number from 1 on";
    assert_eq!(error, expected);
    let builder = Extensions::builder().queue(Memory::new()).graceful(true);
    assert_eq!(builder.config().unwrap_err().to_string(), expected);
    assert_eq!(builder.build().await.unwrap_err().problems().len(), 2);
}

#[tokio::test]
async fn a_fake_reads_no_file_unless_it_is_named() {
    let folder = folder("graceful = true\n[async]\ntries = 5\n");
    let path = folder.path().join("extensions.toml");
    if !is_again() {
        let wrong = tempfile::tempdir().unwrap();
        fs::write(wrong.path().join("extensions.toml"), "nothing of this").unwrap();
        return again("a_fake_reads_no_file_unless_it_is_named", wrong.path(), &[]);
    }
    assert!(Extensions::builder().queue(Memory::new()).build().await.is_err());
    let fake = Extensions::fake().discover().build().await.unwrap();
    assert_eq!(options(&fake, "with_defaults").1, 3);
    let fake = Extensions::fake().discover().config_file(path).build().await.unwrap();
    assert_eq!(options(&fake, "with_defaults").1, 5);
}

#[tokio::test]
async fn passwords_of_the_queue_are_never_shown() {
    let folder = folder("queue_url = 'postgres://me:hush@host/db'\n");
    let config = Config::from_file(folder.path().join("extensions.toml")).unwrap();
    assert_eq!(entry(&config, "queue_url").value.as_deref(), Some("postgres://me:***@host/db"));
    let builder = Extensions::builder().without_config().queue_url("redis://:hush@host/0");
    assert_eq!(entry(&builder.config().unwrap(), "queue_url").value.as_deref(), Some("redis://:***@host/0"));
    assert!(!format!("{config:?}{builder:?}{:?}", builder.config()).contains("hush"));
}

fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The rows of the first table whose head begins with `head`, without their back-ticks where a cell is nothing but code.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    let bare = |cell: &str| match cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) {
        Some(code) if !code.contains('`') => code.to_owned(),
        _ => cell.to_owned(),
    };
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| bare(cell.trim())).collect();
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn the_tables_of_the_documentation_are_those_of_the_code() {
    let folder = folder("[worker.any]\nqueues = ['default']\n");
    let config = Config::from_file(folder.path().join("extensions.toml")).unwrap();
    let page = page("docs/configuration.md");
    let is_of_process = |entry: &Entry| entry.key.starts_with("features.");
    let entries: Vec<_> = config.entries().into_iter().filter(|entry| !is_of_process(entry)).collect();
    let (pool, keys): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.key.starts_with("worker."));

    let row = |entry: &Entry| {
        let default = entry.value.clone().unwrap_or_default();
        vec![entry.key.clone(), entry.variable.clone().unwrap_or_default(), default, entry.about.to_owned()]
    };
    assert_eq!(table(&page, "key"), keys.iter().map(row).collect::<Vec<_>>());

    let row = |entry: &Entry| {
        let is_default = entry.origin == Origin::Default;
        let default = entry.value.clone().filter(|_| is_default).unwrap_or_default();
        vec![entry.key.replace("worker.any.", ""), default, entry.about.to_owned()]
    };
    assert_eq!(table(&page, "key of a pool"), pool.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn what_a_pool_leaves_out_is_as_the_workers_page_has_it() {
    let of_workers = table(&page("extensions/src/docs/workers.md"), "option");
    let of_pools = table(&page("docs/configuration.md"), "key of a pool");
    for option in ["concurrency", "prefetch", "lease", "grace"] {
        let worker = of_workers.iter().find(|row| row[0].starts_with(&format!("{option}("))).expect(option);
        let pool = of_pools.iter().find(|row| row[0] == option).expect(option);
        assert_eq!(worker.last().map(|default| default.replace(' ', "")), Some(pool[1].clone()), "{option}");
    }
}

#[test]
fn the_file_of_the_documentation_can_be_read_and_says_what_is_built_in() {
    let page = page("docs/configuration.md");
    let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a file");
    let folder = folder(text);
    let config = Config::from_file(folder.path().join("extensions.toml")).unwrap();
    let built_in = Config::default();
    for entry in config.entries().iter().filter(|entry| !entry.key.contains("worker.")) {
        let said_here = ["queue_url", "features.new-billing"].contains(&&*entry.key);
        if !said_here && !entry.key.starts_with("features.") {
            let default = built_in.entries().into_iter().find(|other| other.key == entry.key).expect("a key");
            assert_eq!(entry.value, default.value, "{}", entry.key);
        }
    }
    let queues = ["payments", "documents", "default"].map(Into::into).to_vec();
    assert_eq!(config.pools()["default"].queues, PoolQueues::Strict(queues));
    let variables: Vec<_> =
        text.lines().filter_map(|line| line.split_once("# ")).map(|(_, name)| name).collect();
    let entries = config.entries();
    let known: Vec<_> = entries.iter().filter_map(|entry| entry.variable.as_deref()).collect();
    assert!(variables.len() > 8 && variables.iter().all(|name| known.contains(name)), "{variables:?}");
}

#[test]
fn the_mistakes_of_the_documentation_are_told_in_these_words() {
    let page = page("docs/configuration.md");
    let said = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a text");
    let folder = folder("\n\n\n\n[async]\ntires = 5\n\n[circuit_breaker]\nthreshold = 'five'\n");
    let path: PathBuf = folder.path().join("extensions.toml");
    let error = Config::from_file(&path).unwrap_err();
    for mistake in error.mistakes() {
        let mistake = mistake.to_string().replace(&path.display().to_string(), "/srv/shop/extensions.toml");
        assert!(said.contains(&mistake), "{mistake}");
    }
    assert_eq!(error.mistakes().len(), 2);
}
