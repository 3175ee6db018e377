//! A hand-written PostgreSQL client, which sends messages in orders that no driver sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::{AGENT, SOON, TARGET, World};

/// A connection to the gateway that sends whatever it is told to.
pub(crate) struct Raw {
    stream: TcpStream,
    /// Port, process and secret of its cancel requests.
    cancel: (u16, [u8; 8]),
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

    /// Up to so many rows; the portal stays open for more.
    pub(crate) fn fetch(mut self, portal: &str, rows_max: i32) -> Self {
        frontend::execute(portal, rows_max, &mut self.0).unwrap();
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

    /// All the data of a COPY.
    pub(crate) fn copy_in(mut self, data: &'static [u8]) -> Self {
        frontend::CopyData::new(data).unwrap().write(&mut self.0);
        frontend::copy_done(&mut self.0);
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
        Self::login_to(world.gateway.postgres_port(), (AGENT, &world.key), settings)
    }

    /// Logs in to the target's database as somebody with a password: at the gateway, or at a server that takes
    /// connections without TLS.
    pub(crate) fn login_to(port: u16, (user, password): (&str, &str), settings: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut raw = Self { stream, cancel: (port, [0; 8]) };
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let parameters = [("user", user), ("database", TARGET)].into_iter().chain(settings.iter().copied());
        raw.put(|out| frontend::startup_message(parameters, out).unwrap());
        raw.next();
        raw.put(|out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out).unwrap());
        scram.update(&raw.next().1[4..]).unwrap();
        raw.put(|out| frontend::sasl_response(scram.message(), out).unwrap());
        scram.finish(&raw.next().1[4..]).unwrap();
        loop {
            match raw.next() {
                Reply('K', key) => raw.cancel.1 = key.try_into().unwrap(),
                Reply('Z', status) => {
                    assert_eq!(status, b"I");
                    return raw;
                }
                reply => assert_ne!(reply.0, 'E', "{reply:?}"),
            }
        }
    }

    /// Asks, on a connection of its own, to end what is running.
    pub(crate) fn cancel(&self) {
        self.canceller()();
    }

    /// The same, for another thread.
    pub(crate) fn canceller(&self) -> impl FnOnce() + Send + use<> {
        let (port, key) = self.cancel;
        move || {
            let request = [&16_u32.to_be_bytes()[..], &80_877_102_u32.to_be_bytes(), &key].concat();
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(&request).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed once it was passed on");
        }
    }

    /// Waits this long for an answer, instead of the usual bound.
    pub(crate) fn patient(self, bound: Duration) -> Self {
        self.stream.set_read_timeout(Some(bound)).unwrap();
        self
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

    /// Sends SQL as one simple query. Returns everything that comes until the server is ready.
    pub(crate) fn simple(&mut self, sql: &str) -> Vec<Reply> {
        self.send(&batch().query(sql));
        let mut replies: Vec<Reply> = Vec::new();
        while replies.last().is_none_or(|reply| reply.0 != 'Z') {
            replies.push(self.next());
        }
        replies
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
