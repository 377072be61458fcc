//! The Redis store: documents that several instances share, on one server, behind Sentinels, or in
//! a Cluster.

mod link;
pub mod options;

pub use options::{OptionsError, RedisOptions, RedisUrl, Secret, TlsFiles, Topology};
