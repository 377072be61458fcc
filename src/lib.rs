//! Lockkeeper.
