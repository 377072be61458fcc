//! Every integration test of Lockkeeper in one binary: one link, one process, a module per topic.

mod actors;
mod simulation;
mod support;
