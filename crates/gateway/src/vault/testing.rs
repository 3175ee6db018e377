//! Keys for tests that open a store or a log.

use std::path::Path;
use std::sync::Arc;

use super::Sealer;
use crate::config::Secrets;
use crate::ports::Seal;

/// The keys of a data directory, with a master key of its own.
pub fn sealer(data_dir: &Path) -> Arc<dyn Seal> {
    Arc::new(Sealer::open(data_dir, &Secrets::default()).expect("keys"))
}
