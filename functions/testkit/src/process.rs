//! The real binary in an empty environment, to run, to wait for, and to kill.

use std::ffi::{OsStr, OsString};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A program with its arguments and its whole environment.
#[derive(Clone, Debug)]
pub struct Program {
    path: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<OsString>,
    unread: bool,
    stdout: Option<Arc<std::fs::File>>,
    patience: Duration,
}

/// A running program; drop kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    patience: Duration,
    stdout: Pipe,
    stderr: Pipe,
    heard: Arc<Notify>,
}

/// The result of a program.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; None when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its output.
    pub stdout: String,
    /// What it wrote to its error output.
    pub stderr: String,
    /// From its start to its end.
    pub duration: Duration,
}

#[derive(Debug)]
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Program {
    /// The program at this path, for cargo's own `env!("CARGO_BIN_EXE_…")`. Of the environment only PATH and HOME stay.
    pub fn new(path: impl AsRef<OsStr>) -> Program {
        let kept = ["PATH", "HOME"].into_iter();
        Program {
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: kept.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect(),
            directory: None,
            unread: false,
            stdout: None,
            patience: Duration::from_secs(120),
        }
    }

    /// Run by another program, with its own arguments followed by this program's path and arguments.
    pub fn within(mut self, path: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        let mut line: Vec<OsString> = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
        line.push(std::mem::replace(&mut self.path, path.into()));
        line.append(&mut self.arguments);
        self.arguments = line;
        self
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Program {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With more arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// With a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Program {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// With more variables.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Program {
        variables.into_iter().fold(self, |program, (name, value)| program.env(name, value))
    }

    /// In this working directory.
    pub fn current_dir(mut self, directory: impl AsRef<OsStr>) -> Program {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// With outputs that nobody reads: pipes whose other end is closed, as with `| head`.
    pub fn unread(mut self) -> Program {
        self.unread = true;
        self
    }

    /// With this file as its output, instead of capturing it.
    pub fn stdout_to(mut self, file: std::fs::File) -> Program {
        self.stdout = Some(Arc::new(file));
        self
    }

    /// With another time limit than two minutes, after which the test fails.
    pub fn patience(mut self, patience: Duration) -> Program {
        self.patience = patience;
        self
    }

    /// Runs to the end.
    pub async fn run(&self) -> Output {
        self.spawn().wait().await
    }

    /// Starts.
    pub fn spawn(&self) -> Running {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let started = Instant::now();
        if let Some(file) = &self.stdout {
            command.stdout(file.try_clone().expect("a file descriptor"));
        }
        if self.unread {
            command.stdout(closed_pipe()).stderr(closed_pipe());
        }
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run {}: {error}", self.path.display()));
        let heard = Arc::new(Notify::new());
        let stdout = match child.stdout.take() {
            Some(pipe) => Pipe::read(pipe, Arc::clone(&heard)),
            None => Pipe::read(tokio::io::empty(), Arc::clone(&heard)),
        };
        let stderr = match child.stderr.take() {
            Some(pipe) => Pipe::read(pipe, Arc::clone(&heard)),
            None => Pipe::read(tokio::io::empty(), Arc::clone(&heard)),
        };
        Running { child, started, patience: self.patience, stdout, stderr, heard }
    }
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the program is at work")
    }

    /// What it wrote to its output so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What it wrote to its error output so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until either output has a line that contains `part`, and returns the line.
    pub async fn wait_for_line(&mut self, part: &str) -> String {
        let line = async {
            loop {
                let heard = self.heard.notified();
                let found = [self.stdout.line(part), self.stderr.line(part)].into_iter().flatten().next();
                match found {
                    Some(line) => return line,
                    None if self.stdout.ended() && self.stderr.ended() => {
                        panic!("it ended without {part:?}: {}{}", self.stdout(), self.stderr())
                    }
                    None => heard.await,
                }
            }
        };
        let line = tokio::time::timeout(self.patience, line).await;
        line.unwrap_or_else(|_| panic!("no {part:?} in time: {}{}", self.stdout(), self.stderr()))
    }

    /// Sends it a signal, as in `"STOP"`.
    pub async fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Kills it with SIGKILL and waits for its end.
    pub async fn kill9(mut self) -> Output {
        self.child.start_kill().expect("the program is ours");
        self.wait().await
    }

    /// Waits for its end.
    pub async fn wait(mut self) -> Output {
        let ended = tokio::time::timeout(self.patience, self.child.wait()).await;
        let status: ExitStatus = ended
            .unwrap_or_else(|_| panic!("it does not end: {}{}", self.stdout(), self.stderr()))
            .expect("the program is ours");
        let duration = self.started.elapsed();
        Output {
            code: status.code(),
            stdout: self.stdout.end().await,
            stderr: self.stderr.end().await,
            duration,
        }
    }
}

impl Output {
    /// Fails the test with the program's whole output, unless it ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Output {
        let Output { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "exit code\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }
}

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}

impl Pipe {
    fn read(mut pipe: impl AsyncRead + Unpin + Send + 'static, heard: Arc<Notify>) -> Pipe {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
                kept.lock().unwrap().extend_from_slice(&buffer[..length]);
                heard.notify_one();
            }
            drop(kept); // says that this pipe has ended
            heard.notify_one();
        });
        Pipe { text, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn ended(&self) -> bool {
        Arc::strong_count(&self.text) == 1
    }

    fn line(&self, part: &str) -> Option<String> {
        let text = self.so_far();
        let whole = if self.ended() { text.len() } else { text.rfind('\n').map_or(0, |end| end + 1) };
        text[..whole].lines().find(|line| line.contains(part)).map(str::to_owned)
    }

    /// The whole output; it does not wait for a grandchild that keeps the pipe open.
    async fn end(mut self) -> String {
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.reader).await;
        self.so_far()
    }
}
