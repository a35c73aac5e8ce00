use std::time::Duration;

use super::variables::Variables;
use super::{Config, Origin, Source};
use crate::handler::AsyncOptions;
use crate::policy::{Backoff, BreakerOptions};
use crate::queue::Retention;
use crate::time::secs;

fn value(config: &Config, key: &str) -> (Option<String>, String) {
    let entries = config.entries();
    let entry = entries.iter().find(|entry| entry.key == key).unwrap_or_else(|| panic!("no `{key}`"));
    (entry.value.clone(), entry.origin.to_string())
}

fn with_variables<const N: usize>(all: [(&str, &str); N]) -> (Config, Vec<String>) {
    let (config, mistakes) = Config::read_with(&Source::Nothing, None, &Variables::from(all));
    (config, mistakes.iter().map(ToString::to_string).collect())
}

#[test]
fn the_defaults_of_the_keys_are_those_of_the_code() {
    let (config, mistakes) = with_variables([]);
    assert!(mistakes.is_empty());
    assert_eq!(config.breaker(), Some(BreakerOptions::new()));
    assert_eq!(config.retention(), Retention::default());
    assert_eq!(config.slow_threshold(), Duration::from_millis(100));
    assert_eq!(config.environment(), "production");
    assert!(!config.is_graceful() && !config.is_strict() && !config.has_profiling());
    assert_eq!(config.queue_url(), None);
    let defaults = config.async_defaults(AsyncOptions::new());
    assert_eq!(defaults.queue.as_deref(), Some("default"));
    assert_eq!(defaults.max_attempts, Some(3));
    assert_eq!(defaults.backoff, Some(Backoff::default()));
    let supervisor = config.supervisor();
    assert_eq!(supervisor.listen, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!((supervisor.cool_down, supervisor.stop_timeout), (secs(3), secs(60)));
    assert_eq!(supervisor.command, None);
    assert!(config.entries().iter().all(|entry| entry.origin == Origin::Default));
}

#[test]
fn every_variable_sets_its_key() {
    for key in super::keys::KEYS {
        let Some(variable) = key.variable else { continue };
        let text = match key.path {
            "queue_url" => "sqlite://other.db",
            "environment" | "async.default_queue" => "other",
            "async.backoff_strategy" => "linear",
            "supervisor.listen" => "[::1]:80",
            _ if key.default == Some("true") => "false",
            _ if key.default == Some("false") => "true",
            _ => "7",
        };
        let (config, mistakes) = with_variables([(variable, text)]);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let (value, origin) = value(&config, key.path);
        assert_eq!(origin, variable);
        assert!(value.is_some() && value.as_deref() != key.default, "{variable}: {value:?}");
    }
}

#[test]
fn wrong_variables_are_all_named_with_what_to_write() {
    let (_, mistakes) = with_variables([
        ("EXTENSIONS_GRACEFUL", "perhaps"),
        ("EXTENSIONS_ASYNC_TRIES", "0"),
        ("EXTENSIONS_ASYNC_BACKOFF", "soon"),
        ("EXTENSIONS_ASYNC_BACKOFF_STRATEGY", "cubic"),
        ("EXTENSIONS_ASYNC_QUEUE", "two words"),
        ("EXTENSIONS_SUPERVISOR_LISTEN", "localhost"),
        ("EXTENSIONS_STRICT", ""),
    ]);
    let expected = [
        "EXTENSIONS_GRACEFUL (`graceful`) is \"perhaps\"; write `true` or `false`",
        "EXTENSIONS_ASYNC_QUEUE (`async.default_queue`) is \"two words\"; write a queue's name",
        "EXTENSIONS_ASYNC_TRIES (`async.tries`) is \"0\"; write a whole number from 1 on",
        "EXTENSIONS_ASYNC_BACKOFF (`async.backoff`) is \"soon\"; write a whole number of seconds or a duration",
        "EXTENSIONS_ASYNC_BACKOFF_STRATEGY (`async.backoff_strategy`) is \"cubic\"; write `\"exponential\"` or",
        "EXTENSIONS_SUPERVISOR_LISTEN (`supervisor.listen`) is \"localhost\"; write an address with its port",
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (mistake, expected) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(expected), "{mistake}");
    }
}

#[test]
fn passwords_are_shown_neither_by_entries_nor_by_debug() {
    let url = "postgres://me:hush@host/jobs?password=hush";
    let (config, _) = with_variables([("EXTENSIONS_QUEUE_URL", url)]);
    assert_eq!(config.queue_url().as_deref(), Some(url));
    assert_eq!(value(&config, "queue_url").0.as_deref(), Some("postgres://me:***@host/jobs?password=***"));
    assert!(!format!("{config:?} {config:#?}").contains("hush"));
}

#[test]
fn features_of_variables_are_shown_with_what_they_mean() {
    let (config, _) = with_variables([("EXTENSIONS_FEATURE_A", "on"), ("EXTENSIONS_FEATURE_B", "perhaps")]);
    assert_eq!(value(&config, "features.A"), (Some("true".to_owned()), "EXTENSIONS_FEATURE_A".to_owned()));
    assert_eq!(value(&config, "features.B"), (Some("false".to_owned()), "EXTENSIONS_FEATURE_B".to_owned()));
}

#[test]
#[cfg(not(feature = "config"))]
fn a_file_that_is_named_and_cannot_be_read_by_this_program_is_a_mistake() {
    let variables = Variables::from([("EXTENSIONS_CONFIG", "/etc/shop.toml")]);
    let (_, mistakes) = Config::read_with(&Source::Found, None, &variables);
    let said = mistakes.first().map(ToString::to_string).unwrap_or_default();
    assert!(
        said.starts_with("EXTENSIONS_CONFIG names \"/etc/shop.toml\"") && said.contains("`config`"),
        "{said}"
    );
    assert!(Config::read_with(&Source::Nothing, None, &variables).1.is_empty());
}

#[cfg(feature = "config")]
mod of_files {
    use super::*;
    use crate::config::{Pool, PoolQueues};
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    /// A folder of the test's own with a file in it; it goes with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn with(text: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("extensions-config-{}", crate::time::new_uuid()));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("extensions.toml"), text).unwrap();
            Self(folder)
        }

        fn read<const N: usize>(&self, variables: [(&str, &str); N]) -> (Config, Vec<String>) {
            let (config, mistakes) =
                Config::read_with(&Source::Found, Some(&self.0), &Variables::from(variables));
            let place = format!("{}/", self.0.display());
            (config, mistakes.iter().map(|mistake| mistake.to_string().replace(&place, "")).collect())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn mistakes(text: &str) -> Vec<String> {
        Folder::with(text).read([]).1
    }

    #[test]
    fn passwords_in_a_command_are_not_shown() {
        let file = "[supervisor]\ncommand = ['shop', '--queue-url', 'redis://:hush@host/0']\n";
        let config = Folder::with(file).read([]).0;
        let shown = "[\"shop\", \"--queue-url\", \"redis://:***@host/0\"]";
        assert_eq!(value(&config, "supervisor.command").0.as_deref(), Some(shown));
        assert!(!format!("{config:?}").contains("hush"));
    }

    /// Each mistake begins as one of the expected ones says, in this order.
    #[track_caller]
    fn begin(mistakes: &[String], expected: &[&str]) {
        let is_same = mistakes.len() == expected.len();
        assert!(
            is_same && mistakes.iter().zip(expected).all(|(mistake, start)| mistake.starts_with(start)),
            "{mistakes:#?}"
        );
    }

    const WHOLE: &str = r#"
queue_url = "sqlite://jobs.db"
environment = "staging"
graceful = true
strict = true
[async]
default_queue = "later"
tries = 5
backoff = "1m"
backoff_strategy = "linear"
[circuit_breaker]
enabled = true
threshold = 2
timeout = 30
half_open_max = 1
successes = 2
[profiling]
enabled = true
slow_threshold = 250
[retention]
completed = 0
cancelled = "2h"
dead = "30d"
[features]
new-billing = true
old-billing = false
[supervisor]
listen = "none"
cool_down = 5
command = ["shop", "--quiet"]
stop_timeout = "2m"
[worker.default]
queues = ["payments", "default"]
[worker.documents]
queues = { documents = 6, thumbnails = 1 }
concurrency = 8
min_concurrency = 2
processes = 3
queue_concurrency = { thumbnails = 4 }
prefetch = 10
lease = "1m"
grace = 60
max_jobs = 1000
max_time = "1h"
max_memory = "512MiB"
"#;

    #[test]
    fn every_key_of_a_file_is_taken_with_its_line() {
        let (config, mistakes) = Folder::with(WHOLE).read([]);
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(config.queue_url().as_deref(), Some("sqlite://jobs.db"));
        assert_eq!(config.environment(), "staging");
        assert!(config.is_graceful() && config.is_strict() && config.has_profiling());
        assert_eq!(config.slow_threshold(), Duration::from_millis(250));
        let defaults = config.async_defaults(AsyncOptions::new());
        assert_eq!((defaults.queue.as_deref(), defaults.max_attempts), (Some("later"), Some(5)));
        assert_eq!(defaults.backoff, Some(Backoff::linear(secs(60))));
        let breaker = BreakerOptions::new().threshold(2).timeout(secs(30)).half_open_max(1).successes(2);
        assert_eq!(config.breaker(), Some(breaker));
        let kept = Retention { completed: secs(0), cancelled: secs(7200), dead: secs(30 * 86_400) };
        assert_eq!(config.retention(), kept);
        let supervisor = config.supervisor();
        assert_eq!(
            (supervisor.listen, supervisor.cool_down, supervisor.stop_timeout),
            (None, secs(5), secs(120))
        );
        assert_eq!(supervisor.command.as_deref(), Some(&["shop".to_owned(), "--quiet".to_owned()][..]));
        let (tries, origin) = value(&config, "async.tries");
        assert_eq!(tries.as_deref(), Some("5"));
        assert!(origin.ends_with("/extensions.toml:8"), "{origin}");
        let every = config.entries();
        let pool_and_unset = |key: &str| key.starts_with("worker.default.") && !key.ends_with(".queues");
        let unset: Vec<_> =
            every.iter().filter(|entry| entry.origin == Origin::Default).map(|entry| &entry.key).collect();
        assert!(unset.iter().all(|key| pool_and_unset(key)), "{unset:?}");
    }

    #[test]
    fn pools_have_strict_or_weighted_queues_and_what_they_leave_out_is_the_workers() {
        let (config, _) = Folder::with(WHOLE).read([]);
        let plain = Pool {
            queues: PoolQueues::Strict(vec!["payments".into(), "default".into()]),
            concurrency: 64,
            min_concurrency: None,
            processes: 1,
            queue_concurrency: BTreeMap::new(),
            prefetch: None,
            lease: None,
            grace: None,
            max_jobs: None,
            max_time: None,
            max_memory: None,
        };
        assert_eq!(config.pools()["default"], plain);
        let full = Pool {
            queues: PoolQueues::Weighted(vec![("documents".into(), 6), ("thumbnails".into(), 1)]),
            concurrency: 8,
            min_concurrency: Some(2),
            processes: 3,
            queue_concurrency: [("thumbnails".into(), 4)].into(),
            prefetch: Some(10),
            lease: Some(secs(60)),
            grace: Some(secs(60)),
            max_jobs: Some(1000),
            max_time: Some(secs(3600)),
            max_memory: Some(512 << 20),
        };
        assert_eq!(config.pools()["documents"], full);
        assert_eq!(
            value(&config, "worker.documents.queues").0.as_deref(),
            Some("{ documents = 6, thumbnails = 1 }")
        );
        assert_eq!(value(&config, "worker.default.queues").0.as_deref(), Some("[\"payments\", \"default\"]"));
        assert_eq!(value(&config, "worker.default.lease"), (Some("30s".to_owned()), "default".to_owned()));
    }

    #[test]
    fn a_variable_beats_the_file_key_by_key() {
        let variables = [
            ("EXTENSIONS_ASYNC_BACKOFF", "5"),
            ("EXTENSIONS_CIRCUIT_BREAKER", "off"),
            ("EXTENSIONS_FEATURE_NEW_BILLING", "no"),
            ("EXTENSIONS_FEATURE_DARK", "1"),
        ];
        let (config, mistakes) = Folder::with(WHOLE).read(variables);
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(config.async_defaults(AsyncOptions::new()).backoff, Some(Backoff::linear(secs(5))));
        assert_eq!(config.breaker(), None);
        let features: Vec<_> =
            config.entries().into_iter().filter(|entry| entry.key.starts_with("features.")).collect();
        let shown: Vec<_> =
            features.iter().map(|entry| (&*entry.key, entry.value.as_deref().unwrap())).collect();
        assert_eq!(
            shown,
            [("features.DARK", "true"), ("features.new-billing", "false"), ("features.old-billing", "false")]
        );
        assert_eq!(features[1].origin.to_string(), "EXTENSIONS_FEATURE_NEW_BILLING");
    }

    #[test]
    fn unknown_keys_name_the_nearest_one_wherever_it_is() {
        let text = "queue_ur = 'x'\ntries = 3\n[asnyc]\nx = 1\n[async]\ntres = 3\nqueue = 'a'\ncolour = 'red'\n\
                    [circuit_breaker]\nslow_threshold = 3\n[worker.default]\nqueues = ['a']\nconcurency = 1\n";
        let expected = [
            "extensions.toml:1: `queue_ur` is no key; did you mean `queue_url`?",
            "extensions.toml:2: `tries` is no key; did you mean `async.tries`?",
            "extensions.toml:3: `asnyc` is no key; did you mean `async`?",
            "extensions.toml:6: `async.tres` is no key; did you mean `async.tries`?",
            "extensions.toml:7: `async.queue` is no key; did you mean `async.default_queue`?",
            "extensions.toml:8: `async.colour` is no key; valid are `default_queue`, `tries`, `backoff` and `backoff_strategy`",
            "extensions.toml:10: `circuit_breaker.slow_threshold` is no key; did you mean `profiling.slow_threshold`?",
            "extensions.toml:13: `worker.default.concurency` is no key of a pool; did you mean `concurrency`?",
        ];
        begin(&mistakes(text), &expected);
    }

    #[test]
    fn wrong_values_name_the_key_what_it_is_and_what_to_write() {
        let text = "queue_url = 5\ngraceful = 'yes'\nasync = 3\nworker = 1\n[circuit_breaker]\nthreshold = 0\ntimeout = 1.5\n\
                    half_open_max = -1\n[retention]\ndead = 2026-11-22\n[features]\na = 'on'\n[supervisor]\ncommand = []\n\
                    listen = '9464'\n";
        let expected = [
            "extensions.toml:1: `queue_url` is 5; write the URL of a queue",
            "extensions.toml:2: `graceful` is the text \"yes\"; write `true` or `false`",
            "extensions.toml:3: `async` is 3, but a table belongs there; write `[async]`",
            "extensions.toml:4: `worker` is 1, but a table belongs there; write `[worker]`",
            "extensions.toml:6: `circuit_breaker.threshold` is 0; write a whole number from 1 on",
            "extensions.toml:7: `circuit_breaker.timeout` is a number with a fraction; write a whole number of seconds",
            "extensions.toml:8: `circuit_breaker.half_open_max` is a negative number; write a whole number from 1 on",
            "extensions.toml:10: `retention.dead` is a date or time; write a whole number of seconds",
            "extensions.toml:12: `features.a` is the text \"on\"; write `true` or `false`",
            "extensions.toml:14: `supervisor.command` is an array; write the program and its arguments",
            "extensions.toml:15: `supervisor.listen` is the text \"9464\"; write an address with its port",
        ];
        begin(&mistakes(text), &expected);
    }

    #[test]
    fn pools_that_cannot_be_are_named_by_the_line_that_is_wrong() {
        let text = "[worker]\nconcurrency = 3\n[worker.a]\nprocesses = 2\n[worker.b]\nqueues = ['x', 'x']\n[worker.c]\nqueues = ['x']\n\
                    concurrency = 2\nmin_concurrency = 3\n[worker.d]\nqueues = { x = 0 }\n[worker.e]\nqueues = ['mails']\n\
                    queue_concurrency = { mail = 1 }\n[worker.f]\nqueues = []\nlease = '10ms'\nmax_memory = '1 mb'\n[[worker.g]]\n";
        let expected = [
            "extensions.toml:2: `worker.concurrency` is 3, and pools are tables with names; write `[worker.default]`",
            "extensions.toml:3: `worker.a` names no queues; write `queues = [\"default\"]`",
            "extensions.toml:6: `worker.b.queues` is an array; write queues, each once",
            "extensions.toml:10: `worker.c.min_concurrency` is 3, which is more than `concurrency`, 2",
            "extensions.toml:12: `worker.d.queues` is a table; write queues, each once",
            "extensions.toml:15: `worker.e.queue_concurrency` limits `mail`, which the pool does not serve; did you mean `mails`?",
            "extensions.toml:17: `worker.f.queues` is an array; write queues",
            "extensions.toml:18: `worker.f.lease` is the text \"10ms\"; write a whole number of seconds or a duration",
            "extensions.toml:19: `worker.f.max_memory` is the text \"1 mb\"; write a number of bytes or a size",
            "extensions.toml:20: `worker.g` is an array, and pools are tables with names",
        ];
        begin(&mistakes(text), &expected);
    }

    #[test]
    fn what_is_no_toml_is_said_for_each_place_and_nothing_is_guessed() {
        let text = "graceful = \nstrict = true\nstrict = false\n[async\ntries = 3\nqueue_url = \"a\n";
        let mistakes = mistakes(text);
        assert!(mistakes.len() >= 3, "{mistakes:#?}");
        assert!(mistakes.iter().all(|mistake| mistake.contains(": this is no TOML: ")), "{mistakes:#?}");
        for line in ["extensions.toml:1: ", "extensions.toml:3: ", "extensions.toml:4: "] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(line)), "{line}: {mistakes:#?}");
        }
    }

    #[test]
    fn the_file_is_that_of_the_variable_else_the_nearest_one_upward() {
        let outer = Folder::with("environment = 'outer'");
        let inner = outer.0.join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        // A folder of that name is no file.
        std::fs::create_dir(inner.join("extensions.toml")).unwrap();
        let read = |variables: &Variables| Config::read_with(&Source::Found, Some(&inner), variables);
        let (config, _) = read(&Variables::default());
        assert_eq!(config.environment(), "outer");
        assert_eq!(config.file(), Some(&*outer.0.join("extensions.toml")));

        let other = Folder::with("environment = 'other'");
        let path = other.0.join("extensions.toml").display().to_string();
        assert_eq!(read(&Variables::from([("EXTENSIONS_CONFIG", &*path)])).0.environment(), "other");
        let named = Config::read_with(
            &Source::Named(outer.0.join("extensions.toml")),
            None,
            &Variables::from([("EXTENSIONS_CONFIG", &*path)]),
        );
        assert_eq!(named.0.environment(), "outer");
        let nothing = Config::read_with(
            &Source::Nothing,
            Some(&inner),
            &Variables::from([("EXTENSIONS_CONFIG", &*path)]),
        );
        assert_eq!((nothing.0.environment().as_str(), nothing.0.file()), ("production", None));

        let (_, mistakes) = read(&Variables::from([("EXTENSIONS_CONFIG", "/nowhere/extensions.toml")]));
        let said = mistakes[0].to_string();
        assert!(said.starts_with("/nowhere/extensions.toml: the file cannot be read: "), "{said}");
        assert_eq!((mistakes[0].file(), mistakes[0].line()), (Some("/nowhere/extensions.toml"), None));
    }

    /// Going on without it, or with a file further up, would be what nobody has asked for.
    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_to_no_file_is_a_mistake() {
        let outer = Folder::with("environment = 'outer'");
        let inner = outer.0.join("a");
        std::fs::create_dir(&inner).unwrap();
        std::os::unix::fs::symlink("nowhere.toml", inner.join("extensions.toml")).unwrap();
        let (config, mistakes) = Config::read_with(&Source::Found, Some(&inner), &Variables::default());
        let said: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!((config.file(), said.len()), (Some(&*inner.join("extensions.toml")), 1), "{said:?}");
        assert!(said[0].contains("the file cannot be read: "), "{said:?}");
    }

    #[test]
    fn mistakes_of_file_and_variables_come_together_without_secrets() {
        let folder = Folder::with("queue_urls = 'postgres://me:hush@host/db'\nstrict = 1\n");
        let (_, mistakes) = folder.read([("EXTENSIONS_GRACEFUL", "maybe")]);
        let expected = [
            "extensions.toml:1: `queue_urls` is no key",
            "extensions.toml:2: `strict` is 1",
            "EXTENSIONS_GRACEFUL ",
        ];
        begin(&mistakes, &expected);
        assert!(!mistakes.concat().contains("hush"), "{mistakes:#?}");
    }
}
