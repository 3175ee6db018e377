//! A person at a terminal: a program in a pseudo-terminal (of `script`, util-linux), and what stands on its screen.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use xtask::process::wait_until;

use super::{SOON, World};

/// Lines and columns.
const SIZE: (u16, u16) = (40, 140);

/// A program in a terminal.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts the product's command line with a person's token.
    pub(crate) fn start(world: &World, token: &str, args: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_countersign");
        let inside = format!("stty rows {} cols {}; exec '{program}' {args}", SIZE.0, SIZE.1);
        let mut command = Command::new("script");
        command.args(["-qefc", &inside, "/dev/null"]).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.env("COUNTERSIGN_URL", world.gateway.url()).env("COUNTERSIGN_TOKEN", token).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("script, of util-linux");
        world.sweeper.watch(child.id());
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let seen = Arc::new(Mutex::new(Seen { screen: vt100::Parser::new(SIZE.0, SIZE.1, 0), raw: Vec::new() }));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let mut seen = shared.lock().unwrap();
                seen.screen.process(&bytes[..count]);
                seen.raw.extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, keys, seen }
    }

    /// What stands on the screen.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Whether these bytes were ever sent to the terminal.
    pub(crate) fn was_sent(&self, bytes: &[u8]) -> bool {
        self.seen.lock().unwrap().raw.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Waits until these words stand on the screen.
    #[track_caller]
    pub(crate) fn until(&self, words: &str) -> String {
        let shown = || Some(self.screen()).filter(|screen| screen.contains(words));
        wait_until(words, SOON, shown).unwrap_or_else(|error| panic!("{error}; on the screen:\n{}", self.screen()))
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the program has ended, and says how.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        wait_until("the program to end", SOON, || self.child.try_wait().unwrap()).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
