//! On a store that others write to: what is confirmed, what is followed, what is decided again.

use super::*;
use lockkeeper_core::Delta;
use lockkeeper_store::Moved;

/// Two engines on one shelf.
fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.engine = Engine::new(resource().id(), None).shared();
    desk
}

/// Another instance does something to the same shelf; gives what it committed.
fn elsewhere(desk: &mut Desk, work: impl FnOnce(&mut Desk) -> Commit) -> Vec<Delta> {
    let mut other =
        Desk { shelf: std::mem::take(&mut desk.shelf), nonces: 1000, now: desk.now, ..super::shared::desk() };
    let commit = work(&mut other);
    let deltas = commit.deltas.clone();
    other.carry_out(commit);
    desk.shelf = other.shelf;
    deltas
}

fn show(desk: &mut Desk, seq: Seq) -> Caller {
    let nonce = desk.nonce();
    desk.submit(Command::Show(seq), false, false, nonce)
}

#[test]
fn an_answer_that_changes_nothing_is_confirmed() {
    let mut desk = desk();
    let lock = desk.held();
    let asked = show(&mut desk, lock.seq);
    let commit = desk.commit();
    assert!(commit.deltas.is_empty());
    assert_eq!(commit.checks, [(resource().id(), desk.shelf.version)]);
    assert!(!asked.is_answered());
    desk.carry_out(commit);
    assert!(matches!(asked.outcome(), Ok(Reply::Lock(_))));
}

#[test]
fn an_old_copy_confirms_nothing() {
    let mut desk = desk();
    let lock = desk.held();
    elsewhere(&mut desk, |other| {
        other.release(&lock);
        assert_eq!(other.step(), Step::Load);
        other.load();
        other.commit()
    });
    let asked = show(&mut desk, lock.seq);
    desk.run();
    assert_eq!(asked.ended(), EndReason::Released);
}

#[test]
fn what_was_read_after_the_question_needs_no_confirmation() {
    let mut desk = desk();
    let lock = desk.held();
    let mut fresh = Desk { shelf: std::mem::take(&mut desk.shelf), ..super::shared::desk() };
    let asked = show(&mut fresh, lock.seq);
    assert_eq!(fresh.step(), Step::Load);
    // This one came after the look: it may not rest on it.
    let later = show(&mut fresh, lock.seq);
    fresh.load();
    let commit = fresh.commit();
    assert!(asked.is_answered() && !later.is_answered());
    assert_eq!(commit.checks.len(), 1);
    fresh.carry_out(commit);
    assert!(matches!(later.outcome(), Ok(Reply::Lock(_))));
    assert_eq!(fresh.shelf.confirmations, 1);
}

#[test]
fn a_free_resource_costs_one_commit() {
    let mut desk = desk();
    desk.engine = Engine::new(resource().id(), None).shared().assuming_absent();
    let asked = desk.ask(wish("a"));
    let commit = desk.commit();
    assert_eq!(commit.deltas[0].expected, None);
    desk.carry_out(commit);
    asked.caller.lock();
    // And where it is there after all, it is found.
    let mut other = Desk { shelf: std::mem::take(&mut desk.shelf), nonces: 100, ..super::shared::desk() };
    other.engine = Engine::new(resource().id(), None).shared().assuming_absent();
    let refused = other.ask(wish("b"));
    other.run();
    assert!(matches!(refused.caller.outcome(), Err(Refusal::Held { .. })));
}

#[test]
fn a_grant_elsewhere_reaches_the_client_that_waits_here() {
    let mut desk = desk();
    let lock = desk.held();
    let (asked, seq) = desk.waiting(wish("b").queue());
    let deltas = elsewhere(&mut desk, |other| {
        other.release(&lock);
        assert_eq!(other.step(), Step::Load);
        other.load();
        other.commit()
    });
    for delta in deltas {
        desk.engine.follow(delta, desk.now);
    }
    // It was reserved there; here it is claimed, in a commit, before anybody is told.
    assert!(!asked.caller.is_answered());
    desk.run();
    let lock = asked.caller.lock();
    assert_eq!((lock.seq, lock.is_reserved()), (seq, false));
}

#[test]
fn a_lost_hint_is_made_up_for_by_the_sweep() {
    let mut desk = desk();
    let lock = desk.held();
    let (asked, _) = desk.waiting(wish("b").queue());
    elsewhere(&mut desk, |other| {
        other.release(&lock);
        assert_eq!(other.step(), Step::Load);
        other.load();
        other.commit()
    });
    desk.engine.seen_in_store(desk.shelf.version);
    desk.run();
    asked.caller.lock();
}

#[test]
fn hints_that_come_twice_late_or_out_of_order_do_no_harm() {
    let mut desk = desk();
    let lock = desk.held();
    let mut told = Vec::new();
    for number in 0..3 {
        told.extend(elsewhere(&mut desk, |other| {
            other.ask(wish(&format!("w-{number}")).queue());
            assert_eq!(other.step(), Step::Load);
            other.load();
            other.commit()
        }));
    }
    let version = desk.shelf.version;
    for delta in [&told[0], &told[0]] {
        desk.engine.follow(delta.clone(), desk.now);
    }
    assert_eq!(desk.engine.document().unwrap().waiting(), 1);
    // One is left out: the copy is behind, and read again when somebody asks.
    desk.engine.follow(told[2].clone(), desk.now);
    assert!(!desk.engine.is_known());
    desk.engine.follow(told[1].clone(), desk.now);
    let asked = show(&mut desk, lock.seq);
    desk.run();
    assert!(matches!(asked.outcome(), Ok(Reply::Lock(_))));
    assert_eq!(desk.engine.document().unwrap().version(), version);
}

#[test]
fn changes_that_come_while_a_commit_is_under_way_are_followed_after_it() {
    let mut desk = desk();
    desk.held();
    desk.ask(wish("b").queue());
    let commit = desk.commit();
    let committed = desk.shelf.commit(commit);
    // The other instance is faster than our reply.
    let deltas = elsewhere(&mut desk, |other| {
        other.ask(wish("c").queue());
        assert_eq!(other.step(), Step::Load);
        other.load();
        other.commit()
    });
    desk.engine.follow(deltas[0].clone(), desk.now);
    desk.committed(Ok(committed));
    assert_eq!(desk.engine.document().unwrap().version(), desk.shelf.version);
    assert_eq!(desk.engine.document().unwrap().waiting(), 2);
}

#[test]
fn a_conflict_that_tells_what_came_between_needs_no_load() {
    let mut desk = desk();
    desk.held();
    let asked = desk.ask(wish("b").queue());
    let commit = desk.commit();
    let since = elsewhere(&mut desk, |other| {
        other.ask(wish("c").queue());
        assert_eq!(other.step(), Step::Load);
        other.load();
        other.commit()
    });
    let refused = desk.shelf.commit(commit);
    assert!(matches!(refused, Committed::Conflict(_)));
    let moved = vec![Moved { id: resource().id(), version: desk.shelf.version, since }];
    desk.committed(Ok(Committed::Conflict(Conflict { moved, unsure: false })));
    let commit = desk.commit();
    desk.carry_out(commit);
    asked.caller.ticket();
}

#[test]
fn what_came_too_late_is_decided_again() {
    let mut desk = desk();
    let asked = desk.ask(wish("a"));
    desk.load_first();
    let first = desk.commit();
    desk.committed(Ok(Committed::Late));
    desk.now = desk.now + MINUTE;
    let second = desk.commit();
    assert_eq!(second.now.since(first.now), MINUTE);
    desk.carry_out(second);
    assert_eq!(asked.caller.lock().acquired_at, desk.now);
}

#[test]
fn a_commit_that_may_have_been_lost_again_makes_no_second_ticket() {
    let mut desk = desk();
    desk.held();
    let asked = desk.ask(wish("b").queue());
    let commit = desk.commit();
    // It happened, and the store cannot say so any more.
    assert_eq!(desk.shelf.commit(commit), Committed::Done);
    let moved = vec![Moved { id: resource().id(), version: desk.shelf.version, since: Vec::new() }];
    desk.committed(Ok(Committed::Conflict(Conflict { moved, unsure: true })));
    desk.run();
    asked.caller.ticket();
    assert_eq!(desk.document().waiting(), 1);
}

#[test]
fn a_wait_that_ends_is_answered_by_the_store() {
    let mut desk = desk();
    let lock = desk.held();
    let (asked, seq) = desk.waiting(wish("b").queue());
    elsewhere(&mut desk, |other| {
        other.release(&lock);
        assert_eq!(other.step(), Step::Load);
        other.load();
        other.commit()
    });
    // No hint came.
    desk.engine.end_wait(asked.nonce, desk.now);
    assert!(!asked.caller.is_answered());
    desk.run();
    assert_eq!(asked.caller.lock().seq, seq);
}

#[test]
fn what_the_store_may_have_lost_is_not_called_unknown() {
    let mut desk = desk();
    let lock = desk.held();
    desk.shelf = Shelf::default();
    desk.now = desk.now + MINUTE;
    desk.known.generation = desk.now.as_millis();
    desk.lost_before = desk.now.as_millis();
    desk.engine.seen_in_store(None);
    let asked = show(&mut desk, lock.seq);
    desk.run();
    assert_eq!(asked.outcome(), Err(Refusal::Lost));
    let never = show(&mut desk, Seq(u64::MAX));
    desk.run();
    assert_eq!(never.outcome(), Err(Refusal::NotFound));
}

#[test]
fn what_is_confirmed_after_an_opening_is_written_in_the_new_generation() {
    let mut desk = desk();
    let lock = desk.held();
    desk.known.generation = 7;
    let asked = show(&mut desk, lock.seq);
    // Else a late write-back of another copy could still replace what is confirmed here.
    let commit = desk.commit();
    assert_eq!(commit.deltas.len(), 1);
    desk.carry_out(commit);
    assert!(matches!(asked.outcome(), Ok(Reply::Lock(_))));
    assert_eq!(desk.shelf.version.unwrap().generation, 7);
    show(&mut desk, lock.seq);
    assert!(desk.commit().deltas.is_empty());
}

#[test]
fn versions_take_on_the_stores_generation() {
    let mut desk = desk();
    desk.held();
    assert_eq!(desk.shelf.version.unwrap().generation, 0);
    desk.known.generation = 7;
    desk.ask(wish("b").queue());
    desk.run();
    assert_eq!(desk.shelf.version.unwrap().generation, 7);
}

impl Desk {
    fn load_first(&mut self) {
        assert_eq!(self.step(), Step::Load);
        self.load();
    }
}
