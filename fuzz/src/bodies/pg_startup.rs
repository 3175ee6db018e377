//! Arbitrary bytes at the beginning of a connection.

use std::collections::BTreeMap;

use crate::wire::startup::{self, Opening, STARTUP_BYTES_MAX, Startup, is_reserved, next_opening, parse_options};
use bytes::BytesMut;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let mut buf = BytesMut::from(data);
    while let Ok(Some(opening)) = next_opening(&mut buf) {
        match opening {
            Opening::Startup(startup) => check(&startup),
            Opening::Cancel(key) => {
                let mut out = BytesMut::new();
                startup::cancel_request(&mut out, &key).expect("what was decoded can be encoded");
                assert_eq!(next_opening(&mut out).ok().flatten(), Some(Opening::Cancel(key)));
            }
            Opening::Tls | Opening::Gss => {}
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse_options(text);
    }
}

fn check(startup: &Startup) {
    assert!(!startup.user.is_empty());
    assert!(!startup.settings.keys().any(|name| is_reserved(name)), "{:?}", startup.settings);
    let _ = (startup.negotiation(), startup.spoken());
    let user_and_database = [("user", startup.user.as_str()), ("database", startup.database.as_str())];
    let settings = startup.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let parameters: BTreeMap<&str, &str> =
        settings.filter(|(name, _)| !name.is_empty()).chain(user_and_database).collect();
    let mut out = BytesMut::new();
    startup::startup(&mut out, &parameters).expect("what was decoded can be encoded");
    if out.len() > STARTUP_BYTES_MAX {
        return; // the defaults that were filled in made it longer than a packet may be
    }
    let Ok(Some(Opening::Startup(again))) = next_opening(&mut out) else { panic!("it reads back") };
    assert_eq!((&again.user, &again.database), (&startup.user, &startup.database));
    assert_eq!(again.settings.len(), parameters.len() - 2);
}
