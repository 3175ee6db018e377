//! A receiver of webhooks: a small real HTTP server that keeps what it is sent.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use xtask::loopback::free_port;
use xtask::process::wait_until;

use super::SOON;

/// 32 bytes, in base64.
pub(crate) const SECRET: &str = "whsec_Y291bnRlcnNpZ24tdGVzdHMtb25seS0zMi1ieXRlcyE=";

/// What it was sent, and what it answers.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    answers: Arc<AtomicU16>,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let (port, answers) = (free_port().unwrap(), Arc::new(AtomicU16::new(204)));
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (kept, answered) = (events.clone(), answers.clone());
        let receive = move |headers: HeaderMap, body: String| {
            let named =
                |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type"];
            let headers: serde_json::Map<String, Value> =
                names.iter().map(|name| ((*name).to_owned(), json!(named(name)))).collect();
            kept.lock().unwrap().push(json!({"secret": SECRET, "headers": headers, "body": body}));
            let status = StatusCode::from_u16(answered.load(Ordering::SeqCst)).unwrap();
            async move { status }
        };
        std::thread::spawn(move || {
            super::api::runtime().block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                axum::serve(listener, Router::new().route("/hook", post(receive))).await.unwrap();
            });
        });
        Self { port, answers, events }
    }

    /// What the gateway is told of it.
    pub(crate) fn configuration(&self, dir: &Path) -> String {
        let file = dir.join("webhook");
        fs::write(&file, format!("{SECRET}\n")).unwrap();
        format!(
            "\n[[webhook]]\nname = \"pager\"\nurl = \"http://127.0.0.1:{}/hook\"\nsecret = {{ file = \"{}\" }}\nall = true\n",
            self.port,
            file.display()
        )
    }

    /// From now on it answers this.
    pub(crate) fn answers(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    /// Everything that it was sent.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    /// The first event of this type, as it was received.
    #[track_caller]
    pub(crate) fn until(&self, kind: &str) -> Value {
        let found = || self.all().into_iter().find(|received| received["body"].as_str().unwrap().contains(kind));
        wait_until(&format!("an event `{kind}`"), SOON, found).unwrap()
    }
}
