//! As much of masking as the session machine names: no result of a fuzzed session is masked.

/// Of no result.
#[derive(Debug)]
pub(super) enum Columns {}
