//! What the watching thread sleeps on: a ring from its own process, or a change of the database's log.

pub(super) use self::system::Doorbell;

/// Why the sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    /// Someone of this process rang.
    Here,
    /// The log may have changed.
    Log,
    /// Nobody rang for as long as was asked.
    Time,
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::fs::inotify;

    use super::Rung;

    /// How often to look where the kernel has no watch left to give.
    const POLL: Duration = Duration::from_millis(8);
    #[derive(Debug)]
    pub(in super::super) struct Doorbell {
        bell: OwnedFd,
        log: Option<OwnedFd>,
    }

    impl Doorbell {
        pub(in super::super) fn new(log: &Path) -> io::Result<Self> {
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            Ok(Self { bell, log: watch(log).ok() })
        }

        pub(in super::super) fn ring(&self) {
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }

        /// Sleeps until a ring, or, with `log`, until the database's log may have changed, or for that long.
        pub(in super::super) fn sleep(&self, log: Option<Duration>) -> Rung {
            let mut fds = Vec::with_capacity(2);
            fds.push(PollFd::new(&self.bell, PollFlags::IN));
            let watch = self.log.as_ref().filter(|_| log.is_some());
            fds.extend(watch.map(|watch| PollFd::new(watch, PollFlags::IN)));
            let timeout = log.map(|log| if watch.is_some() { log } else { log.min(POLL) });
            let timeout = timeout.map(|timeout| Timespec {
                tv_sec: timeout.as_secs().try_into().unwrap_or(1),
                tv_nsec: timeout.subsec_nanos().into(),
            });
            let _ = poll(&mut fds, timeout.as_ref());
            let rung = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
            let (here, changed) = (rung(0), rung(1));
            if here {
                let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
                return Rung::Here;
            }
            if changed { Rung::Log } else { Rung::Time }
        }

        /// Forgets the changes so far.
        pub(in super::super) fn drain(&self) {
            let Some(log) = &self.log else { return };
            let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
            let mut events = inotify::Reader::new(log, &mut buffer);
            while events.next().is_ok() {}
        }
    }

    fn watch(log: &Path) -> io::Result<OwnedFd> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, log, inotify::WatchFlags::MODIFY)?;
        Ok(watch)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::path::Path;
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::Duration;

    use super::Rung;

    /// How often to look for changes by other processes.
    const POLL: Duration = Duration::from_millis(8);

    #[derive(Debug, Default)]
    pub(in super::super) struct Doorbell {
        rung: Mutex<bool>,
        bell: Condvar,
    }

    impl Doorbell {
        pub(in super::super) fn new(_log: &Path) -> io::Result<Self> {
            Ok(Self::default())
        }

        pub(in super::super) fn ring(&self) {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.bell.notify_one();
        }

        pub(in super::super) fn sleep(&self, log: Option<Duration>) -> Rung {
            let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            if !*rung {
                rung = match log {
                    Some(log) => {
                        let timeout = log.min(POLL);
                        self.bell.wait_timeout(rung, timeout).unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => self.bell.wait(rung).unwrap_or_else(PoisonError::into_inner),
                };
            }
            if std::mem::take(&mut *rung) { Rung::Here } else { Rung::Time }
        }

        pub(in super::super) fn drain(&self) {}
    }
}
