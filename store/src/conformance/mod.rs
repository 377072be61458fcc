//! What every store must pass, whatever it is made of.
//!
//! Each case gets a fresh, empty place. A case that fails panics with what it expected.

mod clock;
mod commits;
mod concurrency;
mod documents;
pub mod make;
mod paging;

use crate::contract::{Store, StoreFuture};
use std::sync::Arc;

/// Where a store lives; it keeps what the store keeps, also while no store is open.
pub trait Place: Send + Sync {
    /// Opens the store of this place. Called again only after the former one was dropped.
    fn open(&self) -> StoreFuture<'_, Arc<dyn Store>>;
}

/// Runs every case, each in a place of its own.
///
/// # Panics
/// When the store breaks the contract.
pub async fn run_all<P: Place>(fresh: impl Fn() -> P) {
    documents::create_and_load(&fresh()).await;
    documents::fields_are_put_replaced_and_removed(&fresh()).await;
    documents::delete_removes_the_fields_and_allows_a_new_beginning(&fresh()).await;
    documents::a_large_document_is_whole(&fresh()).await;
    documents::all_survives_reopening(&fresh()).await;
    commits::a_wrong_version_changes_nothing(&fresh()).await;
    commits::absence_can_be_expected(&fresh()).await;
    commits::several_documents_change_together_or_not_at_all(&fresh()).await;
    commits::contract_breaches_are_refused(&fresh()).await;
    commits::a_floor_only_rises(&fresh()).await;
    commits::checks_alone_confirm_and_change_nothing(&fresh()).await;
    commits::checks_stand_beside_deltas(&fresh()).await;
    paging::pages_follow_the_order_of_ids(&fresh()).await;
    concurrency::concurrent_increments_lose_nothing(&fresh()).await;
    clock::now_never_runs_backwards(&fresh()).await;
}
