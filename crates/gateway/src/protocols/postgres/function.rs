//! The function-call message, for the functions that libpq itself calls by it: those of large objects.
//!
//! They are built in and have fixed oids (`src/include/catalog/pg_proc.dat`), so that an oid tells the function. A call is
//! described as the `SELECT` that would do the same. Any other oid may be anybody's function, and is refused.
//!
//! Specification: <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-FUNCTION-CALL>.

use std::sync::Arc;

use bytes::BytesMut;

use super::describe::{self, NoSession};
use super::session::Prepared;
use super::wire::WireError;
use super::wire::frontend::{self, Bind, FunctionCall};

const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT4: u32 = 23;
const OID: u32 = 26;

/// Oid, name and types of the arguments. Sorted by oid.
const LARGE_OBJECTS: &[(u32, &str, &[u32])] = &[
    (715, "lo_create", &[OID]),
    (952, "lo_open", &[OID, INT4]),
    (953, "lo_close", &[INT4]),
    (954, "loread", &[INT4, INT4]),
    (955, "lowrite", &[INT4, BYTEA]),
    (956, "lo_lseek", &[INT4, INT4, INT4]),
    (957, "lo_creat", &[INT4]),
    (958, "lo_tell", &[INT4]),
    (964, "lo_unlink", &[OID]),
    (1004, "lo_truncate", &[INT4, INT4]),
    (3170, "lo_lseek64", &[INT4, INT8, INT4]),
    (3171, "lo_tell64", &[INT4]),
    (3172, "lo_truncate64", &[INT4, INT8]),
];

/// What a call means: the `SELECT` that would do the same, and its arguments as that statement's parameters. `None` for
/// a function that is not known, or with other arguments than it has.
pub(super) fn as_select(call: &FunctionCall) -> Option<(Arc<Prepared>, Bind)> {
    let index = LARGE_OBJECTS.binary_search_by_key(&call.function, |(oid, _, _)| *oid).ok()?;
    let (_, name, types) = LARGE_OBJECTS.get(index)?;
    if types.len() != call.arguments.len() {
        return None;
    }
    let parameters: Vec<String> = (1..=types.len()).map(|n| format!("${n}")).collect();
    let sql = format!("SELECT pg_catalog.{name}({})", parameters.join(", "));
    let description = Arc::new(describe::describe(&sql, &NoSession));
    let part = "a function call".to_owned();
    let prepared = Prepared { sql: sql.into(), part, declared: types.to_vec(), types: types.to_vec(), description };
    let bind = Bind {
        portal: String::new(),
        statement: String::new(),
        formats: call.formats.clone(),
        values: call.arguments.clone(),
        result_formats: vec![call.result_format],
        tail: body(call).ok()?.freeze(),
    };
    Some((Arc::new(prepared), bind))
}

/// The message without its kind and length: what is bound, and sent.
fn body(call: &FunctionCall) -> Result<BytesMut, WireError> {
    let mut message = BytesMut::new();
    frontend::function_call(&mut message, call)?;
    Ok(message.split_off(5))
}

#[cfg(test)]
mod tests {
    use countersign_core::action::sql::SqlClass;

    use super::super::wire::Format;
    use super::*;

    fn call(function: u32, arguments: usize) -> FunctionCall {
        let arguments = vec![Some(vec![0, 0, 0, 1].into()); arguments];
        FunctionCall { function, formats: vec![Format::Binary], arguments, result_format: Format::Binary }
    }

    #[test]
    fn every_function_of_large_objects_is_built_in() {
        assert!(LARGE_OBJECTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (oid, name, types) in LARGE_OBJECTS {
            let (prepared, _) = as_select(&call(*oid, types.len())).unwrap();
            assert!(prepared.description.parse_error.is_none(), "{name}");
            assert!(prepared.description.facts.class <= SqlClass::Write, "{name}: {:?}", prepared.description.facts);
        }
    }

    #[test]
    fn what_changes_an_object_is_no_read() {
        for name in ["lo_creat", "lo_create", "lo_unlink", "lowrite", "lo_truncate", "lo_truncate64"] {
            let (oid, _, types) = LARGE_OBJECTS.iter().find(|(_, of, _)| *of == name).unwrap();
            let (prepared, _) = as_select(&call(*oid, types.len())).unwrap();
            assert!(prepared.description.facts.class >= SqlClass::Write, "{name}");
        }
    }

    #[test]
    fn other_functions_and_other_arguments_are_not_known() {
        assert!(as_select(&call(1_598, 0)).is_none(), "random()");
        assert!(as_select(&call(765, 2)).is_none(), "lo_export, which writes a file of the server");
        assert!(as_select(&call(964, 2)).is_none());
    }

    #[test]
    fn the_payload_is_the_message() {
        let original = call(952, 2);
        let (_, bind) = as_select(&original).unwrap();
        assert_eq!(&bind.tail[..4], 952_u32.to_be_bytes());
        assert_eq!(bind.tail, body(&original).unwrap());
    }
}
