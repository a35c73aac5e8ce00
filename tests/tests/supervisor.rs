//! Product 10.2: what a supervisor does with its processes, on real ones. What it does under load, held against ledgers, is in `crash`.

use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Address, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use examples::http::send;
use rustix::process::{Pid, Signal, kill_process};
use tests::crash::{Arena, Engine, Event, FirePlan, Mix, Role, Site, Subject, WorkPlan};
use tests::kit::{PATIENCE, in_time};
use tests::os;

const CHAOS: &str = env!("CARGO_BIN_EXE_chaos");
const ONE: &str = "[worker.one]\nqueues = [\"orders\", \"default\", \"held\"]\n";
const NOWHERE: &str = "listen = \"none\"";

async fn arena() -> Arena {
    Arena::new(Path::new(CHAOS), 1, async |folder| Site::shared(Engine::Sqlite, folder).await).await
}

async fn supervise(arena: &mut Arena, options: &str, pools: &str) -> Subject {
    let config = arena.configure(options, pools);
    arena.start(Role::Supervise { config }).await
}

async fn until(arena: &mut Arena, what: &str, so: impl FnMut(&Arena) -> bool) {
    arena.until(what, PATIENCE.as_secs(), so).await;
}

/// Waits until the supervisor has logged so many lines with this text.
async fn logged(arena: &mut Arena, supervisor: &Subject, text: &str, times: usize) {
    until(arena, text, |_| supervisor.log().matches(text).count() >= times).await;
}

async fn ends_with(supervisor: &mut Subject, signal: Signal, code: i32) -> Duration {
    supervisor.signal(signal).unwrap();
    let sent = Instant::now();
    let status = supervisor.ended(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(code), "{status}\n{}", supervisor.log());
    sent.elapsed()
}

async fn fire(arena: &mut Arena, plan: FirePlan) {
    let mut firer = arena.start(Role::Fire(plan)).await;
    assert!(firer.ended(PATIENCE).await.unwrap().success(), "{}", firer.log());
}

/// The one process that a supervisor has.
fn only_child(supervisor: &Subject) -> Pid {
    let children = os::children(supervisor.pid()).unwrap();
    assert_eq!(children.len(), 1, "{}", supervisor.log());
    children[0]
}

/// Processor time used so far.
fn used(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    // A tick is 10 ms everywhere that Rust runs on Linux.
    Duration::from_millis(ticks * 10)
}

/// The address that the supervisor serves.
async fn address(arena: &mut Arena, supervisor: &Subject) -> SocketAddr {
    logged(arena, supervisor, "are served", 1).await;
    let log = supervisor.log();
    let address = log.split_once("address=").unwrap().1.split_whitespace().next().unwrap();
    address.parse().unwrap()
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = in_time("an answer", send(address, "GET", path, &[], "")).await.unwrap();
    (answer.status, answer.body)
}

/// The value of a series in a text of metrics.
fn value(text: &str, series: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_process_that_always_dies_at_once_is_started_ever_more_rarely_and_costs_nothing() {
    let mut arena = arena().await;
    let starts = arena.path().join("starts");
    let command = format!("command = [\"/bin/sh\", \"-c\", \"echo x >> {}; exit 3\"]", starts.display());
    let started = Instant::now();
    let options = format!("listen = \"127.0.0.1:0\"\n{command}");
    let mut supervisor = supervise(&mut arena, &options, ONE).await;
    let count = || std::fs::read_to_string(&starts).map_or(0, |text| text.lines().count());
    until(&mut arena, "four starts", |_| count() >= 4).await;
    // 0.5 s, 1 s and 2 s, each a tenth more or less.
    assert!(
        started.elapsed() >= Duration::from_millis(3_100),
        "{:?}\n{}",
        started.elapsed(),
        supervisor.log()
    );
    assert!(used(supervisor.pid()) < Duration::from_millis(300), "{:?}", used(supervisor.pid()));
    logged(&mut arena, &supervisor, "a process has died and is replaced pool=\"one\"", 4).await;
    assert!(supervisor.log().contains("code=3"), "{}", supervisor.log());
    let address = address(&mut arena, &supervisor).await;
    let (status, body) = get(address, "/ready").await;
    assert_eq!((status, body.contains("pool `one`: 0 of 1 processes are ready")), (503, true), "{body}");
    assert_eq!(get(address, "/live").await.0, 200);
    ends_with(&mut supervisor, Signal::TERM, 0).await;
    assert_eq!(count(), 4, "none is started while it ends");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_tried_again_and_named() {
    let mut arena = arena().await;
    let options = format!("{NOWHERE}\ncommand = [\"/nowhere/worker\"]");
    let mut supervisor = supervise(&mut arena, &options, ONE).await;
    logged(&mut arena, &supervisor, "a process cannot be started", 2).await;
    assert!(supervisor.log().contains("/nowhere/worker"), "{}", supervisor.log());
    ends_with(&mut supervisor, Signal::INT, 0).await;
}

#[tokio::test]
async fn the_worst_code_of_the_processes_is_the_supervisors_and_what_does_not_end_is_killed() {
    let mut arena = arena().await;
    let shell = |trap: &str| {
        let loops = format!("trap '{trap}' TERM; echo trapped >&2; while :; do sleep 0.02; done");
        format!("{NOWHERE}\nstop_timeout = \"300ms\"\ncommand = [\"/bin/sh\", \"-c\", \"{loops}\"]")
    };
    for (trap, code) in [("exit 7", 7), ("", 137)] {
        let mut supervisor = supervise(&mut arena, &shell(trap), ONE).await;
        logged(&mut arena, &supervisor, "trapped", 1).await;
        ends_with(&mut supervisor, Signal::TERM, code).await;
    }
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_a_right_one_comes_into_effect() {
    let mut arena = arena().await;
    let mut supervisor = supervise(&mut arena, NOWHERE, ONE).await;
    logged(&mut arena, &supervisor, "all processes are ready", 1).await;
    let child = only_child(&supervisor);
    for wrong in ["[worker.one]\nqueues = [\"orders\"]\nproceses = 2\n", ""] {
        let refused = supervisor.log().matches("nothing is changed").count();
        let _ = arena.configure(NOWHERE, wrong);
        supervisor.signal(Signal::HUP).unwrap();
        logged(&mut arena, &supervisor, "nothing is changed", refused + 1).await;
        assert_eq!(only_child(&supervisor), child);
    }
    let log = supervisor.log();
    assert!(log.contains("extensions.toml:7") && log.contains("did you mean `processes`?"), "{log}");
    let two = "[worker.two]\nqueues = [\"default\"]\nprocesses = 2\nconcurrency = 3\n";
    let _ = arena.configure(NOWHERE, two);
    supervisor.signal(Signal::HUP).unwrap();
    logged(&mut arena, &supervisor, "all processes are ready", 2).await;
    until(&mut arena, "the pool that is no longer there has ended", |_| !os::lives(child)).await;
    let workers = arena.queue().workers().await.unwrap();
    let slots: Vec<_> = workers.iter().map(|worker| worker.slots).collect();
    assert_eq!(slots, [3, 3], "{}", supervisor.log());
    ends_with(&mut supervisor, Signal::TERM, 0).await;
}

#[tokio::test]
async fn a_pool_grows_with_what_waits_and_gives_up_idle_slots_one_by_one() {
    let mut arena = arena().await;
    let options = format!("{NOWHERE}\ncool_down = \"50ms\"");
    let pool = format!("{ONE}min_concurrency = 1\nconcurrency = 4\n");
    let mut supervisor = supervise(&mut arena, &options, &pool).await;
    logged(&mut arena, &supervisor, "all processes are ready", 1).await;
    assert!(supervisor.log().contains("slots=1"), "it starts with the fewest\n{}", supervisor.log());
    let held = Mix { held: 1, ..Mix::default() };
    fire(&mut arena, FirePlan { mix: held, handler_ms: 400, ..FirePlan::of(60, 0) }).await;
    for (from, to) in [(1, 2), (2, 3), (3, 4), (4, 3), (3, 2), (2, 1)] {
        logged(&mut arena, &supervisor, &format!("from={from} to={to}"), 1).await;
    }
    ends_with(&mut supervisor, Signal::TERM, 0).await;
}

#[tokio::test]
async fn endpoints_show_processes_and_sums_that_do_not_fall_when_one_dies() {
    let mut arena = arena().await;
    let pool = format!("{ONE}processes = 2\nconcurrency = 5\n");
    let mut supervisor = supervise(&mut arena, "listen = \"127.0.0.1:0\"", &pool).await;
    logged(&mut arena, &supervisor, "all processes are ready", 1).await;
    let address = address(&mut arena, &supervisor).await;
    assert_eq!((get(address, "/live").await.0, get(address, "/ready").await.0), (200, 200));
    let ordered = Mix { ordered: 1, ..Mix::default() };
    fire(&mut arena, FirePlan { mix: ordered, fail_share: 0.0, handler_ms: 1, ..FirePlan::of(40, 0) }).await;
    arena.until_drained(30).await;
    let quick = "extensions_attempts_total{handler=\"Ordered/quick\",queue=\"orders\",outcome=\"completed\"}";
    let (_, text) = get(address, "/metrics").await;
    assert_eq!(value(&text, quick), Some(40.0), "{text}");
    for (series, expected) in [
        ("extensions_supervisor_processes{pool=\"one\",state=\"ready\"}", 2.0),
        ("extensions_supervisor_processes{pool=\"one\",state=\"draining\"}", 0.0),
        ("extensions_supervisor_slots{pool=\"one\"}", 10.0),
        ("extensions_worker_slots", 10.0),
        ("extensions_queue_jobs{queue=\"orders\",state=\"available\"}", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
    let victim = os::children(supervisor.pid()).unwrap()[0];
    kill_process(victim, Signal::KILL).unwrap();
    logged(&mut arena, &supervisor, "a process has died and is replaced", 1).await;
    let (_, text) = get(address, "/metrics").await;
    assert_eq!(value(&text, quick), Some(40.0), "{text}");
    logged(&mut arena, &supervisor, "a process is ready", 3).await;
    let (_, text) = get(address, "/metrics").await;
    assert_eq!(value(&text, "extensions_supervisor_restarts_total{pool=\"one\"}"), Some(1.0), "{text}");
    ends_with(&mut supervisor, Signal::TERM, 0).await;
}

/// The service manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn bound(address: &Address) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Waits for a message that begins so.
    fn hear(&self, start: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let length = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("{start}: {error}"));
            let said = String::from_utf8(bytes[..length].to_vec()).unwrap();
            if said.starts_with(start) {
                return said;
            }
        }
    }
}

#[tokio::test]
async fn the_service_manager_is_told_of_start_life_reload_and_end() {
    let mut arena = arena().await;
    let path = arena.path().join("notify");
    let abstracted = format!("extensions-{}", std::process::id());
    let places = [
        (path.display().to_string(), Address::from_pathname(&path).unwrap()),
        (format!("@{abstracted}"), Address::from_abstract_name(&abstracted).unwrap()),
    ];
    for (name, address) in places {
        let manager = Manager::bound(&address);
        arena.variables = vec![("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "200000".to_owned())];
        let mut supervisor = supervise(&mut arena, NOWHERE, ONE).await;
        manager.hear("READY=1");
        let child = only_child(&supervisor);
        manager.hear("STATUS=running: 1 of 1 processes ready");
        let first = (manager.hear("WATCHDOG=1"), Instant::now()).1;
        for _ in 0..4 {
            manager.hear("WATCHDOG=1");
        }
        assert!(first.elapsed() >= Duration::from_millis(300), "twice in its time, and not more often");
        let environment = std::fs::read(format!("/proc/{}/environ", child.as_raw_nonzero())).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
        supervisor.signal(Signal::HUP).unwrap();
        let reloading = manager.hear("RELOADING=1");
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the time of the reload");
        let ago = tests::crash::Moment::now().0.checked_sub(micros.parse().unwrap());
        assert!(ago.is_some_and(|micros| micros < 30_000_000), "{reloading}");
        manager.hear("READY=1");
        assert_ne!(only_child(&supervisor), child, "it is told of the reload's end");
        let _ = arena.configure(NOWHERE, "[worker.one]\n");
        supervisor.signal(Signal::HUP).unwrap();
        manager.hear("RELOADING=1");
        manager.hear("READY=1");
        supervisor.signal(Signal::TERM).unwrap();
        manager.hear("STOPPING=1");
        assert_eq!(supervisor.ended(PATIENCE).await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_process_that_ends_after_its_last_job_is_replaced_without_ado() {
    let mut arena = arena().await;
    let pool = format!("{ONE}max_jobs = 2\nprefetch = 0\nconcurrency = 1\n");
    let mut supervisor = supervise(&mut arena, NOWHERE, &pool).await;
    let held = Mix { held: 1, ..Mix::default() };
    fire(&mut arena, FirePlan { mix: held, handler_ms: 1, ..FirePlan::of(8, 0) }).await;
    arena.until_drained(30).await;
    let log = supervisor.log();
    assert!(log.contains("a process has ended and is replaced") && log.contains("why=MaxJobs"), "{log}");
    assert!(!log.contains("has died"), "{log}");
    ends_with(&mut supervisor, Signal::TERM, 0).await;
}

#[tokio::test]
async fn a_process_that_cannot_drain_after_its_supervisors_death_ends_itself() {
    let mut arena = arena().await;
    let options = format!("{NOWHERE}\nstop_timeout = \"500ms\"");
    let mut supervisor = supervise(&mut arena, &options, &format!("{ONE}grace = \"1h\"\n")).await;
    let stubborn = Mix { stubborn: 1, ..Mix::default() };
    fire(&mut arena, FirePlan { mix: stubborn, handler_ms: 600_000, ..FirePlan::of(1, 0) }).await;
    let starts = |arena: &Arena| arena.ledgers().iter().map(tests::crash::Ledger::starts).sum::<usize>();
    until(&mut arena, "the handler runs", |arena| starts(arena) == 1).await;
    let child = only_child(&supervisor);
    supervisor.kill().await.unwrap();
    until(&mut arena, "the process has ended", |_| !os::lives(child)).await;
    let log = supervisor.log();
    assert!(log.contains("the supervisor is gone") && log.contains("exit_code=71"), "{log}");
}

#[tokio::test]
async fn what_handlers_start_cannot_read_from_the_supervisors_socket() {
    let mut arena = arena().await;
    let mut supervisor = supervise(&mut arena, NOWHERE, ONE).await;
    logged(&mut arena, &supervisor, "all processes are ready", 1).await;
    let input = std::fs::read_link(format!("/proc/{}/fd/0", only_child(&supervisor).as_raw_nonzero()));
    assert_eq!(input.unwrap(), Path::new("/dev/null"));
    ends_with(&mut supervisor, Signal::TERM, 0).await;
}

#[tokio::test]
async fn a_worker_without_a_supervisor_behind_its_variable_says_so() {
    let mut arena = arena().await;
    let plan = WorkPlan::default();
    let worker = arena.start(Role::Work(plan)).await;
    assert!(
        arena.ledger(&worker).count(|event| matches!(event, Event::Ready)) > 0,
        "without the variable all is well"
    );
    let config = arena.configure(NOWHERE, ONE);
    let text = std::fs::read_to_string(config).unwrap();
    let command = text.lines().find_map(|line| line.strip_prefix("command = ")).unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    let output = Command::new(&command[0])
        .args(&command[1..])
        .args(["work", "--pool", "one"])
        .env("EXTENSIONS_SUPERVISOR", "stdin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the standard input is no supervisor's"), "{said}");
}

#[tokio::test]
async fn a_supervisor_that_cannot_begin_says_what_to_change() {
    let mut arena = arena().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"", taken.local_addr().unwrap());
    for (options, pools, said) in [
        (NOWHERE, "", "write a table `[worker.default]`"),
        (&listen, ONE, "set `supervisor.listen` to another address, or to \"none\""),
    ] {
        let mut supervisor = supervise(&mut arena, options, pools).await;
        let status = supervisor.ended(PATIENCE).await.unwrap();
        assert_eq!((status.code(), supervisor.log().contains(said)), (Some(1), true), "{}", supervisor.log());
    }
}
