//! As much of an HTTP client as talking to one's own programs takes.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status: 200.
    pub status: u16,
    /// The body.
    pub body: String,
    head: String,
}

impl Answer {
    /// The value of a header, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends a request over a connection of its own; `headers` are whole lines, `body` is JSON.
///
/// # Errors
///
/// If the connection fails, or the answer is no HTTP.
pub async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> io::Result<Answer> {
    // 1.0 says that the body ends with the connection, and so comes as it is.
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: {to}\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    let length = body.len();
    request.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"));
    let mut connection = TcpStream::connect(to).await?;
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, answer))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned(), head: head.to_owned() })
}
