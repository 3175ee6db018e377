//! The demo without PostgreSQL: a shop's small service over HTTP, and an agent that talks to it through the gateway.
//!
//! Runs on any machine: [`service`] and [`client`] are a few lines of `std`. What the requests mean is told by `openapi.json`, what
//! of them is free, waits or never happens by `shop.cedar`.

mod client;
mod service;

use std::fs;
use std::sync::mpsc::channel;

use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use super::scene::{Call, Running, Scene, Script};
use super::world::Place;
use crate::voice::Voice;
use client::{Agent, Request};
use service::Service;

/// The target's name at the gateway.
const TARGET: &str = "shop";
const DOCUMENT: &str = include_str!("openapi.json");
const POLICIES: &str = include_str!("shop.cedar");

/// What is asked is written as [`Request::parse`] reads it.
const SCRIPT: Script = Script {
    target: TARGET,
    introduction: "The agent speaks plain HTTP and has its own key. It never sees the service's token.",
    read: "GET /customers",
    read_shows: "customer 3",
    refused: ["DELETE /customers", "GET /debug/dump"],
    refused_shows: "\"status\": 403",
    refused_words: "refused as RFC 9457 has it; no byte of either reached the service",
    write: "PATCH /customers/3 {\"credit_limit\":900} customer 3 paid in advance",
    notice: None,
    hangs: "the request hangs (`Prefer: respond-async` would get a 202 at once); the customer is as before",
    caller: "request",
    write_shows: "\"credit_limit\": 900",
    secret: "a token the agent never had",
    rejected: "DELETE /orders/105 nobody ordered it",
};

/// A service that nobody reaches yet.
#[derive(Debug)]
pub(super) struct Prepared {
    service: Service,
}

/// The service, and the agent that reaches it through the gateway.
#[derive(Debug)]
pub(super) struct Shop {
    service: Service,
    agent: Agent,
}

impl Prepared {
    /// Starts the service; writes what the gateway needs to know of it.
    pub(super) fn start(place: &Place, voice: Voice) -> Result<Self> {
        let service = Service::start(&place.password)?;
        fs::write(place.dir.join("openapi.json"), DOCUMENT).doing("writing the service's document")?;
        fs::write(place.dir.join("policies/shop.cedar"), POLICIES).doing("writing the service's policies")?;
        voice.good(&format!("a small service over HTTP runs on port {}, for whoever has its token", service.port()));
        Ok(Self { service })
    }

    /// The lines of the gateway's configuration for it.
    pub(super) fn configuration(&self, place: &Place) -> String {
        let (upstream, document) = (self.service.port(), place.dir.join("openapi.json"));
        format!(
            r#"
[[target]]
name        = "{TARGET}"
protocol    = "http"
upstream    = "http://127.0.0.1:{upstream}"
credential  = {{ env = "ORDERS_PASSWORD" }}
environment = "production"

[target.http]
openapi = {{ name = "shop", document = "{}" }}
"#,
            document.display()
        )
    }

    /// With the agent in front.
    pub(super) fn scene(self, place: &Place, key: String) -> Shop {
        Shop { service: self.service, agent: Agent { port: place.http, target: TARGET, key } }
    }
}

impl Scene for Shop {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn show(&self, asked: &str, voice: Voice) {
        voice.sent("coder", &Request::parse(asked).shown(TARGET));
    }

    fn send(&self, asked: &str, _: &Sweeper) -> Result<Call> {
        let mut stream = self.agent.send(&Request::parse(asked))?;
        let (sender, lines) = channel();
        let thread = std::thread::spawn(move || match client::answer(&mut stream) {
            Ok(answer) => {
                let told = answer.lines().into_iter().try_for_each(|line| sender.send(line));
                told.is_ok() && answer.ok()
            }
            Err(trouble) => sender.send(trouble.to_string()).is_err(), // false either way: it did not go well
        });
        Ok(Call::new("the request", Running::Thread(thread), lines))
    }

    fn credit_limit(&self) -> Result<String> {
        self.service.credit_limit(3).map(|limit| limit.to_string()).doing("customer 3 has gone")
    }

    fn counts(&self) -> Result<String> {
        let (customers, orders) = self.service.counts();
        Ok(format!("{customers} customers, {orders} orders"))
    }

    fn reached(&self) -> Option<u64> {
        Some(self.service.asked())
    }

    fn invitation(&self) -> String {
        let Agent { port, target, key } = &self.agent;
        format!("curl -H \"Authorization: Bearer {key}\" http://127.0.0.1:{port}/t/{target}/orders")
    }

    fn stop(&mut self) {} // the service is a thread, and ends with the demo
}
