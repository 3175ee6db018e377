//! The data of a `COPY … FROM STDIN` that waits for a review: taken in, bounded, hashed, kept, and given up once.
//!
//! A stream that policy permits as it is passes through the gateway. One that people are asked about is spooled first
//! ([`spool`]): its length, rows and hash become part of the action's payload, so that what is approved is what is sent.
//! [`rows`] counts rows as the server would, [`sample`] shows the first of them. Nothing here decides or talks to a peer.

mod rows;
mod sample;
mod spool;

pub(super) use spool::Spool;

/// What a stream is, for the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) bytes: u64,
    pub(super) rows: Option<u64>,
    pub(super) sha256: [u8; 32],
}

/// What a payload with a stream begins with: no statement's text begins so, and no portal's payload.
const TAG: &[u8; 8] = b"\0COPY IN";
const ROWS_UNKNOWN: u64 = u64::MAX;

/// The payload of a statement and its stream.
pub(super) fn payload(sql: &str, summary: &Summary) -> Vec<u8> {
    let rows = summary.rows.unwrap_or(ROWS_UNKNOWN);
    let mut payload = Vec::with_capacity(TAG.len() + 16 + summary.sha256.len() + sql.len());
    payload.extend_from_slice(TAG);
    payload.extend_from_slice(&summary.bytes.to_be_bytes());
    payload.extend_from_slice(&rows.to_be_bytes());
    payload.extend_from_slice(&summary.sha256);
    payload.extend_from_slice(sql.as_bytes());
    payload
}

/// What [`payload`] was made of.
pub(super) fn open(payload: &[u8]) -> Option<(&str, Summary)> {
    let rest = payload.strip_prefix(TAG)?;
    let (bytes, rest) = rest.split_first_chunk::<8>()?;
    let (rows, rest) = rest.split_first_chunk::<8>()?;
    let (sha256, sql) = rest.split_first_chunk::<32>()?;
    let rows = u64::from_be_bytes(*rows);
    let rows = (rows != ROWS_UNKNOWN).then_some(rows);
    Some((std::str::from_utf8(sql).ok()?, Summary { bytes: u64::from_be_bytes(*bytes), rows, sha256: *sha256 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_gives_its_parts_back() {
        for rows in [None, Some(0), Some(7)] {
            let summary = Summary { bytes: 12, rows, sha256: [3; 32] };
            let sealed = payload("COPY t FROM STDIN", &summary);
            assert_eq!(open(&sealed), Some(("COPY t FROM STDIN", summary)));
        }
        assert_eq!(open(b"COPY t FROM STDIN"), None);
        assert_eq!(open(b"\0COPY IN"), None);
    }
}
