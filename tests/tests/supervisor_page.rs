//! The snippets of `docs/supervisor.md` are what a service manager takes, and agree with the defaults, as far as a program can tell.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use extensions::config::{Config, PoolQueues, SupervisorConfig};

/// How long handlers may go on after the grace.
const BEYOND_GRACE: u64 = 5;
const GRACE: u64 = 25;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/supervisor.md");
    std::fs::read_to_string(path).unwrap()
}

/// The blocks of code in a language.
fn blocks(language: &str) -> Vec<String> {
    let (page, start) = (page(), format!("```{language}\n"));
    let blocks = page.split(&start).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A file of sections, keys and values: `section.key` with its values.
fn ini(text: &str) -> BTreeMap<String, Vec<String>> {
    let (mut section, mut found) = (String::new(), BTreeMap::<_, Vec<_>>::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[') {
            name.strip_suffix(']').expect("a section ends").clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no key: {line}"));
        found.entry(format!("{section}.{key}")).or_default().push(value.to_owned());
    }
    found
}

fn one<'a>(file: &'a BTreeMap<String, Vec<String>>, key: &str) -> &'a str {
    let [value] = &file.get(key).unwrap_or_else(|| panic!("no {key}"))[..] else { panic!("{key} twice") };
    value
}

fn seconds(text: &str) -> Duration {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1,
        "min" => 60,
        other => panic!("the unit {other}"),
    };
    Duration::from_secs(digits.parse::<u64>().unwrap() * unit)
}

#[test]
fn the_configuration_is_one() {
    let [text] = &blocks("toml")[..] else { panic!("one configuration") };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("extensions.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::from_file(path).unwrap();
    let rest = &config.pools()["rest"];
    assert_eq!((rest.min_concurrency, rest.concurrency), (Some(4), 32));
    assert!(matches!(&rest.queues, PoolQueues::Weighted(weights) if weights.len() == 2));
    assert_eq!(*config.supervisor(), SupervisorConfig::default(), "what it shows are the defaults");
}

#[test]
fn the_unit_has_only_keys_of_systemd_and_gives_processes_time_to_end() {
    const KEYS: &[&str] = &[
        "Unit.Description",
        "Unit.After",
        "Unit.Wants",
        "Unit.StartLimitIntervalSec",
        "Service.Type",
        "Service.ExecStart",
        "Service.WorkingDirectory",
        "Service.User",
        "Service.Environment",
        "Service.KillMode",
        "Service.TimeoutStartSec",
        "Service.TimeoutStopSec",
        "Service.WatchdogSec",
        "Service.Restart",
        "Service.RestartSec",
        "Install.WantedBy",
    ];
    let unit = ini(&blocks("ini")[0]);
    let unknown: Vec<_> = unit.keys().filter(|key| !KEYS.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let command: Vec<_> = one(&unit, "Service.ExecStart").split(' ').collect();
    assert!(command[0].starts_with('/') && command[1..] == ["supervise"], "{command:?}");
    assert_eq!(one(&unit, "Service.Type"), "notify-reload");
    assert_eq!(one(&unit, "Service.KillMode"), "mixed", "the first signal is for the supervisor alone");
    let stop = seconds(one(&unit, "Service.TimeoutStopSec"));
    assert!(stop > SupervisorConfig::default().stop_timeout);
    // The loop rests for 5 s at most, and says that it turns twice in this time.
    assert!(seconds(one(&unit, "Service.WatchdogSec")) >= Duration::from_secs(10));
}

#[test]
fn the_program_of_supervisor_has_only_its_keys_and_gives_processes_time_to_end() {
    const KEYS: &[&str] = &[
        "command",
        "directory",
        "user",
        "autorestart",
        "startsecs",
        "stopsignal",
        "stopwaitsecs",
        "stopasgroup",
        "killasgroup",
        "stdout_logfile",
        "redirect_stderr",
    ];
    let program = ini(&blocks("ini")[1]);
    for key in program.keys() {
        let (section, key) = key.rsplit_once('.').unwrap();
        assert!(section == "program:shop-workers" && KEYS.contains(&key), "{section} {key}");
    }
    let wait = seconds(one(&program, "program:shop-workers.stopwaitsecs"));
    assert!(wait > SupervisorConfig::default().stop_timeout);
    assert!(one(&program, "program:shop-workers.command").ends_with("/shop supervise"));
}

#[test]
fn a_procfile_has_a_name_and_a_command_on_each_line() {
    let [file] = &blocks("text")[..] else { panic!("one Procfile") };
    for line in file.lines() {
        let (name, command) = line.split_once(": ").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()) && command.starts_with("shop "), "{line}");
    }
    assert!(file.contains("workers: shop supervise"));
}

#[test]
fn kubernetes_is_told_the_endpoints_and_enough_time() {
    let [deployment, probes] = &blocks("yaml")[..] else { panic!("a deployment and probes") };
    for text in [deployment, probes] {
        assert!(!text.contains('\t'));
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            assert!(indent % 2 == 0, "{line}");
            let entry = line.trim_start().trim_start_matches("- ");
            assert!(
                entry.split_once(':').is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(' ')),
                "{line}"
            );
        }
    }
    let value = |key: &str| {
        let line = deployment.lines().find_map(|line| line.trim().strip_prefix(key)).expect(key);
        line.trim_start_matches(": ").to_owned()
    };
    let grace: u64 = value("terminationGracePeriodSeconds").parse().unwrap();
    assert!(grace > GRACE + BEYOND_GRACE);
    assert_eq!(value("args"), "[\"work\", \"--pool\", \"payments\"]");
    assert!(probes.contains("args: [\"supervise\"]"));
    let port = SupervisorConfig::default().listen.unwrap().port();
    for path in ["/live", "/ready"] {
        assert!(probes.contains(&format!("httpGet: {{ path: {path}, port: {port} }}")), "{probes}");
    }
    assert!(probes.contains(&format!("0.0.0.0:{port}")) && probes.contains("EXTENSIONS_SUPERVISOR_LISTEN"));
}
