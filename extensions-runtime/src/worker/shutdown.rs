//! Signals: the first ends a worker in order, the second at once.

use std::future::Future;

/// Ends at the first of SIGTERM, SIGINT and SIGHUP. From then on a further one ends the process at once, with 128 plus the
/// signal's number.
///
/// # Errors
///
/// Where the signals cannot be listened for.
#[cfg(unix)]
pub(super) fn signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    Ok(async move {
        let first = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
            _ = hup.recv() => "SIGHUP",
        };
        tracing::info!(signal = first, "shutting down; a second signal ends at once");
        tokio::spawn(async move {
            let number = tokio::select! {
                _ = term.recv() => 15,
                _ = int.recv() => 2,
                _ = hup.recv() => 1,
            };
            std::process::exit(128 + number);
        });
    })
}

/// Ends at Ctrl-C.
///
/// # Errors
///
/// None on this system.
#[cfg(not(unix))]
pub(super) fn signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
        tracing::info!("shutting down");
    })
}
