//! Who decides and who carries: queue actors, coordinators, event hub, reaper, health, journal.
//!
//! An acquire travels: door → [`Locks`] → coordinator (only if the resource has no actor yet) →
//! queue actor → core document → store, and back the same way.
//!
//! | who | tells whom | what |
//! | --- | --- | --- |
//! | [`Locks`] | coordinator | `Route`: a command for a resource that has no actor |
//! | [`Locks`] | queue actor | `Submit`, `EndWait` (its client waited long enough), `Forget` (it left) |
//! | coordinator | queue actor | `Submit`, `Rest` |
//! | queue actor | [`view::View`], calendar, [`events::EventLog`] | what became durable |
//! | reaper | queue actor | `Submit(Settle)`: time has something to say |
//! | guarded store | health | a store that failed (probe it now) |
//! | guarded store | breaker | `Faulted`: a call that the store failed |
//! | health | breaker | `Probed`: how a probe of the store ended |
//! | breaker | health | it is half-open (probe now) |
//! | follower | queue actor, view | `Follow`: what another instance committed; `SeenInStore`: a newer version is there |
//! | custodian | follower's part | partitions that must be compared; sealed ones it writes back and opens itself |
//! | [`Locks`] | journal's writer | releases that are accepted while the store is away |
//! | journal | queue actor | `Submit`: those releases, when the store is back |
//! | doors | event hub | `Subscribe` |
//!
//! What happens to messages of a dead actor: the channels of the waiting clients close, and
//! [`Locks`] sends their commands to the successor, marked as retried; the core recognises by nonce
//! what was carried out already. State is never lost with an actor: it is a cache of the store.
//!
//! Who sees to it that an actor that died has a successor, and what follows when too many die, is not
//! an actor but a value outside of them all (`supervision`):
//!
//! | who died | who notices | what follows |
//! | --- | --- | --- |
//! | a queue actor | the clients whose channels closed | the coordinator makes another one for their commands |
//! | one that must be there | its own task, whoever sends to it, the watchdog | it is made again at once |
//! | more of a kind than its budget allows | supervision | nothing is granted until it is calm; made again once a second |
//! | one resource's actor, by panics | supervision | requests for it are refused for a while |
//! | a queue actor, three times at the same command | [`Locks`] | that command is answered |

mod admission;
pub mod answer;
mod bound;
mod breaker;
mod coordinator;
mod deadlines;
pub mod engine;
pub mod events;
mod faults;
mod guarded;
mod health;
mod journal;
mod locks;
mod options;
mod queue_actor;
mod reaper;
mod recorder;
mod replica;
mod resident;
mod responder;
mod service;
mod shared;
pub mod statistics;
mod supervision;
mod system;
#[cfg(test)]
mod testing;
mod tunables;
pub mod view;

pub use answer::{Answer, Failure, HoldOnly, LastLease, RETRY_AFTER, Released, Sight, Unconfirmed};
pub use bound::Bound;
pub use breaker::BreakerStatus;
pub use faults::{FAULT_DELAY_MAX, FAULT_TIMES_MAX, FaultKind, FaultPoint, PlannedFault};
pub use health::{BackendState, Health, PROBES_KEPT, Probe};
pub use journal::JournalError;
pub use locks::{AcquireRequest, Locks, fresh_nonce};
pub use options::{BreakerOptions, Options, Presence, Supervision};
pub use replica::ReplicaStatus;
pub use resident::Kill;
pub use service::{Hindered, Hindrance, Phase, ServiceStatus};
pub use statistics::Statistics;
pub use supervision::{ActorStatus, Quarantined};
pub use system::{StartError, System};
pub use tunables::Tunables;
