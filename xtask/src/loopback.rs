//! Loopback helpers: free ports, a tiny HTTP `GET`, random secrets. Nothing here talks to another machine.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::trouble::{Doing, Result};

/// Below the range that the kernel hands out for outgoing connections, so that nothing takes the port before its server does.
const PORT_FIRST: u16 = 20_000;
const PORT_COUNT: u16 = 12_000;
const PORT_TRIES_MAX: u32 = 200;
const HTTP_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A loopback port that nobody listens on.
///
/// # Errors
/// No free port among many tried.
pub fn free_port() -> Result<u16> {
    for _ in 0..PORT_TRIES_MAX {
        let offset = RandomState::new().build_hasher().finish() % u64::from(PORT_COUNT);
        let port = PORT_FIRST + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    crate::fail!("no free port on loopback after {PORT_TRIES_MAX} tries")
}

/// The status of `GET path` on a loopback port.
///
/// # Errors
/// Nobody answers, or not in HTTP.
pub fn get_status(port: u16, path: &str) -> Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, HTTP_TIMEOUT).doing("connecting")?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT)).doing("connecting")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).doing("asking")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).doing("reading the answer")?;
    let head = String::from_utf8_lossy(&answer);
    let status = head.split_whitespace().nth(1).doing("an answer that is not HTTP")?;
    status.parse().doing("an answer that is not HTTP")
}

/// A password of 128 random bits, in hexadecimal.
///
/// # Errors
/// The system's random numbers cannot be read.
pub fn random_secret() -> Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).doing("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn the_status_is_read_from_the_first_line() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0_u8; 512];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        assert_eq!(get_status(port, "/readyz").unwrap(), 503);
        server.join().unwrap();
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(random_secret().unwrap(), random_secret().unwrap());
    }
}
