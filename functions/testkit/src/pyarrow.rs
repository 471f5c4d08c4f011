//! A Flight server that is not of this project: stock pyarrow, on the C++ implementation of gRPC.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use arrow::ipc::writer::FileWriter;
use tempfile::TempDir;

use crate::rows::Row;
use crate::schema::{batch, schema};

/// A running pyarrow; it ends with this value.
#[derive(Debug)]
pub struct Pyarrow {
    port: u16,
    child: Child,
    /// It also ends with its standard input, however this process ends.
    _until: ChildStdin,
    _rows: TempDir,
}

impl Pyarrow {
    /// Serves these rows, declared; each answer for a window takes `counting`.
    pub fn of_rows(rows: &[Row], counting: Duration) -> Pyarrow {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.arrow");
        let mut file =
            FileWriter::try_new(File::create(&path).expect("a file"), &schema()).expect("a file of rows");
        for rows in rows.chunks(1_024) {
            file.write(&batch(rows)).expect("rows");
        }
        file.finish().expect("a file of rows");

        let mut serve = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pyarrow/serve"));
        serve.arg(&path).arg(counting.as_secs_f64().to_string());
        let mut child = serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
        let until = child.stdin.take().expect("its input is piped");
        let mut port = String::new();
        let answer = child.stdout.take().expect("its output is piped");
        BufReader::new(answer).read_line(&mut port).expect("its output is text");
        let port = port.trim().parse().expect("pyarrow starts: its reason not to is above");
        Pyarrow { port, child, _until: until, _rows: folder }
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Pyarrow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
