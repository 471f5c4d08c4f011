//! A PostgreSQL of the test's own, to stop, restart and kill.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;

use crate::certificates::Certificate;
use crate::database::{connect, rows};

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

    /// From now on, takes TLS connections too and shows this certificate; without one, none.
    pub async fn serve_tls(&self, certificate: Option<&Certificate>) {
        let client = connect(self.url()).await;
        // The names are new each time, so that a new session says when the server has read them.
        let name = Uuid::new_v4().simple();
        let mut settings = vec![("ssl", if certificate.is_some() { "on" } else { "off" }.to_owned())];
        if let Some(Certificate { certificate, key }) = certificate {
            for (ending, pem, setting) in
                [("crt", certificate, "ssl_cert_file"), ("key", key, "ssl_key_file")]
            {
                let file = format!("{name}.{ending}");
                // The server writes them itself, so that they are its own.
                let write = format!(
                    "copy (select unnest(string_to_array('{}', E'\n'))) to program 'umask 077; cat > {file}'",
                    pem.trim_end()
                );
                client.batch_execute(&write).await.expect("the server writes its certificate");
                settings.push((setting, file));
            }
        }
        for (setting, value) in &settings {
            let alter = format!("alter system set {setting} = '{value}'");
            client.batch_execute(&alter).await.expect("a setting of the server");
        }
        client.batch_execute("select pg_reload_conf()").await.expect("the server reads its settings");
        let (setting, value) = settings.last().expect("there is one");
        let begun = Instant::now();
        while rows(&connect(self.url()).await, &format!("show {setting}")).await != [value.as_str()] {
            assert!(begun.elapsed() < Duration::from_secs(20), "the server does not take its certificate");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
