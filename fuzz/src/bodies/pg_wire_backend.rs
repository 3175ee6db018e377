//! Arbitrary bytes from an upstream: framing, decoding, and encoding again.

use super::{frames, relay};
use crate::wire::backend::{self, Message};
use crate::wire::{KindSet, Limits, WireError, frame::next_frame};
use bytes::BytesMut;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    for frame in frames(data, &Limits::BACKEND) {
        if let Ok(message) = Message::decode(frame) {
            check(&message);
        }
    }
    for frame in frames(data, &Limits::BACKEND_LOGIN) {
        let _ = Message::decode(frame);
    }
    let step = usize::from(data.first().copied().unwrap_or(1));
    let _ = relay(data, Limits::BACKEND, KindSet::of(b"DdTC"), step);
}

/// A message that we write ourselves reads back to itself.
fn check(message: &Message) {
    let mut out = BytesMut::new();
    let written: Result<(), WireError> = match message {
        Message::ParameterStatus(status) => backend::parameter_status(&mut out, &status.name, &status.value),
        Message::ReadyForQuery(status) => {
            backend::ready_for_query(&mut out, *status);
            Ok(())
        }
        Message::CommandComplete(tag) => backend::command_complete(&mut out, &tag.tag),
        Message::RowDescription(columns) => backend::row_description(&mut out, columns),
        Message::DataRow(values) => {
            let values: Vec<Option<&[u8]>> = values.iter().map(|value| value.as_deref()).collect();
            backend::data_row(&mut out, &values)
        }
        Message::ParameterDescription(types) => backend::parameter_description(&mut out, types),
        Message::Error(notice) => {
            notice.put_error(&mut out);
            Ok(())
        }
        Message::Notice(notice) => {
            notice.put_notice(&mut out);
            Ok(())
        }
        _ => return,
    };
    written.expect("what was decoded can be encoded");
    let frame = next_frame(&mut out, &Limits::BACKEND).expect("our frames are valid").expect("and whole");
    assert!(out.is_empty(), "one message, one frame");
    let again = Message::decode(frame).expect("it reads back");
    if !matches!(message, Message::Error(_) | Message::Notice(_)) {
        assert_eq!(&again, message); // of an error the localised severity may be lost, everything else not
    }
}
