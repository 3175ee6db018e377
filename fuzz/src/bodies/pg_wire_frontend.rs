//! Arbitrary bytes from a client: framing, decoding, and encoding again.

use super::{frames, relay};
use crate::wire::frontend::{self, BindNames, Message, decode_password, decode_sasl_initial, decode_sasl_response};
use crate::wire::{Frame, KindSet, Limits, frame::next_frame};
use bytes::BytesMut;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let limits = Limits::frontend(1 << 20);
    for frame in frames(data, &limits) {
        if let Ok(message) = Message::decode(frame.clone()) {
            check(&message, &limits);
        }
    }
    for frame in frames(data, &Limits::UNAUTHENTICATED) {
        let _ = (decode_sasl_initial(frame.clone()), decode_sasl_response(frame.clone()), decode_password(frame));
    }
    let step = usize::from(data.first().copied().unwrap_or(1));
    let _ = relay(data, limits, KindSet::of(b"d"), step);
}

/// A message that we write ourselves reads back to itself.
fn check(message: &Message, limits: &Limits) {
    let mut out = BytesMut::new();
    let written = match message {
        Message::Query(query) => frontend::query(&mut out, &query.sql),
        Message::Parse(parse) => frontend::parse(&mut out, parse),
        Message::Bind(bind) => {
            let names = BindNames { portal: &bind.portal, statement: &bind.statement };
            frontend::bind(&mut out, names, &bind.tail)
        }
        Message::Describe(target) => frontend::describe(&mut out, target),
        Message::Close(target) => frontend::close(&mut out, target),
        Message::Execute(execute) => frontend::execute(&mut out, execute),
        Message::Sync => return frontend::sync(&mut out),
        Message::Flush => return frontend::flush(&mut out),
        Message::CopyData(chunk) => frontend::copy_data(&mut out, chunk),
        Message::CopyDone => return frontend::copy_done(&mut out),
        Message::CopyFail(reason) => frontend::copy_fail(&mut out, reason),
        Message::Terminate => return frontend::terminate(&mut out),
        Message::FunctionCall(call) => frontend::function_call(&mut out, call),
    };
    written.expect("what was decoded can be encoded");
    let frame: Frame = next_frame(&mut out, limits).expect("our frames are valid").expect("and whole");
    assert!(out.is_empty(), "one message, one frame");
    assert_eq!(&Message::decode(frame).expect("it reads back"), message);
}
