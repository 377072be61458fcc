//! Who cannot ask its store knows nothing; who was told to grant nothing grants nothing.

use super::super::kit::{Story, acquired, ask, lock, queued, refused, refused_until};
use crate::chaos::history::{Answer, Ask, Call, Limit};
use std::sync::Arc;

fn cut_off() -> Story {
    Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 60_000))).limited(
        0,
        Limit::CutOff,
        100..200,
    )
}

fn switched_off() -> Story {
    Story::new().limited(0, Limit::SwitchedOff, 100..200)
}

#[test]
fn an_instance_that_is_cut_off_confirms_nothing() {
    let shown = || Answer::Lock(lock("A", "a", 1, 60_000));
    for during in [50..150, 90..210, 150..250] {
        cut_off().show(during, "A", shown()).holds();
    }
    cut_off().show(120..150, "A", shown()).breaks("limits", "cannot ask its store");
    cut_off().op_at(1, 120..150, Call::Show { id: "A".into() }, shown()).holds();
    cut_off().show(120..150, "A", Answer::Unconfirmed(lock("A", "a", 1, 60_000))).holds();
    cut_off().renew(120..150, "A", refused_until(Some(60_000))).holds();
    cut_off().release(120..150, lock("A", "a", 1, 60_000), None).breaks("limits", "cannot ask its store");
    let waits = Ask { queue: true, ..ask("b") };
    cut_off().acquire(120..150, waits, queued("B", "b")).breaks("limits", "cannot ask its store");
}

#[test]
fn an_instance_that_is_cut_off_denies_nothing() {
    let gone = || refused(404, "not_found");
    cut_off().show(120..150, "B", gone()).breaks("limits", "cannot ask its store");
    let held = Ask { queue: false, ..ask("b") };
    cut_off().acquire(120..150, held, refused(409, "held")).breaks("limits", "cannot ask its store");
    cut_off().show(120..150, "B", refused(503, "backend_unavailable")).holds();
}

#[test]
fn an_instance_that_is_switched_off_grants_nothing() {
    let taken = || acquired(lock("A", "a", 1, 60_000));
    switched_off().acquire(120..150, ask("a"), taken()).breaks("limits", "told to grant nothing");
    switched_off().acquire(90..150, ask("a"), taken()).holds();
    // What an earlier sending led to is told of.
    switched_off()
        .acquire(80..95, ask("a"), Answer::Lost("timeout"))
        .acquire(120..150, ask("a"), taken())
        .holds();
    switched_off()
        .acquire(80..95, ask("a"), refused(503, "shutting_down"))
        .acquire(120..150, ask("a"), taken())
        .breaks("limits", "told to grant nothing");
    let acquire = Call::Acquire { ask: Arc::new(ask("a")), wait_ms: 0 };
    switched_off().op_at(1, 120..150, acquire, taken()).holds();
}

#[test]
fn an_instance_that_is_switched_off_hands_nothing_on() {
    let queue = || {
        switched_off().acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 60_000))).acquire(
            20..30,
            ask("b"),
            queued("B", "b"),
        )
    };
    let story = || queue().poll(210..220, "B", queued("B", "b"));
    let next = Some(lock("B", "b", 2, 1000));
    let release = lock("A", "a", 1, 60_000);
    let keyed = Call::Release { id: "A".into(), token: 1, key: Some("k".into()) };
    let released = Answer::Released { lock: release.clone(), granted_to: next.clone() };
    // What was carried out elsewhere before is told again.
    queue().op_at(1, 110..120, keyed.clone(), Answer::Lost("vanished")).op(120..150, keyed, released).holds();
    queue().release(120..150, release.clone(), next).breaks("limits", "told to grant nothing");
    // The ticket keeps its place: that nobody is next is in order, as long as it lasts.
    story().release(120..150, release.clone(), None).holds();
    story().release(70..80, release, None).breaks("handoff", "was passed over");
}
