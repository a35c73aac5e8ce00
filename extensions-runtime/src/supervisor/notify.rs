//! What systemd is told of a service of `Type=notify`, by datagrams to the socket in `NOTIFY_SOCKET`.

use crate::telemetry::names::event;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// What concerns this process alone: processes that it starts must not speak for it.
pub(super) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", WATCHDOG, WATCHDOG_PID];

const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Tells the service manager, where there is one.
#[derive(Debug, Default)]
pub(super) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    status: String,
}

impl Notify {
    /// The manager that the environment names.
    pub(super) fn of_environment() -> Self {
        let Some(name) = std::env::var_os(VARIABLES[0]).filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let opened = address(&name).and_then(|address| Ok((socket()?, address)));
        let to = opened.map_err(|error| tracing::warn!(name: event::NOTIFY_UNUSABLE, %error, ?name, "NOTIFY_SOCKET cannot be used")).ok();
        Self { watchdog: to.as_ref().and_then(|_| watchdog()), to, status: String::new() }
    }

    /// How often [`turning`](Self::turning) is to be called: twice as often as is asked for.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|patience| patience / 2)
    }

    /// All is started, or reloaded.
    pub(super) fn ready(&self) {
        self.send("READY=1");
    }

    /// The loop turns.
    pub(super) fn turning(&self) {
        self.send("WATCHDOG=1");
    }

    /// A reload begins; [`ready`](Self::ready) is its end.
    pub(super) fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", crate::time::monotonic().as_micros()));
    }

    /// The end begins.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// How it stands, for people; said where it is new.
    pub(super) fn status(&mut self, status: String) {
        if self.to.is_some() && self.status != status {
            self.send(&format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// A manager that cannot be told takes its own measures.
    fn send(&self, state: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::debug!(%error, state, "the service manager cannot be told");
        }
    }
}

fn socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A manager that hangs must not hang its services.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => without_file(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(target_os = "linux")]
fn without_file(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn without_file(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How long the manager waits for a sign of life, if it waits for one of this process.
fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = std::env::var_os(WATCHDOG_PID).is_none()
        || number(WATCHDOG_PID) == Some(u64::from(std::process::id()));
    number(WATCHDOG).filter(|micros| is_ours && *micros > 0).map(Duration::from_micros)
}
