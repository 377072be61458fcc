//! Instances that share a Redis, as processes: what each of them knows of the others, what becomes of
//! what clients were told when Redis loses data, and what is said while it cannot be used. Each test
//! walks through one named case; what chance finds is the matter of `chaos`.

mod between;
mod cut_off;
mod emptied;
mod events;
mod failover;
mod fairness;
mod faults;
mod format;
mod ground;
mod hints;
mod joining;
mod late;
mod outage;
mod presence;
mod restart;
mod stopped;
mod story;
mod switched_off;
mod vanished;

pub(crate) use ground::open_all;
