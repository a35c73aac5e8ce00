//! The supervisor's loop: one task that hears everything, decides, and does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::board::Board;
use super::child::{Happening, Program};
use super::notify::Notify;
use super::plan::ProcessId;
use super::pool::{Pool, Shared};
use super::scale;
use super::store::Store;
use super::{Supervisor, SupervisorError, SupervisorReport};
use crate::config::{Config, ConfigError, Entry, Origin};
use crate::job::QueueName;
use crate::queue::QueueError;
use crate::telemetry::names::event;
use crate::telemetry::{Prometheus, Server, serve};

/// The longest rest of the loop. Whoever looks whether it turns sees it turn.
const REST: Duration = Duration::from_secs(5);
/// How long killed processes are waited for. Only the system can make them take longer.
const AFTER_KILL: Duration = Duration::from_secs(2);

type Look = JoinHandle<Result<BTreeMap<QueueName, u64>, QueueError>>;

pub(super) struct Runner {
    config: Config,
    source: Option<PathBuf>,
    queue_is_given: bool,
    /// What the program says itself, whatever the file says.
    fixed_url: Option<String>,
    own_program: PathBuf,
    queue_url: Option<String>,
    pools: BTreeMap<String, Pool>,
    shared: Shared,
    happened: UnboundedReceiver<(ProcessId, Happening)>,
    signals: Signals,
    board: Arc<Board>,
    notify: Notify,
    /// Whether the service manager waits to hear that all is ready.
    owes_ready: bool,
    next_turning: Option<Instant>,
    store: Arc<Store>,
    look: Option<Look>,
    next_look: Instant,
    look_fails: bool,
    /// The worst exit code since the end began.
    worst: u8,
    killed: Option<(Instant, u8)>,
    _server: Option<Server>,
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

/// What has ended a rest.
enum Woken {
    Happened(ProcessId, Happening),
    Looked(Result<BTreeMap<QueueName, u64>, QueueError>),
    Ends(&'static str, u8),
    Reloads,
    Time,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Woken {
        tokio::select! {
            _ = self.term.recv() => Woken::Ends("SIGTERM", 15),
            _ = self.int.recv() => Woken::Ends("SIGINT", 2),
            _ = self.hup.recv() => Woken::Reloads,
        }
    }
}

/// The result of a look, if there is one under way. Given up, it goes on.
async fn looked(look: &mut Option<Look>) -> Result<BTreeMap<QueueName, u64>, QueueError> {
    let Some(handle) = look else { return std::future::pending().await };
    let waiting = handle.await;
    *look = None;
    waiting.unwrap_or_else(|_| Ok(BTreeMap::new()))
}

impl Runner {
    pub(super) async fn new(supervisor: Supervisor) -> Result<Self, SupervisorError> {
        let Supervisor { config, queue, queue_url } = supervisor;
        if config.pools().is_empty() {
            return Err(SupervisorError::NoPools);
        }
        let signals = Signals::listen().map_err(SupervisorError::Signals)?;
        let own_program = own_program().map_err(SupervisorError::Program)?;
        let source = config.file().map(std::path::absolute).transpose().map_err(SupervisorError::Program)?;
        let queue_is_given = queue.is_some();
        let fixed_url = queue_url.clone().or_else(|| url_of_builder(&config));
        let store = match queue {
            Some(queue) => Store::of(queue),
            None => Store::at(fixed_url.clone().or_else(|| config.queue_url())),
        };
        let store = Arc::new(store);
        let prometheus = Prometheus::install();
        if let Err(error) = &prometheus {
            tracing::warn!(name: event::SUPERVISOR_HIDDEN, %error, "the supervisor's own figures are not in `/metrics`");
        }
        let board = Board::new(prometheus.ok(), Arc::clone(&store));
        let server = match config.supervisor().listen {
            Some(address) => {
                let served = serve(address, board.endpoints()).await;
                Some(served.map_err(|error| SupervisorError::Listen { address, error })?)
            }
            None => None,
        };
        if let Some(server) = &server {
            tracing::info!(name: event::SUPERVISOR_SERVES, address = %server.address(), "/live, /ready and /metrics are served");
        }
        let (happenings, happened) = unbounded_channel();
        let shared = Shared {
            program: program(&config, &own_program, queue_url.as_deref()),
            config: source.clone(),
            stop_timeout: config.supervisor().stop_timeout,
            happenings,
            next: 0,
            generation: 0,
            stopping: false,
            restarts: 0,
        };
        let mut runner = Self {
            source,
            queue_is_given,
            fixed_url,
            own_program,
            queue_url,
            pools: BTreeMap::new(),
            shared,
            happened,
            signals,
            board,
            notify: Notify::of_environment(),
            owes_ready: true,
            next_turning: None,
            store,
            look: None,
            next_look: Instant::now(),
            look_fails: false,
            worst: 0,
            killed: None,
            _server: server,
            config,
        };
        runner.configure();
        Ok(runner)
    }

    pub(super) async fn run(mut self) -> SupervisorReport {
        self.next_turning = self.notify.watchdog().map(|_| Instant::now());
        loop {
            let wake = self.turn();
            if self.is_over() {
                break;
            }
            let woken = self.rest(wake).await;
            self.take(woken);
            // What came meanwhile is taken together.
            while let Ok((id, happening)) = self.happened.try_recv() {
                self.take(Woken::Happened(id, happening));
            }
        }
        let exit_code = self.killed.map_or(self.worst, |(_, code)| code);
        tracing::info!(name: event::SUPERVISOR_STOPPED, exit_code, restarts = self.shared.restarts, "the supervisor ends");
        SupervisorReport { exit_code, started: self.shared.next, restarts: self.shared.restarts }
    }

    async fn rest(&mut self, wake: Instant) -> Woken {
        tokio::select! {
            Some((id, happening)) = self.happened.recv() => Woken::Happened(id, happening),
            woken = self.signals.next() => woken,
            looked = looked(&mut self.look) => Woken::Looked(looked),
            () = tokio::time::sleep_until(wake.into()) => Woken::Time,
        }
    }

    /// Does what is due, shows it, and answers with when to turn again at the latest.
    fn turn(&mut self) -> Instant {
        let now = Instant::now();
        let mut wake = now + REST;
        let before = self.shared.next;
        for pool in self.pools.values_mut() {
            wake = pool.turn(&mut self.shared).map_or(wake, |due| wake.min(due));
        }
        if self.shared.next != before {
            self.show_lines();
        }
        self.show();
        self.pools.retain(|_, pool| !pool.is_given_up());
        wake = self.start_look(now).map_or(wake, |due| wake.min(due));
        wake = self.feed_watchdog(now).map_or(wake, |due| wake.min(due));
        self.killed.map_or(wake, |(killed, _)| wake.min(killed + AFTER_KILL))
    }

    fn show_lines(&self) {
        self.board.show_lines(self.pools.values().flat_map(Pool::lines).collect());
    }

    fn show(&mut self) {
        let shared = &self.shared;
        let views: Vec<_> = self.pools.values_mut().map(|pool| pool.view(shared)).collect();
        let (ready, wanted) =
            views.iter().fold((0, 0), |(ready, wanted), view| (ready + view.ready, wanted + view.wanted));
        if self.owes_ready && !shared.stopping && self.pools.values().all(|pool| pool.is_settled(shared)) {
            self.owes_ready = false;
            self.notify.ready();
            tracing::info!(name: event::SUPERVISOR_READY, processes = wanted, "all processes are ready");
        }
        let doing = match (shared.stopping, self.owes_ready) {
            (true, _) => "ending",
            (false, true) => "starting",
            (false, false) => "running",
        };
        self.notify.status(format!("{doing}: {ready} of {wanted} processes ready"));
        self.board.turned(views, shared.stopping);
    }

    fn feed_watchdog(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.notify.watchdog()?;
        if self.next_turning.is_some_and(|next| next <= now) {
            self.notify.turning();
            self.next_turning = Some(now + interval);
        }
        self.next_turning
    }

    /// Looks at the store, where pools scale by it.
    fn start_look(&mut self, now: Instant) -> Option<Instant> {
        let scales = !self.shared.stopping && self.store.is_known() && self.pools.values().any(Pool::scales);
        if !scales || self.look.is_some() {
            return None;
        }
        if self.next_look > now {
            return Some(self.next_look);
        }
        let store = Arc::clone(&self.store);
        self.look = Some(tokio::spawn(async move { store.waiting().await }));
        None
    }

    fn take(&mut self, woken: Woken) {
        match woken {
            Woken::Happened(id, happening) => self.happened(id, happening),
            Woken::Looked(looked) => self.looked(looked),
            Woken::Ends(signal, number) => self.end(signal, number),
            Woken::Reloads => self.reload(),
            Woken::Time => {}
        }
    }

    fn happened(&mut self, id: ProcessId, happening: Happening) {
        let Some(pool) = self.pools.values_mut().find(|pool| pool.has(id)) else { return };
        let Some(remains) = pool.happened(id, happening) else { return };
        self.board.bury(&remains.metrics);
        if self.shared.stopping {
            self.worst = self.worst.max(remains.code);
        }
        self.show_lines();
    }

    fn looked(&mut self, looked: Result<BTreeMap<QueueName, u64>, QueueError>) {
        self.next_look = Instant::now() + self.config.supervisor().cool_down;
        match looked {
            Ok(waiting) => {
                if std::mem::take(&mut self.look_fails) {
                    tracing::info!(name: event::SCALING_RESUMED, "the store answers again: pools scale");
                }
                self.scale(&waiting);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.look_fails, true) {
                    tracing::warn!(name: event::SCALING_PAUSED, %error, "pools keep their size until the store answers");
                }
            }
        }
    }

    /// One step for every pool that scales; the others count with what they need.
    fn scale(&mut self, waiting: &BTreeMap<QueueName, u64>) {
        let loads: Vec<_> = self.pools.values().map(|pool| pool.load(waiting)).collect();
        for (pool, slots) in self.pools.values_mut().zip(scale::step(&loads)) {
            if pool.scales() {
                pool.resize(slots);
            }
        }
    }

    fn end(&mut self, signal: &'static str, number: u8) {
        if self.shared.stopping {
            tracing::warn!(name: event::SUPERVISOR_KILLS, signal, "a second signal: all processes are killed");
            self.killed.get_or_insert((Instant::now(), 128 + number));
            self.pools.values().for_each(Pool::kill_all);
            return;
        }
        tracing::info!(name: event::SUPERVISOR_DRAINS, signal, "draining all processes; a second signal kills them");
        self.notify.stopping();
        self.shared.stopping = true;
    }

    fn is_over(&self) -> bool {
        let gave_up = self.killed.is_some_and(|(killed, _)| killed.elapsed() >= AFTER_KILL);
        gave_up || self.pools.values().all(|pool| pool.is_over(&self.shared))
    }

    /// Reads the configuration again, and replaces all processes under it, one after the other. One with mistakes changes nothing.
    fn reload(&mut self) {
        if self.shared.stopping {
            return;
        }
        self.notify.reloading();
        match self.read() {
            Ok(config) => {
                tracing::info!(name: event::SUPERVISOR_ROLLS, "SIGHUP: all processes are replaced, one after the other");
                if config.supervisor().listen != self.config.supervisor().listen {
                    tracing::warn!(name: event::LISTEN_CHANGED,
                        "`supervisor.listen` has changed; it holds from the supervisor's next start on"
                    );
                }
                self.config = config;
                self.shared.generation += 1;
                self.owes_ready = true;
                self.configure();
            }
            Err(why) => {
                tracing::error!(name: event::RELOAD_REFUSED,
                    "SIGHUP: nothing is changed, because the configuration cannot be used: {why}"
                );
                if !self.owes_ready {
                    self.notify.ready();
                }
            }
        }
    }

    fn read(&self) -> Result<Config, String> {
        let read = |config: Result<Config, ConfigError>| config.map_err(|error| error.to_string());
        let config = read(self.source.as_ref().map_or_else(Config::load, Config::from_file))?;
        if config.pools().is_empty() {
            return Err(SupervisorError::NoPools.to_string());
        }
        Ok(config)
    }

    /// Puts the configuration into effect for what is started from now on.
    fn configure(&mut self) {
        self.shared.stop_timeout = self.config.supervisor().stop_timeout;
        self.shared.program = program(&self.config, &self.own_program, self.queue_url.as_deref());
        for (name, pool) in &mut self.pools {
            pool.configure(self.config.pools().get(name));
        }
        for (name, settings) in self.config.pools() {
            let new = || Pool::new(name.clone(), settings.clone());
            self.pools.entry(name.clone()).or_insert_with(new);
        }
        let url = self.fixed_url.clone().or_else(|| self.config.queue_url());
        if !self.queue_is_given && self.store.url() != url.as_deref() {
            self.store = Arc::new(Store::at(url));
            self.board.show_store(Arc::clone(&self.store));
        }
        if !self.store.is_known() && self.pools.values().any(Pool::scales) {
            tracing::warn!(name: event::SCALING_IMPOSSIBLE,
                "pools with `min_concurrency` do not scale: the supervisor knows no queue; set `queue_url`"
            );
        }
    }
}

fn url_of_builder(config: &Config) -> Option<String> {
    let by_builder = |entry: &Entry| entry.key == "queue_url" && entry.origin == Origin::Builder;
    config.entries().iter().any(by_builder).then(|| config.queue_url()).flatten()
}

fn program(config: &Config, own: &std::path::Path, queue_url: Option<&str>) -> Program {
    let (path, arguments) = match config.supervisor().command.as_deref() {
        Some([path, arguments @ ..]) => (path.into(), arguments.iter().map(Into::into).collect()),
        _ => (own.to_owned(), Vec::new()),
    };
    let mut program = Program { path, arguments };
    if let Some(url) = queue_url {
        program.arguments.extend(["--queue-url".into(), url.into()]);
    }
    program
}

/// The program's path as it was started, where it says one: behind a link, that is the release that the link leads to at the time.
fn own_program() -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let said = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    // A name alone was looked for in the folders of `PATH`.
    let folders = std::env::var_os("PATH").filter(|_| said.components().count() == 1);
    let found = folders.iter().flat_map(std::env::split_paths).map(|folder| folder.join(&said));
    let is_own = |path: &PathBuf| {
        path.canonicalize().is_ok_and(|path| own.canonicalize().is_ok_and(|own| own == path))
    };
    let started = std::iter::once(said.clone()).filter(|path| path.components().count() > 1).chain(found);
    let started = started.filter_map(|path| std::path::absolute(path).ok()).find(is_own);
    Ok(started.unwrap_or(own))
}
