//! A receiver of webhooks: a small real HTTP server that keeps what it is sent.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::header::RETRY_AFTER;
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
    after: Arc<AtomicU32>,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let (port, answers) = (free_port().unwrap(), Arc::new(AtomicU16::new(204)));
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let after = Arc::new(AtomicU32::new(0));
        let (kept, answered, pause) = (events.clone(), answers.clone(), after.clone());
        let receive = move |headers: HeaderMap, body: String| {
            let named =
                |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type"];
            let headers: serde_json::Map<String, Value> =
                names.iter().map(|name| ((*name).to_owned(), json!(named(name)))).collect();
            let status = StatusCode::from_u16(answered.load(Ordering::SeqCst)).unwrap();
            let told = json!({"secret": SECRET, "headers": headers, "body": body, "answered": status.as_u16()});
            kept.lock().unwrap().push(told);
            let pause = Some(pause.load(Ordering::SeqCst)).filter(|pause| *pause > 0);
            let headers: HeaderMap = pause.map(|pause| (RETRY_AFTER, pause.into())).into_iter().collect();
            async move { (status, headers) }
        };
        std::thread::spawn(move || {
            super::api::runtime().block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                axum::serve(listener, Router::new().route("/hook", post(receive))).await.unwrap();
            });
        });
        Self { port, answers, after, events }
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
        self.answers_after(status, None);
    }

    /// The same, and asks to be left alone for so many seconds.
    pub(crate) fn answers_after(&self, status: u16, seconds: Option<u32>) {
        self.after.store(seconds.unwrap_or(0), Ordering::SeqCst);
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
