//! What the emulated Slack lacks, in front of it: Socket Mode as Slack documents it, and answers of a test's choice. Everything
//! else is passed on, and noted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;
use xtask::loopback::free_port;
use xtask::process::wait_until;

use super::SOON;

/// The app's own token.
pub(crate) const APP_TOKEN: &str = "xapp-of-the-tests";

/// What is done to everybody who listens.
#[derive(Clone)]
enum Push {
    Say(String),
    HangUp,
}

/// What is answered instead of passing a call on.
struct Instead {
    method: &'static str,
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Instead {
    fn new(method: &'static str, (status, retry_after, body): (u16, Option<u32>, &str)) -> Self {
        let headers = retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into())).into_iter().collect();
        Self { method, status, headers, body: body.to_owned() }
    }

    fn answer(&self) -> Response {
        (StatusCode::from_u16(self.status).unwrap(), self.headers.clone(), self.body.clone()).into_response()
    }
}

#[derive(Default)]
struct Kept {
    calls: Mutex<Vec<(String, Value)>>,
    acks: Mutex<Vec<Value>>,
    instead: Mutex<VecDeque<Instead>>,
    listeners: AtomicU32,
    /// What everything is answered, while Slack is in trouble; and how many calls were.
    trouble: Mutex<(Option<Instead>, usize)>,
}

/// The front.
pub(crate) struct Front {
    pub(crate) port: u16,
    push: broadcast::Sender<Push>,
    kept: Arc<Kept>,
}

impl Front {
    /// In front of the service at this port.
    pub(crate) fn start(behind: u16) -> Self {
        let (port, web) = (free_port().unwrap(), free_port().unwrap());
        let (push, _) = broadcast::channel(64);
        let kept = Arc::new(Kept::default());
        let (pushed, shared) = (push.clone(), kept.clone());
        std::thread::spawn(move || {
            super::api::runtime().block_on(async move {
                let sockets = TcpListener::bind(("127.0.0.1", web)).await.unwrap();
                tokio::spawn(accept(sockets, pushed, shared.clone()));
                let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                let pass = move |request: Request| {
                    let shared = shared.clone();
                    async move { answer(request, behind, web, &shared).await }
                };
                axum::serve(listener, Router::new().fallback(pass)).await.unwrap();
            });
        });
        Self { port, push, kept }
    }

    /// Waits until the gateway has listened so many times, and no longer than at once.
    #[track_caller]
    pub(crate) fn until_listened(&self, times: u32) {
        let listened = || (self.kept.listeners.load(Ordering::SeqCst) >= times).then_some(());
        wait_until(&format!("the gateway to listen for the {times}th time"), SOON, listened).unwrap();
    }

    /// Sends an envelope, and waits for its acknowledgement.
    #[track_caller]
    pub(crate) fn envelope(&self, kind: &str, payload: &Value) -> Value {
        let id = uuid();
        let envelope = json!({"envelope_id": id, "type": kind, "accepts_response_payload": true, "payload": payload});
        self.say(&envelope.to_string());
        let ack = || self.kept.acks.lock().unwrap().iter().find(|ack| ack["envelope_id"] == id.as_str()).cloned();
        wait_until("the acknowledgement", std::time::Duration::from_secs(3), ack).unwrap()
    }

    /// Sends anything.
    pub(crate) fn say(&self, text: &str) {
        let _ = self.push.send(Push::Say(text.to_owned()));
    }

    /// Breaks the connection off.
    pub(crate) fn hang_up(&self) {
        let _ = self.push.send(Push::HangUp);
    }

    /// Every call, as Slack would have got it.
    pub(crate) fn all_calls(&self) -> Value {
        let calls = self.kept.calls.lock().unwrap();
        calls.iter().map(|(method, arguments)| json!({"method": method, "arguments": arguments})).collect()
    }

    /// What a method was called with, each time.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.kept.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == method).map(|(_, arguments)| arguments.clone()).collect()
    }

    /// The first call of a method whose arguments say this.
    #[track_caller]
    pub(crate) fn until_called(&self, method: &str, words: &str) -> Value {
        let called = || self.calls(method).into_iter().find(|arguments| arguments.to_string().contains(words));
        wait_until(&format!("{method} with `{words}`"), SOON, called)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.calls(method)))
    }

    /// The next call of a method is answered so, and not passed on.
    pub(crate) fn answers(&self, method: &'static str, status: u16, retry_after: Option<u32>, body: &str) {
        self.kept.instead.lock().unwrap().push_back(Instead::new(method, (status, retry_after, body)));
    }

    /// Every call is answered so from now on, if at all: a status, what it asks for, and a body.
    pub(crate) fn in_trouble(&self, answer: Option<(u16, Option<u32>, &str)>) {
        self.kept.trouble.lock().unwrap().0 = answer.map(|answer| Instead::new("", answer));
    }

    /// How many calls were answered so.
    pub(crate) fn troubled(&self) -> usize {
        self.kept.trouble.lock().unwrap().1
    }
}

fn uuid() -> String {
    xtask::loopback::random_secret().unwrap()
}

async fn answer(request: Request, behind: u16, web: u16, kept: &Kept) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap();
    let method = parts.uri.path().rsplit('/').next().unwrap().to_owned();
    let said = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    kept.calls.lock().unwrap().push((method.clone(), said));
    if method == "apps.connections.open" {
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        return match token == Some(&format!("Bearer {APP_TOKEN}")) {
            true => axum::Json(json!({"ok": true, "url": format!("ws://127.0.0.1:{web}/link?ticket=1")})),
            false => axum::Json(json!({"ok": false, "error": "invalid_auth"})),
        }
        .into_response();
    }
    {
        let mut trouble = kept.trouble.lock().unwrap();
        let answer = trouble.0.as_ref().map(Instead::answer);
        if let Some(answer) = answer {
            trouble.1 += 1;
            return answer;
        }
    }
    let instead = {
        let mut all = kept.instead.lock().unwrap();
        let at = all.iter().position(|instead| instead.method == method);
        at.and_then(|at| all.remove(at))
    };
    match instead {
        Some(instead) => instead.answer(),
        None => pass_on(parts, body, behind).await,
    }
}

async fn pass_on(parts: axum::http::request::Parts, body: Bytes, behind: u16) -> Response {
    let url = format!("http://127.0.0.1:{behind}{}", parts.uri);
    let mut request = reqwest::Client::new().request(parts.method, url).body(body);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, kind) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
    response
}

/// Greets who connects, says what is pushed, and keeps what comes back.
async fn accept(listener: TcpListener, push: broadcast::Sender<Push>, kept: Arc<Kept>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (mut pushed, kept) = (push.subscribe(), kept.clone());
        tokio::spawn(async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            let hello = json!({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}});
            let _ = socket.send(Message::text(hello.to_string())).await;
            kept.listeners.fetch_add(1, Ordering::SeqCst);
            loop {
                tokio::select! {
                    push = pushed.recv() => match push {
                        Ok(Push::Say(text)) => {
                            let _ = socket.send(Message::text(text)).await;
                        }
                        Ok(Push::HangUp) | Err(_) => return,
                    },
                    said = socket.next() => match said {
                        Some(Ok(Message::Text(text))) => {
                            kept.acks.lock().unwrap().push(serde_json::from_str(&text).unwrap());
                        }
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    },
                }
            }
        });
    }
}
