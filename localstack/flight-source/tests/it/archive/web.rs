//! An archive on a web server that counts its requests, and can stall in the middle of a file.

use std::path::PathBuf;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::*;

/// A web server of the files in a directory.
pub(super) struct Web {
    root: PathBuf,
    /// Each request: method and path.
    seen: Mutex<Vec<String>>,
    /// What has to be in a path for the second half of the file to wait.
    slow: Option<&'static str>,
    /// What it says of a file that is not there.
    absent: &'static str,
    /// How many such halves may go on.
    pub(super) go_on: Semaphore,
}

impl Web {
    /// Serves a directory, and returns the address too. The second half of a file with `slow` in its path waits.
    pub(super) async fn serve(root: &Path, slow: Option<&'static str>) -> (Arc<Web>, String) {
        Self::serve_with(root, slow, "404 Not Found").await
    }

    /// The same of a server that says something else of a file that is not there.
    pub(super) async fn serve_with(
        root: &Path,
        slow: Option<&'static str>,
        absent: &'static str,
    ) -> (Arc<Web>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/some/where", listener.local_addr().unwrap());
        let (seen, go_on) = (Mutex::default(), Semaphore::new(0));
        let web = Arc::new(Web { root: root.to_owned(), seen, slow, absent, go_on });
        let serving = web.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().answer(client));
            }
        });
        (web, url)
    }

    /// How many requests of this method had this in their path.
    pub(super) fn count(&self, method: &str, part: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.starts_with(method) && request.contains(part)).count()
    }

    async fn answer(self: Arc<Self>, mut client: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match client.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let line = String::from_utf8(request).unwrap().lines().next().unwrap().to_owned();
        self.seen.lock().unwrap().push(line.clone());
        let path = line.split(' ').nth(1).unwrap().trim_start_matches("/some/where/").to_owned();
        let Ok(file) = std::fs::read(self.root.join(&path)) else {
            let answer =
                format!("HTTP/1.1 {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", self.absent);
            let _ = client.write_all(answer.as_bytes()).await;
            return;
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", file.len());
        let _ = client.write_all(head.as_bytes()).await;
        if line.starts_with("HEAD") {
            return;
        }
        let (first, second) = file.split_at(file.len() / 2);
        let _ = client.write_all(first).await;
        if self.slow.is_some_and(|slow| path.contains(slow)) {
            self.go_on.acquire().await.unwrap().forget();
        }
        let _ = client.write_all(second).await;
    }
}
