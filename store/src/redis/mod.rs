//! The Redis store: documents that several instances share, on one server, behind Sentinels, or in
//! a Cluster.
//!
//! Everything is checked and written by scripts (`scripts/`), one call for a commit; what they reply
//! is taken apart in `reply.rs`. [`RedisStore`] (`store.rs`) is what all share; each part of the
//! contract is at home in a file of its own: `commit.rs`, `reading.rs`, `loss.rs`, `follow.rs`,
//! `presence.rs`, `fitness.rs`. How scripts reach a server is the matter of `link`.

mod clock;
mod commit;
mod error;
mod fitness;
mod follow;
mod info;
mod keys;
mod link;
mod loss;
pub mod options;
mod partitions;
mod pauses;
mod payload;
mod presence;
mod reading;
mod reply;
mod scripts;
mod store;
#[cfg(test)]
mod tests;

pub use fitness::Unfit;
pub use options::{OptionsError, RedisOptions, RedisUrl, Secret, TlsFiles, Topology};
pub use reading::{PAGE_MAX_BYTES, PAGE_MAX_DOCUMENTS, READ_FIELDS};
pub use scripts::{FORMAT, NUMBER_MAX};
pub use store::{COMMITS_MAX, RedisStore};
