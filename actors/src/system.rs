//! Building the actors: reads the store, starts arbiters and residents, gives out the handle.

use crate::breaker::BreakerActor;
use crate::coordinator::Coordinator;
use crate::events::EventHub;
use crate::health::HealthActor;
use crate::journal::{Journal, JournalActor, JournalError};
use crate::locks::Locks;
use crate::options::Options;
use crate::reaper::Reaper;
use crate::replica::{Custodian, Follower};
use crate::resident::{Resident, WATCH_INTERVAL};
use crate::shared::Shared;
use crate::supervision::Supervised;
use actix::prelude::*;
use lockkeeper_core::document::Damaged;
use lockkeeper_core::{Document, Partition};
use lockkeeper_store::{Store, StoreError, StoredDocument};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Documents read at once while starting.
const PAGE: usize = 4096;

/// Why the actors could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A record in it cannot be understood.
    #[error("the store holds a record that cannot be read: {0}")]
    Damaged(#[from] Damaged),
    /// Releases that were accepted in an earlier life must not be forgotten.
    #[error("the journal of releases: {0}")]
    Journal(#[from] JournalError),
}

/// The running actors.
pub struct System {
    locks: Locks,
    /// Those that nobody else holds.
    _kept: Vec<Arc<dyn Supervised>>,
    arbiters: Vec<Arbiter>,
    watchdog: actix_rt::task::JoinHandle<()>,
}

impl System {
    /// Reads everything known and starts the actors. Must run inside an actix system.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what cannot be understood.
    pub async fn start(store: Arc<dyn Store>, options: Options) -> Result<Self, StartError> {
        let shards = options.shards.max(1);
        let mailbox = options.mailbox;
        let subscribers = options.event_subscribers;
        let journal = Journal::open(options.journal_file.as_deref(), options.journal_max)?;
        let shared = Arc::new(Shared::new(store, options, journal));
        let is_shared = shared.store.shared().is_some();
        if !is_shared {
            read_all(&shared).await?;
        }

        let arbiters: Vec<Arbiter> = (0..=shards).map(|_| Arbiter::new()).collect();
        let control = arbiters[shards].handle();
        let coordinators = (0..shards)
            .map(|shard| {
                let of = Arc::clone(&shared);
                let name = format!("coordinator-{shard}");
                let arbiter = arbiters[shard].handle();
                Resident::start_named(&shared, "coordinator", name, arbiter, mailbox, move || {
                    Coordinator::new(Arc::clone(&of), shard)
                })
            })
            .collect::<Vec<_>>();
        let log = Arc::clone(&shared.log);
        let hub = Resident::start(&shared, "event_hub", control.clone(), mailbox, move || {
            EventHub::new(Arc::clone(&log), subscribers)
        });
        let locks = Locks::new(Arc::clone(&shared), coordinators, hub);
        let reaper_locks = locks.clone();
        let mut kept: Vec<Arc<dyn Supervised>> = Vec::new();
        kept.push(Resident::start(&shared, "reaper", control.clone(), mailbox, move || {
            Reaper::new(reaper_locks.clone())
        }));
        if is_shared {
            let of = Arc::clone(&shared);
            kept.push(Resident::start(&shared, "follower", control.clone(), mailbox, move || {
                Follower::new(Arc::clone(&of))
            }));
            let of = Arc::clone(&shared);
            kept.push(Resident::start(&shared, "custodian", control.clone(), mailbox, move || {
                Custodian::new(Arc::clone(&of))
            }));
        }
        if let Some(gate) = shared.breaker.clone() {
            let (of, moved) = (Arc::clone(&shared), Arc::clone(&gate));
            let breaker = Resident::start(&shared, "breaker", control.clone(), mailbox, move || {
                BreakerActor::new(Arc::clone(&of), Arc::clone(&moved))
            });
            gate.is_moved_by(&breaker);
            kept.push(breaker);
        }
        let journal_locks = locks.clone();
        kept.push(Resident::start(&shared, "journal", control.clone(), mailbox, move || {
            JournalActor::new(journal_locks.clone())
        }));
        let of = Arc::clone(&shared);
        kept.push(Resident::start(&shared, "health", control, mailbox, move || {
            HealthActor::new(Arc::clone(&of))
        }));
        let watchdog = actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(WATCH_INTERVAL).await;
                shared.supervision.look(&shared.service, shared.store.now());
                shared.supervision.residents().iter().for_each(|resident| resident.revive());
            }
        });
        Ok(Self { locks, _kept: kept, arbiters, watchdog })
    }

    /// The handle for doors.
    #[must_use]
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Stops all actors and waits for their threads.
    pub fn stop(self) {
        self.watchdog.abort();
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        for arbiter in self.arbiters {
            if arbiter.join().is_err() {
                tracing::error!("an actor thread ended with a panic");
            }
        }
        self.locks.shared().journal.close();
    }
}

/// A document from its stored form.
pub(crate) fn read(stored: &StoredDocument, floor: u64) -> Result<Document, Damaged> {
    let fields = stored.fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
    Document::from_records(stored.id, stored.version, &stored.header, fields, floor)
}

/// Fills the view and the calendar.
async fn read_all(shared: &Shared) -> Result<(), StartError> {
    let mut floors: HashMap<Partition, u64> = HashMap::new();
    let mut from = None;
    loop {
        let page = shared.store.list(from, PAGE).await?;
        for stored in &page.documents {
            let floor = match floors.entry(stored.id.partition()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(shared.store.load(stored.id).await?.floor),
            };
            let document = read(stored, floor)?;
            shared.view.publish(stored.id, Some(&document), None);
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}
