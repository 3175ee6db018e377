//! Whether a request comes from Slack: an HMAC over its time and its bytes, checked before anything is parsed.
//!
//! `v0=` and HMAC-SHA256 of `v0:{timestamp}:{body}` under the app's signing secret (Slack, *Verifying requests from Slack*).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How far the time of a request may be off: 5 minutes.
const SKEW_SECONDS_MAX: u64 = 5 * 60;

/// Whether it is signed, and lately.
pub(super) fn is_genuine(secret: &[u8], now: i64, timestamp: &str, signature: &str, body: &[u8]) -> bool {
    let lately = timestamp.parse::<i64>().is_ok_and(|at| now.abs_diff(at) <= SKEW_SECONDS_MAX);
    // as Slack writes it: in small letters
    let given = signature.strip_prefix("v0=").filter(|given| !given.bytes().any(|byte| byte.is_ascii_uppercase()));
    let given = given.and_then(|given| hex::decode(given).ok());
    let (true, Some(given), Ok(mut mac)) = (lately, given, Hmac::<Sha256>::new_from_slice(secret)) else {
        return false;
    };
    mac.update(b"v0:");
    mac.update(timestamp.as_bytes());
    mac.update(b":");
    mac.update(body);
    mac.verify_slice(&given).is_ok() // in constant time
}
