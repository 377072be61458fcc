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

#[cfg(test)]
mod tests {
    use crate::options::Options;
    use crate::replica::all;
    use crate::service::{Hindrance, Phase};
    use crate::testing::Bench;

    #[test]
    fn it_hinders_from_the_last_sealing_to_the_first_opening() {
        Bench::run(Options::default(), |bench| async move {
            let shared = &bench.shared;
            let hinders = || shared.service.status().is_hindered_by(Hindrance::Sealed);
            for partition in all() {
                assert!(!hinders());
                shared.replica.change(partition, |state| state.sealed = Some(Default::default()));
                // Another step of the same sealing.
                shared.replica.change(partition, |state| state.sealed = Some(Default::default()));
            }
            assert!(hinders());
            assert_eq!(shared.service.status().phase, Phase::Sealed);
            for partition in all() {
                shared.replica.change(partition, |state| state.sealed = None);
                assert!(!hinders());
            }
            assert_eq!(shared.service.status().phase, Phase::Granting);
            bench
        });
    }
}
