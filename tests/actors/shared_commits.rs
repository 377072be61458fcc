//! A commit of one instance goes wrong at an exact point, while another instance looks on.

use super::shared::{Place, Side, WINDOW, options, with_two, with_two_at};
use super::{lock_of, release, request, resource};
use lockkeeper_actors::{AcquireRequest, Answer, Failure};
use lockkeeper_core::{EntryId, Refusal, RequestKey, RequestRef, Span};
use lockkeeper_store::StoreError;
use lockkeeper_store::faulty::{Fault, Gate};
use std::sync::Arc;
use std::time::Duration;

/// A request that can be repeated anywhere, and does not wait.
fn repeatable(path: &str, owner: &str) -> AcquireRequest {
    let mut request = request(path, owner);
    request.intent.requests = Arc::new(vec![RequestRef { key: RequestKey(1, 2), digest: 3 }]);
    request.queue = false;
    request.wait = Duration::ZERO;
    request
}

fn impatient(path: &str, owner: &str) -> AcquireRequest {
    AcquireRequest { queue: false, wait: Duration::ZERO, ..request(path, owner) }
}

fn refusal(answer: Result<Answer, Failure>) -> Refusal {
    answer.unwrap().outcome.unwrap_err()
}

fn spawn_acquire(side: &Side, request: AcquireRequest) -> tokio::task::JoinHandle<Result<Answer, Failure>> {
    let side = side.clone();
    actix_rt::spawn(async move { side.acquire(request).await })
}

#[test]
fn a_lost_reply_is_told_as_unknown_and_found_by_whoever_is_asked_next() {
    with_two(|one, other| async move {
        one.store.on_next_commit(Fault::LoseReply);
        let unknown = one.acquire(repeatable("p", "first")).await.unwrap_err();
        assert!(matches!(unknown, Failure::OutcomeUnknown(_)), "{unknown}");
        let found = lock_of(&other.acquire(repeatable("p", "first")).await.unwrap());
        let again = lock_of(&one.acquire(repeatable("p", "first")).await.unwrap());
        assert_eq!((found.seq, found.token), (again.seq, again.token));
        assert!(matches!(refusal(other.acquire(impatient("p", "second")).await), Refusal::Held { .. }));
        release(&other, "p", &found).await;
    });
}

#[test]
fn a_lost_request_is_told_as_unknown_and_leaves_the_resource_free() {
    with_two(|one, other| async move {
        one.store.on_next_commit(Fault::LoseRequest);
        let unknown = one.acquire(repeatable("p", "first")).await.unwrap_err();
        assert!(matches!(unknown, Failure::OutcomeUnknown(_)), "{unknown}");
        let second = lock_of(&other.acquire(impatient("p", "second")).await.unwrap());
        // Repeated, it is a request like any other.
        assert!(matches!(refusal(one.acquire(repeatable("p", "first")).await), Refusal::Held { .. }));
        release(&one, "p", &second).await;
    });
}

#[test]
fn a_refused_commit_is_told_as_such_and_nothing_is_there() {
    with_two(|one, other| async move {
        let why = StoreError::Unavailable("planned".into());
        one.store.on_next_commit(Fault::Refuse(why));
        let refused = one.acquire(repeatable("p", "first")).await.unwrap_err();
        assert!(matches!(&refused, Failure::HoldOnly(why) if why.reason == "planned"), "{refused:?}");
        lock_of(&other.acquire(impatient("p", "second")).await.unwrap());
    });
}

/// One decides that it is free; before its commit lands another instance has taken it.
#[test]
fn a_commit_that_comes_second_is_decided_again() {
    with_two(|one, other| async move {
        let gate = Gate::new();
        one.store.on_next_commit(Fault::HoldBefore(gate.clone()));
        let slow = spawn_acquire(&one, impatient("p", "slow"));
        gate.reached().await;
        let quick = lock_of(&other.acquire(impatient("p", "quick")).await.unwrap());
        gate.open();
        let Refusal::Held { holders, .. } = refusal(slow.await.unwrap()) else { panic!("not held") };
        assert_eq!(holders[0].token, quick.token);
        release(&one, "p", &quick).await;
    });
}

/// The same with a queue: the slow one gets its place behind, and its turn.
#[test]
fn a_waiting_client_whose_commit_comes_second_is_served_next() {
    with_two(|one, other| async move {
        let gate = Gate::new();
        one.store.on_next_commit(Fault::HoldBefore(gate.clone()));
        let slow = spawn_acquire(&one, request("p", "slow"));
        gate.reached().await;
        let quick = lock_of(&other.acquire(impatient("p", "quick")).await.unwrap());
        gate.open();
        crate::support::eventually("its ticket", async || {
            other.sees("p").filter(|document| document.waiting() == 1).map(drop)
        })
        .await;
        release(&other, "p", &quick).await;
        let lock = lock_of(&slow.await.unwrap().unwrap());
        assert!(lock.token > quick.token);
    });
}

/// A commit on its way for longer than the window lands no more: it is decided again, by the clock
/// as it is now, and the lease begins then.
#[test]
fn a_commit_that_comes_late_is_decided_again_by_the_present_clock() {
    with_two(|one, other| async move {
        let gate = Gate::new();
        one.store.on_next_commit(Fault::HoldBefore(gate.clone()));
        let slow = spawn_acquire(&one, impatient("p", "slow"));
        gate.reached().await;
        let before = one.store.commits();
        let opened_at = other.passes(Span::from_micros(2 * WINDOW.as_micros() as u64)).await;
        gate.open();
        let lock = lock_of(&slow.await.unwrap().unwrap());
        assert!(
            lock.acquired_at >= opened_at - Span::from_millis(50),
            "{:?} before {opened_at:?}",
            lock.acquired_at
        );
        assert!(one.store.commits() > before, "the late one landed");
    });
}

/// The commit is done, and its answer held up while another instance ends the lock: it is not
/// confirmed any more.
#[test]
fn an_answer_that_waited_is_not_given_unconfirmed() {
    let places = |redis: &lockkeeper_store::testing::RedisServer| {
        ["one", "other"].map(|name| {
            let options =
                lockkeeper_actors::Options { answer_max_age: Duration::from_millis(100), ..options(name) };
            Place { url: redis.url(), skew_micros: 0, options }
        })
    };
    with_two_at(places, |one, other| async move {
        let gate = Gate::new();
        one.store.on_next_commit(Fault::HoldAfter(gate.clone()));
        let held_up = spawn_acquire(&one, impatient("p", "first"));
        gate.reached().await;
        other.comes_to_see("p", true).await;
        let lock = other.sees("p").unwrap().locks().next().cloned().unwrap();
        release(&other, "p", &lock).await;
        let second = lock_of(&other.acquire(impatient("p", "second")).await.unwrap());
        other.passes(Span::from_millis(200)).await;
        gate.open();
        let told = refusal(held_up.await.unwrap());
        assert!(matches!(&told, Refusal::Gone(ended) if ended.reason.as_str() == "released"), "{told:?}");
        let id = EntryId { resource: resource("p").id(), seq: second.seq };
        assert!(one.show(id).await.unwrap().outcome.is_ok());
    });
}

/// Its outcome unknown, the commit lands after others have looked: who asks again finds it.
#[test]
fn a_release_whose_reply_is_lost_is_not_done_twice() {
    with_two(|one, other| async move {
        let lock = lock_of(&one.acquire(impatient("p", "first")).await.unwrap());
        one.store.on_next_commit(Fault::LoseReply);
        let id = EntryId { resource: resource("p").id(), seq: lock.seq };
        let unknown = one.release(id, lock.token, 77).await.unwrap_err();
        assert!(matches!(unknown, Failure::OutcomeUnknown(_)), "{unknown}");
        let second = lock_of(&other.acquire(impatient("p", "second")).await.unwrap());
        // The same release once more: of what it released, not of what is held now.
        let again = one.release(id, lock.token, 77).await.unwrap().now().unwrap();
        assert!(
            matches!(again.outcome, Ok(lockkeeper_core::Reply::Released { .. }) | Err(Refusal::Gone(_))),
            "{again:?}"
        );
        let id = EntryId { resource: resource("p").id(), seq: second.seq };
        assert!(one.show(id).await.unwrap().outcome.is_ok());
    });
}

/// The clocks of two instances' machines are a quarter of an hour apart; that of the store decides.
#[test]
fn instances_whose_clocks_are_minutes_apart_agree() {
    const MINUTES: i64 = 60_000_000;
    let places = |redis: &lockkeeper_store::testing::RedisServer| {
        [("one", 8 * MINUTES), ("other", -7 * MINUTES)].map(|(name, skew_micros)| Place {
            url: redis.url(),
            skew_micros,
            options: options(name),
        })
    };
    with_two_at(places, |one, other| async move {
        let mut token = 0;
        for round in 0..10 {
            let (from, to) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
            let lock = lock_of(&from.acquire(impatient("p", "first")).await.unwrap());
            assert!(lock.token > token);
            token = lock.token;
            assert!(matches!(refusal(to.acquire(impatient("p", "second")).await), Refusal::Held { .. }));
            release(to, "p", &lock).await;
        }
        // A lease ends for both at the same instant of the store's clock, whoever granted it.
        for (from, to) in [(&one, &other), (&other, &one)] {
            let mut short = impatient("q", "first");
            short.intent.ttl = Span::from_millis(400);
            let lock = lock_of(&from.acquire(short).await.unwrap());
            let next = lock_of(&to.acquire(request("q", "second")).await.unwrap());
            let grace = options("").rules.lease_grace;
            let ended_at = lock.acquired_at + Span::from_millis(400) + grace;
            assert!(next.acquired_at >= ended_at, "{:?} before {ended_at:?}", next.acquired_at);
            let id = EntryId { resource: resource("q").id(), seq: lock.seq };
            let told = refusal(from.show(id).await);
            assert!(matches!(&told, Refusal::Gone(ended) if ended.reason.as_str() == "expired"), "{told:?}");
            release(from, "q", &next).await;
        }
        let apart = one.now().as_micros().abs_diff(other.now().as_micros());
        assert!(apart < 2 * WINDOW.as_micros() as u64, "{apart} µs apart");
    });
}
