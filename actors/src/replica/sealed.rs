//! How many partitions are sealed: while all of them are, nothing can be granted.

use crate::service::{Hindrance, Service};
use lockkeeper_core::resource::PARTITIONS;
use lockkeeper_store::Store;
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::sync::Arc;

/// Counts the sealed partitions as they are sealed and opened, and tells the service.
pub(crate) struct Sealed {
    count: Mutex<usize>,
    service: Arc<Service>,
    store: Arc<dyn Store>,
}

impl Sealed {
    pub(crate) fn new(service: Arc<Service>, store: Arc<dyn Store>) -> Self {
        Self { count: Mutex::default(), service, store }
    }

    /// A partition was sealed, or opened. Called while its state is locked.
    pub(super) fn changed(&self, is_sealed: bool) {
        // The service is told while this is locked: nobody tells it of an older count after a newer one.
        let mut count = self.count.lock();
        *count = if is_sealed { *count + 1 } else { count.saturating_sub(1) };
        metrics().sealed_partitions(*count);
        if *count == PARTITIONS {
            let reason = "the store may have lost data; the instances write back what they know";
            self.service.hinder(Hindrance::Sealed, reason, self.store.now());
        } else if !is_sealed {
            self.service.clear(Hindrance::Sealed, self.store.now());
        }
    }
}
