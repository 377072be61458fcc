//! What a commit must be, whatever store it goes to.

use crate::contract::{Commit, StoreError};
use lockkeeper_core::ResourceId;

/// Refuses a commit that breaks the contract, before anybody acts on it.
pub(crate) fn validate(commit: &Commit) -> Result<(), StoreError> {
    let named = commit.deltas.iter().map(|delta| delta.id).chain(commit.checks.iter().map(|(id, _)| *id));
    let mut ids: Vec<ResourceId> = named.collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(StoreError::Refused(format!("a commit names document {} twice", twice[0])));
    }
    if let Some(stranger) = ids.iter().find(|id| id.partition() != commit.partition) {
        return Err(StoreError::Refused(format!(
            "a commit of partition {} names document {stranger} of partition {}",
            commit.partition.0,
            stranger.partition().0
        )));
    }
    match commit.deltas.iter().find(|delta| delta.next.is_none() && !delta.fields.is_empty()) {
        Some(delta) => {
            Err(StoreError::Refused(format!("a commit deletes document {} but names its fields", delta.id)))
        }
        None => Ok(()),
    }
}
