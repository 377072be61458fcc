//! What an engine was at when it panicked.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;

fn in_work(nonces: &[u64], undecided: bool) -> InWork {
    InWork { nonces: nonces.to_vec(), undecided }
}

/// A desk whose engine panics at the `nth` decision from now on.
fn panicking_at(nth: usize) -> Desk {
    let mut desk = Desk::open();
    let decisions = AtomicUsize::new(0);
    let engine = std::mem::replace(&mut desk.engine, Engine::new(resource().id(), None));
    desk.engine = engine.before_deciding(move || {
        assert_ne!(decisions.fetch_add(1, Ordering::Relaxed) + 1, nth, "planned");
    });
    desk
}

#[test]
fn the_command_that_panics_is_known() {
    let mut desk = panicking_at(2);
    let asked: Vec<Asked> = ["a", "b", "c"].into_iter().map(|owner| desk.ask(wish(owner))).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| desk.step())).is_err());
    assert_eq!(desk.engine.in_work(), in_work(&[asked[1].nonce], true));
    assert!(asked.iter().all(|asked| !asked.caller.is_answered()));
}

#[test]
fn what_is_in_flight_is_in_work_until_it_is_answered() {
    let mut desk = Desk::open();
    let asked: Vec<Asked> = ["a", "b"].into_iter().map(|owner| desk.ask(wish(owner))).collect();
    let commit = desk.commit();
    let nonces = [asked[0].nonce, asked[1].nonce];
    assert_eq!(desk.engine.in_work(), in_work(&nonces, false));
    desk.ask(wish("c"));
    assert_eq!(desk.engine.in_work(), in_work(&nonces, false), "it only waits");
    desk.carry_out(commit);
    assert_eq!(desk.engine.in_work().nonces, [0; 0]);
}

#[test]
fn one_by_one_each_command_has_its_own_commit() {
    let mut desk = Desk::open();
    desk.engine.decide_one_by_one(true);
    let asked: Vec<Asked> = ["a", "b", "c"].into_iter().map(|owner| desk.ask(wish(owner).queue())).collect();
    let commit = desk.commit();
    assert_eq!(desk.engine.in_work(), in_work(&[asked[0].nonce], false));
    desk.carry_out(commit);
    assert!(asked[0].caller.is_answered() && !asked[1].caller.is_answered());
    desk.engine.decide_one_by_one(false);
    let commit = desk.commit();
    desk.carry_out(commit);
    assert!(asked[1].caller.is_answered() && asked[2].caller.is_answered());
}
