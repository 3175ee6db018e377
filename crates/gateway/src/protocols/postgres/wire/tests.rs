//! Tests of the codec; filled per message.
