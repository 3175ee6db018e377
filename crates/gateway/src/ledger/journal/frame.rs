//! Framing: `u32le length ‖ u32le CRC-32 ‖ leaf`. The CRC covers the length too, so that a run of zeroes is no record.
//!
//! A leaf is JSON and holds no zero byte, while the upper half of every length is zero: no frame begins inside a leaf,
//! which is what lets [`find_after`] tell a torn tail from damage in the middle.

use countersign_core::record::LEAF_BYTES_MAX;

/// Bytes before each leaf.
pub(super) const HEADER_BYTES: usize = 8; // length 4 + CRC 4
/// Bytes of one frame, at most.
pub(super) const FRAME_BYTES_MAX: usize = HEADER_BYTES + LEAF_BYTES_MAX;

/// What lies at a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A record, and where the next one begins.
    Record { leaf: &'a [u8], end: usize },
    /// The end, exactly.
    End,
    /// Bytes that are no record.
    Invalid,
}

/// What stands before a leaf; `None` for an empty leaf or one over [`LEAF_BYTES_MAX`].
pub(super) fn header(leaf: &[u8]) -> Option<[u8; HEADER_BYTES]> {
    if leaf.is_empty() || leaf.len() > LEAF_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(leaf.len()).ok()?.to_le_bytes();
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length);
    header[4..].copy_from_slice(&checksum(length, leaf).to_le_bytes());
    Some(header)
}

fn checksum(length: [u8; 4], leaf: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(leaf);
    hasher.finalize()
}

/// Reads the record at `from`.
pub(super) fn next(bytes: &[u8], from: usize) -> Next<'_> {
    match bytes.get(from..) {
        Some([]) => Next::End,
        Some(rest) => {
            record(rest).map_or(Next::Invalid, |leaf| Next::Record { leaf, end: from + HEADER_BYTES + leaf.len() })
        }
        None => Next::Invalid,
    }
}

fn record(rest: &[u8]) -> Option<&[u8]> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<4>()?;
    let bytes = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let leaf = rest.get(..bytes).filter(|_| (1..=LEAF_BYTES_MAX).contains(&bytes))?;
    (checksum(*length, leaf) == u32::from_le_bytes(*expected)).then_some(leaf)
}

/// The first position after `from` where a valid record begins.
pub(super) fn find_after(bytes: &[u8], from: usize) -> Option<usize> {
    (from + 1..bytes.len()).find(|at| bytes.get(*at..).and_then(record).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(leaf: &[u8]) -> Option<Vec<u8>> {
        header(leaf).map(|header| [&header[..], leaf].concat())
    }

    #[test]
    fn zeroes_and_oversized_lengths_are_no_records() {
        assert_eq!(next(&[0; 64], 0), Next::Invalid);
        assert_eq!(next(&[0xff; 64], 0), Next::Invalid);
        assert_eq!(encode(b""), None);
        assert_eq!(encode(&vec![b'x'; LEAF_BYTES_MAX + 1]), None);
        assert_eq!(next(&[], 0), Next::End);
        assert_eq!(next(&[], 1), Next::Invalid);
    }

    proptest! {
        #[test]
        fn round_trip(leaves in proptest::collection::vec(proptest::collection::vec(1u8..255, 1..300), 0..20)) {
            let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| encode(leaf).unwrap()).collect();
            let mut at = 0;
            for leaf in &leaves {
                let Next::Record { leaf: read, end } = next(&bytes, at) else { panic!("no record at {at}") };
                prop_assert_eq!(read, &leaf[..]);
                at = end;
            }
            prop_assert_eq!(next(&bytes, at), Next::End);
        }

        #[test]
        fn a_flipped_bit_never_goes_unseen(leaf in proptest::collection::vec(1u8..255, 1..300), bit in 0usize..2400) {
            let mut bytes = encode(&leaf).unwrap();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_record = matches!(next(&bytes, 0), Next::Record { .. });
            prop_assert!(!is_record);
        }
    }
}
