//! Listing in pages.

use super::Place;
use super::make::{id, on, ticket};
use crate::contract::Committed;
use lockkeeper_core::ResourceId;

pub(super) async fn pages_follow_the_order_of_ids(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    assert_eq!(store.list(None, 10).await, Ok(Default::default()));
    // In an order of their own, over partitions, with and without fields, up to the last id.
    let mut ids: Vec<ResourceId> =
        (0..20).map(|number| id((number * 37 % 256) as u8, number * 1_000)).collect();
    ids.extend([ResourceId(0), ResourceId(u64::MAX)]);
    ids.sort_unstable();
    ids.dedup();
    for (number, id) in ids.iter().enumerate().rev() {
        let fields = (0..number as u64 % 3).map(|seq| (ticket(seq), Some(vec![number as u8]))).collect();
        assert_eq!(store.commit(on.changed(*id, None, 1, fields)).await, Ok(Committed::Done));
    }
    for limit in [1, 2, 7, 1_000] {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = store.list(from, limit).await.expect("a page");
            assert!(page.documents.len() <= limit);
            assert!(page.next.is_none() || !page.documents.is_empty(), "a page without an end is not empty");
            found.extend(page.documents);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(found.iter().map(|document| document.id).collect::<Vec<_>>(), ids, "in pages of {limit}");
        for (number, document) in found.iter().enumerate() {
            assert_eq!(document.fields.len(), number % 3);
            assert!(document.fields.iter().all(|(_, bytes)| *bytes == [number as u8]));
        }
    }
    // A cursor need not be a document.
    let from = ResourceId(ids[3].0 + 1);
    let page = store.list(Some(from), 2).await.expect("a page");
    assert_eq!(page.documents.iter().map(|document| document.id).collect::<Vec<_>>(), ids[4..6]);
    assert_eq!(page.next, Some(ids[6]));
}
