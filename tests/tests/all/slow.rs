//! Clients that take their time: whoever sends half of something, or nothing, is let go, and keeps nobody out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_api::{ApiConfig, serve};
use tributary_store::Lake;

/// Longer than any of the limits here: a server that waits for ever fails a test instead of stopping it.
const PATIENCE: Duration = Duration::from_secs(60);
/// More connections than the server takes at a time.
const IDLE: usize = 40;

fn connect(address: SocketAddr, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(said).unwrap();
    stream
}

/// What the server says until it closes.
fn rest(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it is left open: {error}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The first line of an answer; the connection stays open.
fn first_line(mut stream: &TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") && stream.read(&mut byte).unwrap() == 1 {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

const ALIVE: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n";
/// How HTTP/2 begins, and an empty frame of settings.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_too_long_is_let_go_and_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path()).await.unwrap();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ApiConfig {
        flight: Some(free),
        connections_max: 8,
        header_deadline: Duration::from_millis(300),
        idle_deadline: Duration::from_millis(900),
        ..ApiConfig::default()
    };
    let shutdown = CancellationToken::new();
    let bound = serve(config, lake, folder.path().to_owned(), None, shutdown.clone()).await.unwrap();
    let (address, flight) = (bound.addr, bound.flight.unwrap());
    let mut running = JoinSet::new();
    running.spawn(bound.run);
    let idle = tokio::task::spawn_blocking(move || {
        for (address, what, said) in [
            (address, "half a head", b"GET /healthz HTTP/1.1\r\nhost: he".as_slice()),
            (address, "a byte", b"G"),
            (address, "nothing", b""),
            (address, "half of the preface of HTTP/2", &HTTP2[..10]),
            (flight, "half a head to Flight SQL", b"POST /arrow.flight.protocol.FlightService/DoGet HTTP/1.1\r\n"),
            (flight, "nothing to Flight SQL", b""),
        ] {
            let said = rest(&connect(address, said));
            assert!(!said.contains(" 200 "), "{what}: {said}");
        }
        // After an answer, too.
        let stream = connect(address, ALIVE);
        assert_eq!(first_line(&stream), "HTTP/1.1 200 OK\r\n");
        assert!(rest(&stream).ends_with("ok\n"));

        let mut idle = Vec::new();
        for address in [address, flight] {
            idle.extend((0..IDLE).map(|_| connect(address, b"")));
            idle.extend((0..IDLE).map(|_| connect(address, b"GET /healthz HTTP/1.1\r\nhost: he")));
            idle.extend((0..IDLE).map(|_| connect(address, HTTP2)));
        }
        for _ in 0..IDLE {
            let stream = connect(address, ALIVE);
            assert_eq!(first_line(&stream), "HTTP/1.1 200 OK\r\n", "idle connections keep others out");
            idle.push(stream);
        }
        let stream = connect(flight, b"GET / HTTP/1.1\r\nhost: here\r\n\r\n");
        assert_eq!(first_line(&stream), "HTTP/1.1 404 Not Found\r\n");
        idle
    });
    let idle = idle.await.unwrap();
    // Those that are still open hold up nothing.
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
    drop(idle);
}
