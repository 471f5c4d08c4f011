//! A PostgreSQL of the test's own, to stop, restart and kill.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/postgres");

/// How PostgreSQL goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, a checkpoint is written.
    Fast,
    /// As in a crash, without a checkpoint: the next start recovers.
    Immediate,
}

/// A running server in a directory of its own; both are gone when it is dropped.
#[derive(Debug)]
pub struct PrivateServer {
    directory: TempDir,
    url: String,
}

impl PrivateServer {
    /// Starts one with these settings, as in `&["max_connections=5"]`.
    pub fn start(settings: &[&str]) -> PrivateServer {
        // Under /tmp: the directory must be open to the user that the server runs as when the tests run as root.
        let directory = tempfile::Builder::new().prefix("cdl-postgres-").tempdir_in("/tmp");
        let directory = directory.expect("a directory for PostgreSQL");
        open(directory.path().to_path_buf());
        let mut server = PrivateServer { directory, url: String::new() };
        let mut arguments = Vec::new();
        for setting in settings {
            arguments.extend(["-c", setting]);
        }
        server.url = server.script("start", &arguments);
        server
    }

    /// The URL of its database `postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it.
    pub fn stop(&self, how: Stop) {
        self.script("stop", &[how.name()]);
    }

    /// Starts it again after a stop or a kill, on the same port, with the same settings.
    pub fn start_again(&self) {
        self.script("start", &[]);
    }

    /// Stops it and starts it again, on the same port.
    pub fn restart(&self, how: Stop) {
        self.script("restart", &[how.name()]);
    }

    /// Kills its first process with SIGKILL.
    pub fn kill9(&self) {
        let killed = Command::new("kill").args(["-9", &self.pid().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "cannot kill PostgreSQL");
    }

    /// The id of its first process.
    pub fn pid(&self) -> u32 {
        self.script("pid", &[]).parse().expect("a process id")
    }

    fn script(&self, verb: &str, arguments: &[&str]) -> String {
        let output = Command::new(SCRIPT).arg(verb).arg(self.directory.path()).args(arguments).output();
        let output = output.expect("localstack/postgres runs");
        let diagnosis = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "localstack/postgres {verb}: {diagnosis}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let stopped = Command::new(SCRIPT).arg("stop").arg(self.directory.path()).arg("immediate").output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            eprintln!("a PostgreSQL in {} may be left", self.directory.path().display());
        }
    }
}

fn open(directory: PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, mode).expect("the directory is ours");
}
