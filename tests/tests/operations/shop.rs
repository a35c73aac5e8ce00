//! The folder of the shop with its releases, its store, and processes that were started there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use examples::http::send;
use extensions::job::{JobRecord, JobState};
use extensions::queue::{JobFilter, QueueBackend, QueueError, WorkerInfo, connect_existing};
use rustix::process::{Signal, kill_process};
use tests::kit::{in_time, until};
use tests::os;
use tests::transcript::squeezed;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;

use crate::page::Page;

const SHOP: &str = env!("CARGO_BIN_EXE_shop");
const STAND_ALONE: &str = env!("CARGO_BIN_EXE_stand-alone");

/// Whose console answers where no handler's code is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Console {
    Own,
    StandAlone,
}

impl Console {
    /// The page's commands for this console.
    pub(crate) fn own(self, commands: &str) -> String {
        let own = |line: &str| match line.strip_prefix("shop ") {
            Some(rest) if self == Self::StandAlone && !rest.starts_with("work") => {
                format!("extensions {rest}")
            }
            _ => line.to_owned(),
        };
        commands.lines().map(own).collect::<Vec<_>>().join("\n")
    }
}

pub(crate) struct Shop {
    folder: tempfile::TempDir,
    console: Console,
    store: OnceCell<Arc<dyn QueueBackend>>,
}

impl Shop {
    /// With the page's configuration, and without a store.
    pub(crate) fn open(console: Console) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (link, program) in [
            ("shop", SHOP),
            ("bin/shop", SHOP),
            ("bin/extensions", STAND_ALONE),
            ("releases/41/shop", SHOP),
            ("releases/42/shop", SHOP),
        ] {
            let link = root.join(link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(program, link).unwrap();
        }
        let configuration = Page::read().configuration().replace("/srv/shop", root.to_str().unwrap());
        std::fs::write(root.join("extensions.toml"), configuration).unwrap();
        Self { folder, console, store: OnceCell::new() }
    }

    pub(crate) fn console(&self) -> Console {
        self.console
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, shell: &str, script: &str) -> Command {
        let mut command = Command::new(shell);
        command.arg("-c").arg(script).current_dir(self.folder()).kill_on_drop(true);
        for variable in ["EXTENSIONS_QUEUE_URL", "EXTENSIONS_CONFIG", "EXTENSIONS_ENV"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command in the shell of an operator.
    pub(crate) fn start(&self, script: &str) -> Child {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}/bin:{path}", self.folder().display());
        let script = format!("set -eo pipefail\n{script}");
        self.command("bash", &script).env("PATH", path).spawn().unwrap()
    }

    /// Starts a command as cron does: in `sh`, with next to no variables.
    pub(crate) fn start_as_cron(&self, command: &str) -> Child {
        let mut cron = self.command("/bin/sh", command);
        cron.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder()).spawn().unwrap()
    }

    /// Runs commands in the shell of an operator.
    pub(crate) async fn shell(&self, script: &str) -> Output {
        in_time("the commands' end", self.start(script).wait_with_output()).await.unwrap()
    }

    /// Runs a command of the console, which is done.
    pub(crate) async fn run(&self, line: &str) {
        let output = self.shell(&format!("shop {line}")).await;
        assert!(output.status.success(), "{line}: {output:?}");
    }

    /// Makes the store.
    pub(crate) async fn make(&self) {
        self.run("migrate").await;
    }

    /// Fires an order.
    pub(crate) async fn order(&self, id: u64) {
        self.run(&format!("test OrderPlaced --with-data '{{\"id\":{id}}}'")).await;
    }

    /// Adds to the configuration.
    pub(crate) fn configure(&self, more: &str) {
        let file = self.folder().join("extensions.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{before}\n{more}\n")).unwrap();
    }

    /// Makes a release a file of its own, by which its processes are told apart.
    pub(crate) fn install(&self, release: u8) {
        let program = self.folder().join(format!("releases/{release}/shop"));
        std::fs::remove_file(&program).unwrap();
        std::fs::copy(SHOP, program).unwrap();
    }

    /// Has `current` lead to a release.
    pub(crate) fn turn_to(&self, release: u8) {
        symlink(format!("releases/{release}"), self.folder().join("current")).unwrap();
    }

    pub(crate) fn put(&self, file: &str) {
        std::fs::write(self.folder().join(file), "").unwrap();
    }

    pub(crate) fn take_away(&self, file: &str) {
        std::fs::remove_file(self.folder().join(file)).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder().join(file)).unwrap()
    }

    /// The orders in a file that handlers write, in order.
    pub(crate) fn entered(&self, file: &str) -> Vec<u64> {
        let mut orders: Vec<_> = self.read(file).lines().map(|line| line.parse().unwrap()).collect();
        orders.sort_unstable();
        orders
    }

    pub(crate) async fn store(&self) -> Result<&Arc<dyn QueueBackend>, QueueError> {
        let url = format!("sqlite://{}/jobs.db", self.folder().display());
        self.store.get_or_try_init(|| connect_existing(&url)).await
    }

    pub(crate) async fn jobs(&self) -> Vec<JobRecord> {
        self.store().await.unwrap().list(JobFilter::default()).await.unwrap()
    }

    /// How many jobs there are in each state.
    pub(crate) async fn states(&self) -> BTreeMap<JobState, u64> {
        let mut states = BTreeMap::new();
        for job in self.jobs().await {
            *states.entry(job.state).or_default() += 1;
        }
        states
    }

    /// Waits until so many jobs are in these states, and none in others.
    pub(crate) async fn until<const N: usize>(&self, what: &str, states: [(JobState, u64); N]) {
        let states = BTreeMap::from(states);
        until(what, async || self.states().await == states).await;
    }

    /// Waits until so many jobs run.
    pub(crate) async fn until_running(&self, count: u64) {
        let running = async || self.states().await.get(&JobState::Running) == Some(&count);
        until("the jobs run", running).await;
    }

    /// Waits until workers have told the store of so many attempts.
    pub(crate) async fn until_told(&self, attempts: u64) {
        let told = async || {
            let history = self.store().await.unwrap().history(Duration::from_secs(3600)).await.unwrap();
            let ended = history.iter().map(|entry| entry.tally.completed + entry.tally.failed).sum::<u64>();
            ended == attempts
        };
        until("the workers tell what they did", told).await;
    }

    async fn workers(&self) -> Vec<WorkerInfo> {
        self.store().await.unwrap().workers().await.unwrap()
    }

    /// Waits until so many workers are live, and all of them are processes of a release. Their numbers, the oldest's first.
    pub(crate) async fn until_workers_are_of(&self, release: u8, count: usize) -> Vec<u32> {
        let program = format!("releases/{release}/shop");
        let is_of = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.ends_with(&program))
        };
        let workers = async || {
            let mut workers = self.workers().await;
            workers.sort_by_key(|worker| (worker.started_at, worker.id));
            let pids: Vec<_> = workers.iter().map(|worker| worker.pid).collect();
            (pids.len() == count && pids.iter().all(is_of)).then_some(pids)
        };
        until("the workers of the release", workers).await
    }

    /// Waits until no worker says that it has a job.
    pub(crate) async fn until_idle(&self) {
        let idle = async || self.workers().await.iter().all(|worker| worker.busy == 0);
        until("the workers' beats", idle).await;
    }

    /// What workers take for this machine's name.
    pub(crate) async fn host(&self) -> String {
        match self.store().await {
            Ok(_) => self.workers().await.first().map(|worker| worker.host.clone()).unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Starts a worker, and waits until the store knows it.
    pub(crate) async fn work(&self, command: &str) -> Process {
        let worker = Process::new(self.start(&format!("exec {command}")), None);
        self.until_it_shows(&worker, 0).await;
        worker
    }

    /// Waits until a worker is in the store with so many jobs.
    pub(crate) async fn until_it_shows(&self, worker: &Process, busy: u32) {
        let shows = |info: &WorkerInfo| info.pid == worker.pid() && info.busy == busy;
        until("the worker's beat", async || self.workers().await.iter().any(shows)).await;
    }
}

/// A process that goes on.
pub(crate) struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What the page says that it says.
    answer: Option<String>,
}

impl Process {
    pub(crate) fn new(mut child: Child, answer: Option<String>) -> Self {
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, answer }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits until it has said the page's line.
    pub(crate) async fn until_it_says_what_the_page_says(&mut self) {
        let (mut said, answer) = (String::new(), self.answer.as_deref().unwrap());
        let says = async {
            loop {
                let mut line = String::new();
                if self.out.read_line(&mut line).await.unwrap() == 0 {
                    return false;
                }
                said.push_str(&line);
                if squeezed(&line) == answer {
                    return true;
                }
            }
        };
        let says = tokio::time::timeout(tests::kit::PATIENCE, says).await;
        assert_eq!(says, Ok(true), "{answer}\n{said}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(os::pid(self.pid()).unwrap(), signal).unwrap();
    }

    /// Ends it by Ctrl-C.
    pub(crate) async fn interrupted(self) -> (Option<i32>, String) {
        self.signal(Signal::INT);
        self.ended().await
    }

    /// Ends it by SIGTERM.
    pub(crate) async fn terminated(self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Waits for its end: its code, and what it has said that nobody has heard.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        in_time("its last words", self.out.read_to_string(&mut said)).await.unwrap();
        let status = in_time("its end", self.child.wait()).await.unwrap();
        (status.code(), said.trim().to_owned())
    }
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until a worker's probe says this.
pub(crate) async fn until_probe(port: u16, path: &str, says: &str) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let said =
        async || send(address, "GET", path, &[], "").await.ok().filter(|answer| answer.body.contains(says));
    until("the probe's answer", said).await;
}
