//! A shop's service: customers and orders, kept in memory, served by a thread for whoever has the token.
//!
//! Speaks as much HTTP/1.1 (RFC 9112) as it needs behind a gateway: one request a connection, bodies of a declared length. Absent:
//! everything that would make it more than a sample.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use xtask::trouble::{Doing, Result};

const HEAD_BYTES_MAX: u64 = 16 * 1024;
const BODY_BYTES_MAX: u64 = 16 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
const CITIES: [&str; 4] = ["Aurora", "Boreal", "Cascade", "Delta"];
const LIMITS: [i64; 4] = [500, 750, 200, 900];
const ORDERS: [(i64, i64, &str, i64); 5] = [
    (101, 1, "lamp", 45),
    (102, 2, "desk", 320),
    (103, 3, "chair", 110),
    (104, 3, "shelf", 80),
    (105, 4, "monitor", 260),
];

/// The service, as long as this process lives.
#[derive(Debug)]
pub(super) struct Service {
    port: u16,
    rows: Arc<Mutex<Rows>>,
}

/// What the shop knows.
#[derive(Debug)]
struct Rows {
    /// How many requests there were.
    asked: u64,
    customers: BTreeMap<i64, Value>,
    orders: BTreeMap<i64, Value>,
}

impl Rows {
    fn new() -> Self {
        let customer = |(id, (city, limit))| {
            (id, json!({ "id": id, "name": format!("customer {id}"), "city": city, "credit_limit": limit }))
        };
        let order = |(id, customer, item, amount)| {
            (id, json!({ "id": id, "customer_id": customer, "item": item, "amount": amount }))
        };
        let customers = (1..).zip(CITIES.into_iter().zip(LIMITS)).map(customer).collect();
        Self { asked: 0, customers, orders: ORDERS.into_iter().map(order).collect() }
    }
}

impl Service {
    /// Serves whoever has the token.
    pub(super) fn start(token: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("starting the service")?;
        let port = listener.local_addr().doing("starting the service")?.port();
        let rows = Arc::new(Mutex::new(Rows::new()));
        let (kept, credential) = (Arc::clone(&rows), format!("Bearer {token}"));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(std::io::Result::ok) {
                let _ = serve(stream, &credential, &kept); // clients come and go
            }
        });
        Ok(Self { port, rows })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A customer's credit limit as it is.
    pub(super) fn credit_limit(&self, id: i64) -> Option<i64> {
        lock(&self.rows).customers.get(&id)?["credit_limit"].as_i64()
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> u64 {
        lock(&self.rows).asked
    }

    /// How many customers and orders there are.
    pub(super) fn counts(&self) -> (usize, usize) {
        let rows = lock(&self.rows);
        (rows.customers.len(), rows.orders.len())
    }
}

fn lock(rows: &Mutex<Rows>) -> MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a request matters.
#[derive(Debug)]
struct Asked {
    method: String,
    path: String,
    credential: String,
    body: Vec<u8>,
}

fn serve(mut stream: TcpStream, credential: &str, rows: &Mutex<Rows>) -> Result<()> {
    stream.set_read_timeout(Some(TIMEOUT)).doing("accepting")?;
    lock(rows).asked += 1;
    let asked = read(&stream)?;
    let (status, body) = match asked.credential == credential {
        true => reply(&asked, &mut lock(rows)),
        false => ("401 Unauthorized", json!({ "error": "no token" })),
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    // RFC 9110 §8.6: none with 204
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{length}Connection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).doing("answering")
}

fn read(stream: &TcpStream) -> Result<Asked> {
    let mut head = BufReader::new(stream.take(HEAD_BYTES_MAX + BODY_BYTES_MAX));
    let (mut line, mut length, mut credential) = (String::new(), 0, String::new());
    head.read_line(&mut line).doing("reading the request")?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().doing("no method")?, words.next().doing("no path")?);
    loop {
        let mut header = String::new();
        head.read_line(&mut header).doing("reading a header")?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().doing("reading the length")?,
            "authorization" => value.trim().clone_into(&mut credential),
            _ => {}
        }
    }
    let mut body = Vec::new();
    head.take(length).read_to_end(&mut body).doing("reading the body")?;
    Ok(Asked { method, path, credential, body })
}

fn reply(asked: &Asked, rows: &mut Rows) -> (&'static str, Value) {
    let mut path = asked.path.trim_matches('/').split('/');
    let (of, id) = (path.next().unwrap_or_default(), path.next());
    let none = ("404 Not Found", json!({ "error": "there is no such thing" }));
    let id = match id.map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return none,
    };
    match (asked.method.as_str(), of, id) {
        ("GET", "customers", None) => ("200 OK", rows.customers.values().cloned().collect()),
        ("GET", "orders", None) => ("200 OK", rows.orders.values().cloned().collect()),
        ("GET", "customers", Some(id)) => rows.customers.get(&id).map_or(none, |row| ("200 OK", row.clone())),
        ("DELETE", "customers", None) => {
            rows.customers.clear();
            ("204 No Content", Value::Null)
        }
        ("DELETE", "orders", Some(id)) => rows.orders.remove(&id).map_or(none, |_| ("204 No Content", Value::Null)),
        ("PATCH", "customers", Some(id)) => match rows.customers.get_mut(&id) {
            Some(row) => changed(row, &asked.body),
            None => none,
        },
        _ => none,
    }
}

fn changed(row: &mut Value, body: &[u8]) -> (&'static str, Value) {
    let limit = serde_json::from_slice::<Value>(body).ok().and_then(|body| body["credit_limit"].as_i64());
    let Some(limit) = limit else { return ("400 Bad Request", json!({ "error": "a credit limit is a number" })) };
    row["credit_limit"] = json!(limit);
    ("200 OK", row.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, body: &str, expected: (&str, Value)) {
        let asked = Asked {
            method: method.to_owned(),
            path: path.to_owned(),
            credential: String::new(),
            body: body.as_bytes().to_vec(),
        };
        assert_eq!(reply(&asked, &mut Rows::new()), expected, "{method} {path}");
    }

    #[test]
    fn the_shop_answers() {
        let missing = ("404 Not Found", json!({ "error": "there is no such thing" }));
        let row =
            |limit: i64| ("200 OK", json!({ "id": 3, "name": "customer 3", "city": "Cascade", "credit_limit": limit }));
        let bad = ("400 Bad Request", json!({ "error": "a credit limit is a number" }));
        check("GET", "/customers/3", "", row(200));
        check("PATCH", "/customers/3", r#"{"credit_limit":900}"#, row(900));
        check("PATCH", "/customers/3", "{}", bad);
        check("PATCH", "/customers/9", "{}", missing.clone());
        check("DELETE", "/orders/105", "", ("204 No Content", Value::Null));
        check("DELETE", "/customers", "", ("204 No Content", Value::Null));
        check("GET", "/orders/x", "", missing.clone());
        check("GET", "/debug/dump", "", missing);
    }
}
