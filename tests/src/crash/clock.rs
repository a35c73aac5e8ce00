//! A wall clock for subjects that the harness sets: libfaketime reads what it shows from a file, each time that it is asked.

use std::path::{Path, PathBuf};

/// Where Debian and others put the library.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// A wall clock that jumps. What measures time, such as `Instant`, goes on as it did.
#[derive(Debug, Clone)]
pub struct FakeClock {
    file: PathBuf,
    library: &'static str,
}

impl FakeClock {
    /// A clock that is right so far.
    ///
    /// # Panics
    ///
    /// If libfaketime is not installed.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let library = LIBRARIES.iter().find(|library| Path::new(library).is_file());
        let library = library.expect(
            "libfaketime is missing; `bash scripts/test.sh` installs it, and so does `apt-get install faketime`",
        );
        let clock = Self { file: folder.join("clock"), library };
        clock.jump(0);
        clock
    }

    /// Shows the right time plus so many seconds from now on.
    ///
    /// # Panics
    ///
    /// If its file cannot be written.
    pub fn jump(&self, seconds: i64) {
        // Renamed into its place, so that nobody reads half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).expect("the clock's file can be written");
        std::fs::rename(new, &self.file).expect("the clock's file can be replaced");
    }

    /// What lets a program go by it.
    pub(super) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}
