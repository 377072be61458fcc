//! Where queue documents are kept: the contract, its conformance suite, a fault-injecting wrapper,
//! and the embedded store. A store only compares and sets; it knows nothing of locks.

pub mod contract;

pub use contract::{Commit, Committed, Loaded, Page, Store, StoreError, StoreFuture, StoredDocument};
