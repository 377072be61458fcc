//! Hold-only by exact points: what is said while the store is away, and in which order it comes back.

use super::*;
use crate::answer::{Answer, Failure, Released, Sight};
use crate::events::Occurrence;
use crate::options::Options;
use crate::resident::Kill;
use crate::service::{Hindrance, Phase};
use crate::system::System;
use crate::testing::{Bench, cut_off, eventually};
use lockkeeper_core::command::Renew;
use lockkeeper_core::{
    Command, EntryId, EventKind, Lock, Mode, Owner, Priority, Refusal, Reply, ResourceInput, Standing, Ticket,
};
use lockkeeper_store::StoreError;
use lockkeeper_store::embedded::{EmbeddedOptions, EmbeddedStore};
use lockkeeper_store::faulty::{Fault, FaultyStore, Gate, ProbeFault};
use std::path::Path;

const HOUR: Duration = Duration::from_secs(3600);
/// By when what ends by itself has ended, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn options(directory: &Path) -> Options {
    Options {
        health_interval: Duration::from_millis(20),
        drain_spread: Duration::ZERO,
        breaker: None,
        journal_file: Some(directory.join("pending-releases")),
        journal_max: 2,
        ..Options::default()
    }
}

fn request(path: &str, owner: &str, wait: Duration) -> AcquireRequest {
    let input = ResourceInput { namespace: Some("acme/infra"), path: Some(path), ..Default::default() };
    AcquireRequest {
        resource: Arc::new(Resource::parse(&input, "").unwrap()),
        intent: Intent {
            owner: Owner { id: owner.into(), user: None, pull: None },
            created_by: "anonymous".into(),
            mode: Mode::Exclusive,
            priority: Priority::Normal,
            ttl: Span::from_secs(600),
            protected: false,
            attended: true,
            metadata: None,
            nonce: fresh_nonce(),
            requests: Arc::default(),
        },
        reentrant: true,
        queue: true,
        queue_timeout: Span::from_secs(600),
        wait,
    }
}

impl Bench {
    fn locks(&self) -> &Locks {
        self.system.locks()
    }

    async fn lock(&self, path: &str, owner: &str) -> (EntryId, Arc<Lock>) {
        let asked = request(path, owner, Duration::ZERO);
        let resource = asked.resource.id();
        let answer = self.locks().acquire(asked).await.unwrap();
        let lock = lock_of(&answer);
        (EntryId { resource, seq: lock.seq }, lock)
    }

    async fn ticket(&self, path: &str, owner: &str) -> (EntryId, Arc<Ticket>) {
        let asked = request(path, owner, Duration::ZERO);
        let resource = asked.resource.id();
        match self.locks().acquire(asked).await.unwrap().outcome {
            Ok(Reply::Standing(Standing::Queued { ticket, .. })) => {
                (EntryId { resource, seq: ticket.seq }, ticket)
            }
            other => panic!("not queued: {other:?}"),
        }
    }

    /// From now on the store does not answer, and that is known.
    async fn away(&self) {
        self.store.set_outage(Some(cut_off()));
        eventually("a store that is away", || !self.shared.service.is_store_trusted()).await;
    }

    fn back(&self) {
        self.store.set_outage(None);
    }

    async fn grants(&self) {
        eventually("grants", || self.shared.service.may_grant()).await;
    }

    fn pending(&self) -> usize {
        self.shared.journal.book().len()
    }

    async fn is_held(&self, lock: EntryId) -> bool {
        self.locks().show(lock).await.unwrap().outcome.is_ok()
    }

    async fn put_off(&self, lock: EntryId, token: u64) {
        let released = self.locks().release(lock, token, fresh_nonce()).await;
        assert!(matches!(released, Ok(Released::Pending(_))), "{released:?}");
    }

    /// A renewal through another instance, whose store is well.
    async fn renewed_elsewhere(&self, entry: EntryId, token: u64) {
        let renew = Command::Renew(Renew { seq: entry.seq, token, ttl: None });
        let answer = self.locks().carry_again(entry.resource, renew, fresh_nonce()).await.unwrap();
        assert!(matches!(answer.outcome, Ok(Reply::Lock(_))), "{answer:?}");
    }

    /// Waits in the background.
    fn waits(&self, asked: AcquireRequest) -> actix_rt::task::JoinHandle<Result<Answer, Failure>> {
        let locks = self.locks().clone();
        actix_rt::spawn(async move { locks.acquire(asked).await })
    }
}

/// It must end by itself.
async fn ends<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it does not end")
}

fn lock_of(answer: &Answer) -> Arc<Lock> {
    match &answer.outcome {
        Ok(Reply::Standing(Standing::Acquired { lock, .. })) => Arc::clone(lock),
        other => panic!("not acquired: {other:?}"),
    }
}

fn run<F: Future<Output = Bench>>(test: impl FnOnce(Bench) -> F) {
    let directory = tempfile::tempdir().unwrap();
    Bench::run(options(directory.path()), test);
}

fn is_hold_only(failure: &Failure) -> &crate::answer::HoldOnly {
    match failure {
        Failure::HoldOnly(why) => why,
        other => panic!("not hold-only: {other:?}"),
    }
}

#[test]
fn while_the_store_is_away_what_is_held_stays_as_it_was() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        let (queued, ticket) = bench.ticket("a", "two").await;
        bench.away().await;
        let locks = bench.locks();
        let refused = locks.acquire(request("b", "one", Duration::ZERO)).await.unwrap_err();
        assert_eq!(is_hold_only(&refused).phase, Phase::HoldOnly);
        assert!(is_hold_only(&refused).reason.contains("cut off"), "{refused:?}");
        let waited = ends(locks.acquire(request("b", "one", Duration::from_millis(60)))).await;
        is_hold_only(&waited.unwrap_err());

        let refused = locks.renew(entry, lock.token, Some(Span::from_secs(9000))).await.unwrap_err();
        let lease = is_hold_only(&refused).lease.expect("its lease as it was");
        assert_eq!(lease.expires_at, lock.expires_at);
        assert!(lease.as_of <= locks.now());

        match locks.sight(entry).await.unwrap() {
            Sight::Unconfirmed(seen) => assert_eq!(seen.reply, Reply::Lock(Arc::clone(&lock))),
            other => panic!("confirmed by nobody: {other:?}"),
        }
        let unknown = EntryId { seq: lockkeeper_core::Seq(7), ..entry };
        is_hold_only(&locks.sight(unknown).await.unwrap_err());
        is_hold_only(&locks.show(entry).await.unwrap_err());
        match ends(locks.poll(queued, Duration::from_millis(20))).await.unwrap() {
            Sight::Unconfirmed(seen) => assert!(
                matches!(&seen.reply, Reply::Standing(Standing::Queued { ticket: seen, .. }) if *seen == ticket),
                "{seen:?}"
            ),
            other => panic!("confirmed by nobody: {other:?}"),
        }
        let as_lock = locks.poll(entry, Duration::ZERO).await.unwrap_err();
        assert_eq!(is_hold_only(&as_lock).lease.unwrap().expires_at, lock.expires_at);
        is_hold_only(&locks.cancel(queued, 1).await.unwrap_err());
        is_hold_only(&locks.force_release(entry, "by hand", 1).await.unwrap_err());
        is_hold_only(&locks.release_pull("", "acme/infra", 1, None).await.unwrap_err());
        assert!(locks.confirms(None).is_err());
        assert_eq!((locks.waiting_clients(), bench.pending()), (0, 0));
        bench.back();
        bench.grants().await;
        assert!(bench.is_held(entry).await);
        bench
    });
}

#[test]
fn releases_are_kept_once_and_come_before_grants() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        let (queued, _) = bench.ticket("a", "two").await;
        bench.away().await;
        let parked = bench.waits(request("b", "three", HOUR));
        eventually("a parked client", || bench.locks().waiting_clients() == 1).await;
        for _ in 0..2 {
            bench.put_off(entry, lock.token).await;
        }
        assert_eq!(bench.pending(), 1);
        assert!(bench.shared.service.is_hindered_by(Hindrance::Journal));
        let wrong = bench.locks().release(entry, lock.token + 1, 1).await.unwrap_err();
        is_hold_only(&wrong);
        is_hold_only(&bench.locks().renew(entry, lock.token, None).await.unwrap_err());
        let from = bench.shared.log.last();
        bench.back();
        assert_eq!(lock_of(&parked.await.unwrap().unwrap()).intent.owner.id.as_ref(), "three");
        assert_eq!(bench.pending(), 0);
        assert!(!bench.is_held(entry).await);
        assert!(bench.is_held(queued).await, "the next in its queue has it");
        // The probe, the release with its handoff, the phase, the grant.
        let events = bench.shared.log.read_after(from, usize::MAX).unwrap();
        let place = |wanted: &dyn Fn(&Occurrence) -> bool| {
            events.iter().position(|event| wanted(&event.what)).expect("it happened")
        };
        let entry_event = |kind: EventKind, owner: &'static str| {
            move |what: &Occurrence| {
                matches!(what, Occurrence::Entry(event)
                    if event.kind == kind && &*event.subject.intent().owner.id == owner)
            }
        };
        let recovered = place(&|what| matches!(what, Occurrence::BackendRecovered));
        let released = place(&entry_event(EventKind::LockReleased, "one"));
        let phase = place(&|what| matches!(what, Occurrence::PhaseChanged { to: Phase::Granting, .. }));
        let granted = place(&entry_event(EventKind::LockAcquired, "three"));
        assert!(recovered < released && released < phase && phase < granted, "{events:?}");
        bench
    });
}

#[test]
fn a_lock_that_was_renewed_meanwhile_stays() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        let (other, second) = bench.lock("b", "one").await;
        let now = bench.locks().now();
        bench.shared.service.hinder(Hindrance::Breaker, "for a test", now);
        bench.put_off(entry, lock.token).await;
        bench.put_off(other, second.token).await;
        bench.renewed_elsewhere(entry, lock.token).await;
        bench.shared.service.clear(Hindrance::Breaker, now);
        bench.grants().await;
        assert_eq!(bench.pending(), 0);
        assert!(bench.is_held(entry).await, "its owner keeps it up elsewhere");
        assert!(!bench.is_held(other).await);
        bench
    });
}

#[test]
fn a_release_whose_answer_was_lost_is_the_same_release_later() {
    run(async |bench| {
        for (path, fault) in [("a", Fault::LoseReply), ("b", Fault::LoseRequest)] {
            let (entry, lock) = bench.lock(path, "one").await;
            let (queued, _) = bench.ticket(path, "two").await;
            bench.store.on_next_commit(fault);
            let released = bench.locks().release(entry, lock.token, 77).await;
            assert!(matches!(released, Ok(Released::Pending(_))), "{released:?}");
            eventually("a journal that is empty", || bench.pending() == 0).await;
            // It is known as what the client sent.
            let again = bench.locks().release(entry, lock.token, 77).await.unwrap().now().unwrap();
            match again.outcome {
                Ok(Reply::Released { granted_to: Some(next), .. }) => assert_eq!(next.seq, queued.seq),
                other => panic!("{path}: {other:?}"),
            }
        }
        bench
    });
}

#[test]
fn a_release_that_the_store_refuses_is_kept_though_nobody_knows_yet() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        bench.store.on_next_commit(Fault::Refuse(cut_off()));
        bench.put_off(entry, lock.token).await;
        eventually("a journal that is empty", || bench.pending() == 0).await;
        assert!(!bench.is_held(entry).await);
        bench
    });
}

#[test]
fn what_cannot_be_kept_is_refused() {
    run(async |bench| {
        let mut held = Vec::new();
        for path in ["a", "b", "c"] {
            held.push(bench.lock(path, "one").await);
        }
        bench.away().await;
        bench.put_off(held[0].0, held[0].1.token).await;
        bench.put_off(held[1].0, held[1].1.token).await;
        let full = bench.locks().release(held[2].0, held[2].1.token, 3).await.unwrap_err();
        assert!(matches!(full, Failure::Overloaded { limit: 2, .. }), "{full:?}");
        bench.back();
        bench.grants().await;
        assert!(bench.is_held(held[2].0).await && !bench.is_held(held[0].0).await);
        bench
    });
    let directory = tempfile::tempdir().unwrap();
    let nowhere = Options {
        journal_file: Some(directory.path().join("absent/pending-releases")),
        ..options(directory.path())
    };
    for options in [Options { journal_file: None, ..options(directory.path()) }, nowhere] {
        Bench::run(options, async |bench| {
            let (entry, lock) = bench.lock("a", "one").await;
            bench.away().await;
            is_hold_only(&bench.locks().release(entry, lock.token, 1).await.unwrap_err());
            bench.back();
            bench.grants().await;
            assert!(bench.is_held(entry).await);
            bench
        });
    }
}

/// Its partition is sealed when the store is back: it waits for that, and nobody waits for it.
#[test]
fn a_release_of_a_sealed_partition_is_carried_out_when_that_opens() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        bench.away().await;
        bench.put_off(entry, lock.token).await;
        let seal = |sealed| {
            bench.shared.replica.change(entry.resource.partition(), |state| state.sealed = sealed);
        };
        seal(Some(Default::default()));
        bench.back();
        bench.grants().await;
        assert_eq!(bench.pending(), 1);
        assert!(bench.is_held(entry).await);
        seal(None);
        eventually("a journal that is empty", || bench.pending() == 0).await;
        assert!(!bench.is_held(entry).await);
        bench
    });
}

/// Nobody waits for ever for a release that the store, though it is well, does not take.
#[test]
fn a_release_that_fails_again_and_again_is_tried_on_while_locks_are_granted() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        bench.away().await;
        bench.put_off(entry, lock.token).await;
        for _ in 0..9 {
            bench.store.on_next_commit(Fault::Refuse(StoreError::Refused("for a test".into())));
        }
        bench.back();
        bench.grants().await;
        assert_eq!(bench.pending(), 1);
        eventually("a journal that is empty", || bench.pending() == 0).await;
        assert!(!bench.is_held(entry).await);
        bench
    });
}

#[test]
fn what_is_pending_outlives_the_journal_actor() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        bench.away().await;
        bench.put_off(entry, lock.token).await;
        for how in [Kill::Stop, Kill::Panic] {
            let restarts = || {
                let actors = bench.locks().actors();
                actors.into_iter().find(|actor| actor.name == "journal").unwrap().restarts
            };
            let before = restarts();
            assert!(bench.locks().kill_actor("journal", how));
            eventually("a successor", || restarts() > before).await;
        }
        bench.back();
        bench.grants().await;
        assert!(!bench.is_held(entry).await);
        bench
    });
}

#[test]
fn what_is_pending_outlives_the_instance() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedOptions::new(directory.path().join("store"))).unwrap();
    actix_rt::System::new().block_on(async {
        let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
        let start =
            async || System::start(Arc::clone(&faulty) as _, options(directory.path())).await.unwrap();
        let system = start().await;
        let asked = request("a", "one", Duration::ZERO);
        let resource = asked.resource.id();
        let lock = lock_of(&system.locks().acquire(asked).await.unwrap());
        let entry = EntryId { resource, seq: lock.seq };
        faulty.set_outage(Some(cut_off()));
        let released = system.locks().release(entry, lock.token, 77).await;
        assert!(matches!(released, Ok(Released::Pending(_))), "{released:?}");
        system.stop();

        faulty.set_outage(None);
        let system = start().await;
        let shared = Arc::clone(system.locks().shared());
        // Whoever asks in this life asks after the releases of the last one.
        let next = lock_of(&system.locks().acquire(request("a", "two", HOUR)).await.unwrap());
        assert_eq!(&*next.intent.owner.id, "two");
        assert_eq!((next.enqueued_at, shared.journal.book().len()), (None, 0));
        let shown = system.locks().show(entry).await.unwrap();
        assert!(matches!(shown.outcome, Err(Refusal::Gone(_))), "{shown:?}");
        system.stop();
    });
    store.close();
}

/// The store would answer, but is not believed: what it says is not waited for, and nothing reaches it.
#[test]
fn a_store_that_is_not_trusted_is_not_asked() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        let (queued, ticket) = bench.ticket("a", "two").await;
        let now = bench.locks().now();
        let reasons = [Hindrance::Store, Hindrance::Breaker, Hindrance::Sealed];
        // Probes are good, and would clear the first of them at once.
        let gate = Gate::new();
        bench.store.on_next_probe(ProbeFault::Hold(gate.clone(), None));
        gate.reached().await;
        for reason in reasons {
            bench.shared.service.hinder(reason, "for a test", now);
            let before = (bench.store.commits(), bench.store.loads());
            let locks = bench.locks();
            let renewed = locks.renew(entry, lock.token, Some(Span::from_secs(9000))).await.unwrap_err();
            assert_eq!(is_hold_only(&renewed).lease.unwrap().expires_at, lock.expires_at, "{reason:?}");
            is_hold_only(&locks.acquire(request("b", "one", Duration::ZERO)).await.unwrap_err());
            is_hold_only(&locks.show(entry).await.unwrap_err());
            assert!(matches!(locks.sight(entry).await.unwrap(), Sight::Unconfirmed(_)), "{reason:?}");
            assert!(matches!(locks.poll(queued, Duration::ZERO).await.unwrap(), Sight::Unconfirmed(_)));
            for seq in [lockkeeper_core::Seq(7), lock.seq] {
                // Neither denied nor given.
                is_hold_only(&locks.poll(EntryId { seq, ..entry }, Duration::ZERO).await.unwrap_err());
            }
            is_hold_only(&locks.sight(EntryId { seq: lockkeeper_core::Seq(7), ..entry }).await.unwrap_err());
            is_hold_only(&locks.cancel(queued, 1).await.unwrap_err());
            is_hold_only(&locks.force_release(entry, "by hand", 1).await.unwrap_err());
            is_hold_only(&locks.release_pull("", "acme/infra", 1, None).await.unwrap_err());
            assert_eq!((bench.store.commits(), bench.store.loads()), before, "{reason:?}");
            bench.shared.service.clear(reason, now);
        }
        gate.open();
        let shown = bench.locks().show(entry).await.unwrap();
        assert_eq!(shown.outcome, Ok(Reply::Lock(lock)));
        let polled = bench.locks().poll(queued, Duration::ZERO).await.unwrap();
        assert!(
            matches!(&polled, Sight::Confirmed(answer) if matches!(&answer.outcome,
                Ok(Reply::Standing(Standing::Queued { ticket: seen, .. })) if seen.seq == ticket.seq)),
            "{polled:?}"
        );
        bench
    });
}

/// It may have been renewed elsewhere, or be another's by now: that it is held is not said, that it
/// ended neither.
#[test]
fn a_lease_that_ends_while_the_store_is_away_is_neither_shown_nor_given_back() {
    run(async |bench| {
        let mut asked = request("a", "one", Duration::ZERO);
        asked.intent.ttl = Span::from_millis(300);
        let resource = asked.resource.id();
        let lock = lock_of(&bench.locks().acquire(asked).await.unwrap());
        let entry = EntryId { resource, seq: lock.seq };
        bench.away().await;
        eventually("the end of its lease", || lock.is_over(bench.locks().now())).await;
        let locks = bench.locks();
        is_hold_only(&locks.release(entry, lock.token, fresh_nonce()).await.unwrap_err());
        is_hold_only(&locks.sight(entry).await.unwrap_err());
        let refused = locks.renew(entry, lock.token, None).await.unwrap_err();
        assert_eq!(is_hold_only(&refused).lease.unwrap().expires_at, lock.expires_at);
        assert_eq!(bench.pending(), 0);
        bench.back();
        bench.grants().await;
        assert!(!bench.is_held(entry).await);
        bench
    });
}

/// The store is well, and nothing is granted for another reason: who waits has no ticket, and is served
/// as soon as it is over.
#[test]
fn whoever_waits_while_nothing_is_granted_has_no_ticket() {
    run(async |bench| {
        let (entry, lock) = bench.lock("held", "one").await;
        let now = bench.locks().now();
        for _ in 0..2 {
            bench.shared.service.hinder(Hindrance::Storm, "for a test", now);
            is_hold_only(&bench.locks().acquire(request("free", "now", Duration::ZERO)).await.unwrap_err());
            let in_vain = bench.locks().acquire(request("free", "briefly", Duration::from_millis(30)));
            is_hold_only(&ends(in_vain).await.unwrap_err());
            let parked = bench.waits(request("free", "patient", HOUR));
            eventually("a parked client", || bench.locks().waiting_clients() == 1).await;
            assert_eq!(bench.locks().view().len(), 1, "only what was held before");
            // What is held is kept up all the same.
            let renewed = bench.locks().renew(entry, lock.token, None).await.unwrap();
            assert!(matches!(renewed.outcome, Ok(Reply::Lock(_))), "{renewed:?}");
            bench.shared.service.clear(Hindrance::Storm, now);
            let answer = parked.await.unwrap().unwrap();
            let granted = lock_of(&answer);
            assert_eq!((&*granted.intent.owner.id, granted.enqueued_at), ("patient", None));
            let free = EntryId { resource: answer.resource.unwrap().id(), seq: granted.seq };
            let released =
                bench.locks().release(free, granted.token, fresh_nonce()).await.unwrap().now().unwrap();
            assert!(matches!(released.outcome, Ok(Reply::Released { granted_to: None, .. })), "{released:?}");
            eventually("an empty resource", || {
                bench.locks().view().get(free.resource).is_none_or(|document| !document.is_live())
            })
            .await;
        }
        bench
    });
}

#[test]
fn a_parked_client_that_leaves_leaves_nothing() {
    run(async |bench| {
        bench.away().await;
        let parked = bench.waits(request("a", "one", HOUR));
        eventually("a parked client", || bench.locks().waiting_clients() == 1).await;
        parked.abort();
        eventually("nobody", || bench.locks().waiting_clients() == 0).await;
        bench.back();
        bench.grants().await;
        let (entry, lock) = bench.lock("a", "two").await;
        assert!(bench.is_held(entry).await && lock.enqueued_at.is_none());
        bench
    });
}

#[test]
fn parked_clients_are_bounded_and_let_go_when_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    Bench::run(Options { max_waiting: 1, ..options(directory.path()) }, async |bench| {
        bench.away().await;
        let parked = bench.waits(request("a", "one", HOUR));
        eventually("a parked client", || bench.locks().waiting_clients() == 1).await;
        let refused = bench.locks().acquire(request("b", "one", HOUR)).await.unwrap_err();
        assert!(matches!(refused, Failure::Overloaded { limit: 1, .. }), "{refused:?}");
        bench.locks().begin_drain();
        assert_eq!(ends(parked).await.unwrap().unwrap_err(), Failure::ShuttingDown);
        bench
    });
}

/// Until when a lock can be fetched is no lease: whoever has fetched it since has one that may end
/// before, and the view need not have heard of it.
#[test]
fn a_refused_renewal_names_no_time_that_was_never_a_lease() {
    run(async |bench| {
        let (entry, lock) = bench.lock("a", "one").await;
        let (queued, _) = bench.ticket("a", "two").await;
        let released = bench.locks().release(entry, lock.token, fresh_nonce()).await;
        assert!(matches!(released, Ok(Released::Now(_))), "{released:?}");
        let (_, granted) = bench.locks().copy_of(queued).unwrap();
        assert!(granted.is_reserved() && granted.expires_at.is_some(), "{granted:?}");
        bench.away().await;
        let refused = bench.locks().renew(queued, granted.token, None).await.unwrap_err();
        assert_eq!(is_hold_only(&refused).lease, None);
        bench.back();
        bench.grants().await;
        bench
    });
}
