//! Lockkeeper.
fn main() {}
