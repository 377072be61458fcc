//! Lockkeeper: a durable lock coordinator for pull-request automation of infrastructure.
//!
//! This package is the server and its command line. The floors below it: `lockkeeper-actors` (who
//! decides and who carries), `lockkeeper-store` (where documents are kept), `lockkeeper-core` (the
//! rules). `docs/architecture.md` is the map.

pub mod audit;
pub mod cli;
pub mod http;
pub mod live;
pub mod offline;
pub mod server;
