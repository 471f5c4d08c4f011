//! The servers that tests share: those of `TEST_DATABASE_URL` and `TEST_S3_ENDPOINT`, which `make test` starts once for all
//! tests; else servers of this process, started by the scripts of `localstack/` when they are first wanted.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// A server of this process. It ends when its standard input does: with this process, however that ends.
struct Server {
    url: String,
    _until: ChildStdin,
    _shell: Child,
}

/// Starts the server, says where it is, and removes it once nobody holds the other end of the input.
const SCRIPT: &str = r#"
    dir=$(mktemp -d) && chmod 755 "$dir"
    trap '' HUP INT TERM
    "$0" start "$dir/server" </dev/null && cat >/dev/null
    "$0" "$1" "$dir/server" >/dev/null 2>&1 </dev/null
    rm -rf "$dir""#;

/// The URL of the PostgreSQL to test with.
pub(crate) fn postgres() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    url("TEST_DATABASE_URL", &SERVER, "postgres", "remove")
}

/// The URL of the S3 and Secrets Manager to test with.
pub(crate) fn s3() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    url("TEST_S3_ENDPOINT", &SERVER, "s3", "stop")
}

/// The value of a variable, else the URL of a server of this process.
fn url(variable: &str, server: &OnceLock<Server>, script: &str, end: &str) -> String {
    if let Ok(url) = std::env::var(variable) {
        return url;
    }
    server.get_or_init(|| start(script, end)).url.clone()
}

fn start(script: &str, end: &str) -> Server {
    let path = format!("{}/../../localstack/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, &path, end]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    let mut url = String::new();
    let answer = child.stdout.take().expect("its output is piped");
    BufReader::new(answer).read_line(&mut url).expect("its output is text");
    assert!(!url.is_empty(), "{path} starts no server: its reason is above");
    let until = child.stdin.take().expect("its input is piped");
    Server { url: url.trim().to_owned(), _until: until, _shell: child }
}
