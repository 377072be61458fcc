//! Reading documents from one instant of the store.

use super::documents::Documents;
use super::layout::{BadRow, FLOORS};
use super::overlay::{Overlay, Pending};
use crate::contract::{Loaded, Page};
use lockkeeper_core::ResourceId;
use redb::ReadTransaction;
use std::sync::Arc;

/// Documents of one page at most; a caller that asks for more gets a shorter page.
pub const PAGE_MAX_DOCUMENTS: usize = 4096;
/// A page that reached this many bytes of records ends.
pub const PAGE_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Why a snapshot could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Redb(redb::Error),
    Row(BadRow),
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

/// The tables as they were at one instant, and what the overlay had then that they had not.
#[derive(Debug)]
pub(super) struct View<P> {
    pub(super) txn: ReadTransaction,
    pub(super) pending: P,
}

pub(super) type PendingDocuments = Vec<(ResourceId, Arc<Pending>)>;

/// What [`list`] needs of the overlay: as many documents as the page can have and one more for its
/// end, and the deleted ones between them.
pub(super) fn pending_page(overlay: &Overlay, from: Option<ResourceId>, limit: usize) -> PendingDocuments {
    let mut live = 0;
    let needed = |(_, pending): &(ResourceId, &Arc<Pending>)| {
        let needed = live <= limit.clamp(1, PAGE_MAX_DOCUMENTS);
        live += usize::from(pending.next.is_some());
        needed
    };
    let from = from.unwrap_or(ResourceId(0));
    overlay.from(from).take_while(needed).map(|(id, pending)| (id, Arc::clone(pending))).collect()
}

/// What a copy of everything needs of it.
pub(super) fn pending_all(overlay: &Overlay) -> PendingDocuments {
    overlay.from(ResourceId(0)).map(|(id, pending)| (id, Arc::clone(pending))).collect()
}

pub(super) fn load(view: View<Option<Arc<Pending>>>, id: ResourceId) -> Result<Loaded, ReadError> {
    let View { txn, pending } = view;
    let floor = txn.open_table(FLOORS)?.get(id.partition().0)?.map_or(0, |guard| guard.value());
    let pending = pending.map(|pending| (id, pending));
    let document = Documents::new(&txn, id, id, pending.into_iter())?.next()?;
    Ok(Loaded { document, floor })
}

pub(super) fn list(
    view: View<PendingDocuments>,
    from: Option<ResourceId>,
    limit: usize,
) -> Result<Page, ReadError> {
    let limit = limit.clamp(1, PAGE_MAX_DOCUMENTS);
    let (first, last) = (from.unwrap_or(ResourceId(0)), ResourceId(u64::MAX));
    let mut documents = Documents::new(&view.txn, first, last, view.pending.into_iter())?;
    let mut page = Page::default();
    let mut bytes = 0;
    while let Some(head) = documents.next_head()? {
        if page.documents.len() == limit || bytes >= PAGE_MAX_BYTES {
            page.next = Some(head.id);
            break;
        }
        let document = documents.complete(head)?;
        bytes += document.header.len() + document.fields.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        page.documents.push(document);
    }
    Ok(page)
}
