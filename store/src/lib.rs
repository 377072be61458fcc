//! Where queue documents are kept: the contract, its conformance suite, a fault-injecting wrapper,
//! and the embedded store. A store only compares and sets; it knows nothing of locks.

mod boot_clock;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod contract;
pub mod embedded;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
pub mod redis;
pub mod shared;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod validate;

pub use contract::{
    Commit, Committed, Conflict, Known, Loaded, Moved, Page, Store, StoreError, StoreFuture, StoredDocument,
};
pub use embedded::{EmbeddedOptions, EmbeddedStore, OpenError};
pub use shared::SharedStore;
