//! This instance's replica of a store that several instances share, and what it does when the store
//! loses data.
//!
//! The view is the replica: [`follower`] applies what other instances commit as they tell of it,
//! [`catch_up`] compares with the store (after a gap, every sweep, and whenever somebody needs the
//! truth of a whole partition), [`custodian`] watches the markers: where one is missing it signs,
//! writes back what the view knows ([`write_back`]) and opens. [`state`] is what they share.
//!
//! Nothing is granted or denied by the replica: commits are checked by the store.

mod catch_up;
mod custodian;
mod follower;
mod sealed;
mod state;
mod tokens;
mod write_back;

pub(crate) use catch_up::{catch_up, compare};
pub(crate) use custodian::{Custodian, look_before_use};
pub(crate) use follower::Follower;
pub(crate) use sealed::Sealed;
pub use state::ReplicaStatus;
pub(crate) use state::{ReplicaState, all};
pub(crate) use tokens::GreatestToken;
