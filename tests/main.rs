//! Every integration test of Lockkeeper in one binary: one link, one process, a module per topic.

mod actors;
mod contract;
mod durability;
mod simulation;
mod support;
