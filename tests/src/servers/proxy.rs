//! What lies between a client and its server, and how it fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How many pieces one direction of a connection holds while they are delayed.
const HELD: usize = 1024;
/// How often a limited direction passes something on.
const TICK: Duration = Duration::from_millis(20);

/// A TCP proxy before a server on this machine, which passes everything on until it is told otherwise. It needs the Tokio runtime in
/// which it was made, and ends with its last handle.
#[derive(Debug, Clone)]
pub struct Proxy {
    port: u16,
    line: Arc<watch::Sender<Line>>,
    _running: Arc<Running>,
}

/// Ends a task with the last handle to its proxy.
#[derive(Debug)]
struct Running(JoinHandle<()>);

/// How the line is.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// How long each piece is on its way.
    latency: Duration,
    /// How many bytes a second pass in each direction of each connection, where that is limited.
    bandwidth: Option<usize>,
    /// Whether everything is swallowed.
    half_open: bool,
    /// Whether whoever connects is cut off at once.
    refuse: bool,
    /// How often all connections were cut.
    cuts: u64,
}

impl Proxy {
    /// A proxy before a port.
    ///
    /// # Panics
    ///
    /// If no port can be had for it.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port for the proxy");
        let own = listener.local_addr().expect("a listener has an address").port();
        let (line, lines) = watch::channel(Line::default());
        let running = tokio::spawn(serve(listener, SocketAddr::from(([127, 0, 0, 1], port)), lines));
        Self { port: own, line: Arc::new(line), _running: Arc::new(Running(running)) }
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection, on both sides, by a reset. New ones are let in.
    pub fn reset(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }

    /// Swallows whatever either side sends from now on, also on new connections, and says nothing. Connections that were open
    /// meanwhile stay dead when the line [heals](Self::heal).
    pub fn half_open(&self) {
        self.line.send_modify(|line| line.half_open = true);
    }

    /// Delays everything by so much, each way.
    pub fn latency(&self, by: Duration) {
        self.line.send_modify(|line| line.latency = by);
    }

    /// Lets so many bytes a second pass, in each direction of each connection.
    pub fn bandwidth(&self, bytes_per_second: usize) {
        self.line.send_modify(|line| line.bandwidth = Some(bytes_per_second.max(1)));
    }

    /// Cuts every connection, and new ones at once.
    pub fn refuse(&self) {
        self.line.send_modify(|line| (line.refuse, line.cuts) = (true, line.cuts + 1));
    }

    /// Passes everything on again.
    pub fn heal(&self) {
        self.line.send_modify(|line| *line = Line { cuts: line.cuts, ..Line::default() });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, lines: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if lines.borrow().refuse => cut(&client),
                Ok((client, _)) => { connections.spawn(connect(client, server, lines.clone())); }
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes on between a client and its server until both have said all, or the line is cut.
async fn connect(mut client: TcpStream, server: SocketAddr, mut lines: watch::Receiver<Line>) {
    let cuts = lines.borrow_and_update().cuts;
    let Ok(mut server) = TcpStream::connect(server).await else { return cut(&client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut cut_lines = lines.clone();
    let passed = pass_on_until_silent(&mut client, &mut server, lines);
    // What is sent after a cut never passes: the cut is looked for first.
    let is_cut = tokio::select! {
        biased;
        _ = cut_lines.wait_for(|line| line.cuts != cuts) => true,
        () = passed => false,
    };
    if is_cut {
        cut(&client);
        cut(&server);
    }
}

/// Lets the other side see a reset, and not an orderly end, once the stream is dropped.
fn cut(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn pass_on_until_silent(
    client: &mut TcpStream,
    server: &mut TcpStream,
    mut lines: watch::Receiver<Line>,
) {
    let passing = lines.clone();
    let (mut client_reads, mut client_writes) = client.split();
    let (mut server_reads, mut server_writes) = server.split();
    let is_silent = tokio::select! {
        biased;
        _ = lines.wait_for(|line| line.half_open) => true,
        _ = async { tokio::join!(
            pass_on(&mut client_reads, &mut server_writes, &passing),
            pass_on(&mut server_reads, &mut client_writes, &passing),
        ) } => false,
    };
    if is_silent {
        let (mut nowhere, mut nowhere_else) = (tokio::io::sink(), tokio::io::sink());
        let _ = tokio::join!(
            tokio::io::copy(&mut client_reads, &mut nowhere),
            tokio::io::copy(&mut server_reads, &mut nowhere_else)
        );
        // One side's end is not told to the other.
        std::future::pending().await
    }
}

/// One direction: each piece arrives as late as the line is slow.
async fn pass_on(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, lines: &watch::Receiver<Line>) {
    let (sender, mut pieces) = mpsc::channel(HELD);
    let reads = async move {
        loop {
            let mut piece = vec![0; 16 * 1024];
            let Ok(read @ 1..) = from.read(&mut piece).await else { return };
            piece.truncate(read);
            if sender.send((Instant::now(), piece)).await.is_err() {
                return;
            }
        }
    };
    let writes = async {
        while let Some((since, piece)) = pieces.recv().await {
            let latency = lines.borrow().latency;
            tokio::time::sleep_until((since + latency).into()).await;
            if write(to, &piece, lines).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
        pieces.close();
    };
    tokio::join!(reads, writes);
}

async fn write(to: &mut WriteHalf<'_>, piece: &[u8], lines: &watch::Receiver<Line>) -> io::Result<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        let limit = lines.borrow().bandwidth;
        let Some(bandwidth) = limit else { return to.write_all(rest).await };
        let most = (bandwidth * TICK.as_millis() as usize / 1000).clamp(1, rest.len());
        let (now, later) = rest.split_at(most);
        to.write_all(now).await?;
        tokio::time::sleep(TICK).await;
        rest = later;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::Proxy;

    /// A server that sends back what it is sent.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut reads, mut writes) = stream.split();
                    let _ = tokio::io::copy(&mut reads, &mut writes).await;
                });
            }
        });
        port
    }

    async fn ask(stream: &mut TcpStream, bytes: usize) -> std::io::Result<Duration> {
        let asked = Instant::now();
        stream.write_all(&vec![7; bytes]).await?;
        let mut answer = vec![0; bytes];
        let answered = tokio::time::timeout(Duration::from_secs(2), stream.read_exact(&mut answer)).await;
        answered.map_err(std::io::Error::from)??;
        assert!(answer.iter().all(|byte| *byte == 7));
        Ok(asked.elapsed())
    }

    async fn client(proxy: &Proxy) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", proxy.port())).await
    }

    #[tokio::test]
    async fn a_line_is_cut_and_slowed_and_silenced_and_heals() {
        let proxy = Proxy::before(echo().await).await;
        let mut stream = client(&proxy).await.unwrap();
        ask(&mut stream, 100_000).await.unwrap();
        proxy.latency(Duration::from_millis(60));
        assert!(ask(&mut stream, 10).await.unwrap() >= Duration::from_millis(120));
        proxy.heal();
        proxy.bandwidth(1000);
        assert!(ask(&mut stream, 200).await.unwrap() >= Duration::from_millis(180));
        proxy.heal();
        proxy.reset();
        let error = ask(&mut stream, 10).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

        let mut stream = client(&proxy).await.unwrap();
        ask(&mut stream, 10).await.unwrap();
        proxy.half_open();
        let error = ask(&mut stream, 10).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        proxy.heal();
        let error = ask(&mut stream, 10).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "what was swallowed never comes");
        ask(&mut client(&proxy).await.unwrap(), 10).await.unwrap();

        proxy.refuse();
        ask(&mut client(&proxy).await.unwrap(), 10).await.unwrap_err();
        proxy.heal();
        ask(&mut client(&proxy).await.unwrap(), 10).await.unwrap();
    }
}
