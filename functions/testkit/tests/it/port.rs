use std::time::Duration;

use testkit::port::{closed_port, silent_port};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn closed_refuses_and_silent_takes_and_says_nothing() {
    let closed = closed_port();
    TcpStream::connect(closed.address()).await.unwrap_err();
    let silent = silent_port();
    let mut tcp = TcpStream::connect(silent.address()).await.unwrap();
    let read = tokio::time::timeout(Duration::from_millis(100), tcp.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}
