//! A hand-written PostgreSQL client, which sends messages in orders that no driver sends.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::{AGENT, SOON, TARGET, World};

/// A connection to the gateway that sends whatever it is told to.
pub(crate) struct Raw {
    stream: TcpStream,
}

/// A message of the server: its letter, and its body.
#[derive(Debug)]
pub(crate) struct Reply(pub(crate) char, pub(crate) Vec<u8>);

impl Reply {
    /// The letter, with what tells answers apart: the tag, the SQLSTATE, or the state of the transaction.
    pub(crate) fn gist(&self) -> String {
        let text = String::from_utf8_lossy(&self.1);
        match self.0 {
            'C' => format!("C {}", text.trim_end_matches('\0')),
            'E' => format!("E {}", text.split('\0').find_map(|field| field.strip_prefix('C')).unwrap()),
            'Z' => format!("Z {text}"),
            letter => letter.to_string(),
        }
    }
}

/// Messages for one segment.
#[derive(Default)]
pub(crate) struct Batch(BytesMut);

impl Batch {
    pub(crate) fn parse(mut self, name: &str, sql: &str) -> Self {
        frontend::parse(name, sql, [], &mut self.0).unwrap();
        self
    }

    pub(crate) fn bind(mut self, portal: &str, statement: &str) -> Self {
        let none = |(), _: &mut BytesMut| Ok(IsNull::Yes);
        assert!(frontend::bind(portal, statement, [], [], none, [], &mut self.0).is_ok());
        self
    }

    pub(crate) fn execute(mut self, portal: &str) -> Self {
        frontend::execute(portal, 0, &mut self.0).unwrap();
        self
    }

    pub(crate) fn close(mut self, statement: &str) -> Self {
        frontend::close(b'S', statement, &mut self.0).unwrap();
        self
    }

    pub(crate) fn close_portal(mut self, portal: &str) -> Self {
        frontend::close(b'P', portal, &mut self.0).unwrap();
        self
    }

    pub(crate) fn sync(mut self) -> Self {
        frontend::sync(&mut self.0);
        self
    }

    pub(crate) fn query(mut self, sql: &str) -> Self {
        frontend::query(sql, &mut self.0).unwrap();
        self
    }

    /// A statement from its text to its execution.
    pub(crate) fn run(self, sql: &str) -> Self {
        self.parse("", sql).bind("", "").execute("")
    }
}

/// An empty batch.
pub(crate) fn batch() -> Batch {
    Batch::default()
}

impl Raw {
    /// Logs in as the agent.
    pub(crate) fn login(world: &World) -> Self {
        Self::login_with(world, &[])
    }

    /// The same, with settings of the start-up packet.
    pub(crate) fn login_with(world: &World, settings: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", world.gateway.postgres_port())).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut raw = Self { stream };
        let mut scram = ScramSha256::new(world.key.as_bytes(), ChannelBinding::unsupported());
        let parameters = [("user", AGENT), ("database", TARGET)].into_iter().chain(settings.iter().copied());
        raw.put(|out| frontend::startup_message(parameters, out).unwrap());
        raw.next();
        raw.put(|out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out).unwrap());
        scram.update(&raw.next().1[4..]).unwrap();
        raw.put(|out| frontend::sasl_response(scram.message(), out).unwrap());
        scram.finish(&raw.next().1[4..]).unwrap();
        assert_eq!(raw.until_ready().last().unwrap(), "Z I");
        raw
    }

    pub(crate) fn put(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut out = BytesMut::new();
        write(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    pub(crate) fn next(&mut self) -> Reply {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes(header[1..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.stream.read_exact(&mut body).unwrap();
        Reply(char::from(header[0]), body)
    }

    /// The gists of what comes until the server is ready, without notices and settings.
    pub(crate) fn until_ready(&mut self) -> Vec<String> {
        let mut gists = Vec::new();
        while gists.last().is_none_or(|gist: &String| !gist.starts_with('Z')) {
            let reply = self.next();
            if !matches!(reply.0, 'N' | 'S') {
                gists.push(reply.gist());
            }
        }
        gists
    }

    /// Sends a batch as one segment.
    pub(crate) fn send(&mut self, batch: &Batch) {
        self.stream.write_all(&batch.0).unwrap();
    }

    /// Sends a batch that makes the server ready once.
    pub(crate) fn ask(&mut self, batch: &Batch) -> Vec<String> {
        self.send(batch);
        self.until_ready()
    }
}
