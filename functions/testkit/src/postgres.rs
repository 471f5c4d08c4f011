//! A private PostgreSQL to stop, restart and kill.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;

use crate::certificates::{Authority, Certificate};
use crate::database::{connect, rows};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/postgres");

/// How PostgreSQL stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, a checkpoint is written.
    Fast,
    /// As in a crash, without a checkpoint: the next start recovers.
    Immediate,
}

/// A running server in its own directory; drop removes both.
#[derive(Debug)]
pub struct PrivateServer {
    directory: TempDir,
    url: String,
    /// Whether the directory is a separate file system.
    mounted: bool,
}

impl PrivateServer {
    /// Starts one with these settings, such as `&["max_connections=5"]`.
    pub fn start(settings: &[&str]) -> PrivateServer {
        PrivateServer::in_directory(directory(), false, settings)
    }

    /// Starts one on a separate disk of `megabytes` MiB; `None` if the user may not mount one.
    pub fn on_small_disk(megabytes: u32, settings: &[&str]) -> Option<PrivateServer> {
        let directory = directory();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .output()
            .expect("mount runs");
        if !mount.status.success() {
            eprintln!("no disk of its own: {}", String::from_utf8_lossy(&mount.stderr).trim());
            return None;
        }
        Some(PrivateServer::in_directory(directory, true, settings))
    }

    /// Fills the separate disk until `leave` KiB are left; with `None`, empties it again.
    pub fn fill_disk(&self, leave: Option<u64>) {
        assert!(self.mounted, "only a disk of its own is filled");
        let filler = self.directory.path().join("filler");
        let Some(leave) = leave else { return std::fs::remove_file(filler).expect("the disk is emptied") };
        let df = Command::new("df").args(["-k", "--output=avail"]).arg(self.directory.path()).output();
        let df = String::from_utf8(df.expect("df runs").stdout).expect("text");
        let free: u64 = df.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number of KiB");
        let bytes = free.saturating_sub(leave) * 1024;
        std::fs::write(filler, vec![1; usize::try_from(bytes).expect("a small disk")])
            .expect("the disk fills");
    }

    fn in_directory(directory: TempDir, mounted: bool, settings: &[&str]) -> PrivateServer {
        open(directory.path().to_path_buf());
        let mut server = PrivateServer { directory, url: String::new(), mounted };
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

    /// From now on, accepts TLS connections with this certificate; with `None`, no TLS.
    pub async fn serve_tls(&self, certificate: Option<&Certificate>) {
        let client = connect(self.url()).await;
        // The names are new each time, so that a new session shows when the server has read them.
        let name = Uuid::new_v4().simple();
        let mut settings = vec![("ssl", if certificate.is_some() { "on" } else { "off" }.to_owned())];
        if let Some(Certificate { certificate, key }) = certificate {
            for (ending, pem, setting) in
                [("crt", certificate, "ssl_cert_file"), ("key", key, "ssl_key_file")]
            {
                let file = format!("{name}.{ending}");
                // The server writes them itself, so that it owns them.
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

    /// From now on, this role must also have a certificate of the authority, and TLS. The server must have a certificate.
    pub async fn know_by_certificate(&self, role: &str, authority: &Authority) {
        let client = connect(self.url()).await;
        for (file, text) in [
            ("clients.crt", authority.pem()),
            (
                "rules",
                format!(
                    "hostssl all {role} all scram-sha-256 clientcert=verify-ca\nhost all {role} all reject"
                ),
            ),
        ] {
            let text = text.trim_end();
            let write =
                format!("copy (select unnest(string_to_array('{text}', E'\n'))) to program 'cat > {file}'");
            client.batch_execute(&write).await.expect("the server writes a file");
        }
        // the first line that matches decides
        let first = "copy (select) to program 'cat pg_hba.conf >> rules && mv rules pg_hba.conf'";
        client.batch_execute(first).await.expect("the server writes its rules");
        client.batch_execute("alter system set ssl_ca_file = 'clients.crt'").await.expect("a setting");
        client.batch_execute("select pg_reload_conf()").await.expect("the server reads its settings");
        let begun = Instant::now();
        while rows(&connect(self.url()).await, "show ssl_ca_file").await != ["clients.crt"] {
            assert!(begun.elapsed() < Duration::from_secs(20), "the server does not take the authority");
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

    /// Kills its first process with SIGKILL, and waits until it is gone: a start before that would find it running.
    pub fn kill9(&self) {
        let pid = self.pid().to_string();
        let killed = Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()), "cannot kill PostgreSQL");
        let begun = Instant::now();
        // A process that has ended has no directory, even before it is reaped.
        while std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(30), "PostgreSQL outlives its kill");
            std::thread::sleep(Duration::from_millis(10));
        }
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
        if self.mounted {
            let unmounted = Command::new("umount").arg("-l").arg(self.directory.path()).status();
            if !unmounted.is_ok_and(|status| status.success()) {
                eprintln!("{} may be left mounted", self.directory.path().display());
            }
        }
    }
}

/// Under /tmp: the directory must be open to the user that the server runs as when the tests run as root.
fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("cdl-postgres-").tempdir_in("/tmp");
    directory.expect("a directory for PostgreSQL")
}

fn open(directory: PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, mode).expect("the directory is ours");
}
