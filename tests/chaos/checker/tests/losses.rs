//! What a loss of data may take: only what no living instance knew.

use super::super::kit::{RESOURCE, Story, acquired, ask, lock, refused};
use crate::chaos::history::Answer;

/// Held by the word of instance 0, and then the store loses everything.
fn held_and_lost() -> Story {
    Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 10_000))).loss(1000..3000)
}

fn given_to_another(story: Story) -> Story {
    story.acquire(4000..4010, ask("b"), acquired(lock("B", "b", 2, 1000)))
}

#[test]
fn what_a_living_instance_answered_is_kept() {
    given_to_another(held_and_lost()).breaks("exclusion", RESOURCE);
    held_and_lost().renew(4000..4010, "A", refused(410, "lost")).breaks("nothing lost", "a living instance");
    held_and_lost().renew(4000..4010, "A", refused(404, "not_found")).breaks("nothing lost", "forgotten");
    held_and_lost().renew(4000..4010, "A", Answer::Lock(lock("A", "a", 1, 10_000))).holds();
}

#[test]
fn what_only_the_dead_knew_may_be_lost() {
    let died = || held_and_lost().absence(0, 500..2000);
    given_to_another(died()).holds();
    died().renew(4000..4010, "A", refused(410, "lost")).holds();
    died().renew(4000..4010, "A", refused(404, "not_found")).holds();
    // But its client was safe until then.
    died().acquire(700..710, ask("b"), acquired(lock("B", "b", 2, 1000))).breaks("exclusion", RESOURCE);
}

#[test]
fn the_paused_write_nothing_back() {
    given_to_another(held_and_lost().absence(0, 500..3500)).holds();
}

#[test]
fn whoever_was_back_before_the_loss_knows_everything() {
    given_to_another(held_and_lost().absence(0, 100..900)).breaks("exclusion", RESOURCE);
}

#[test]
fn the_death_of_another_instance_excuses_nothing() {
    given_to_another(held_and_lost().absence(1, 500..2000)).breaks("exclusion", RESOURCE);
}

#[test]
fn whoever_died_before_it_answered_knows_it_again() {
    given_to_another(
        Story::new()
            .absence(0, 0..90)
            .acquire(100..110, ask("a"), acquired(lock("A", "a", 1, 10_000)))
            .loss(1000..3000),
    )
    .breaks("exclusion", RESOURCE);
}

#[test]
fn a_renewal_by_a_living_instance_keeps_what_another_granted() {
    let renewed = Answer::Lock(lock("A", "a", 1, 10_000));
    let call = crate::chaos::history::Call::Renew { id: "A".into(), token: 1 };
    given_to_another(held_and_lost().absence(0, 500..2000).op_at(1, 400..410, call, renewed))
        .breaks("exclusion", RESOURCE);
}

#[test]
fn a_release_that_only_the_dead_knew_may_be_undone() {
    let story = || {
        held_and_lost().release(800..810, lock("A", "a", 1, 9000), None).show(
            4000..4010,
            "A",
            Answer::Lock(lock("A", "a", 1, 6000)),
        )
    };
    story().breaks("nothing lost", "came back");
    story().absence(0, 900..2000).holds();
}

#[test]
fn tokens_grow_over_every_loss() {
    held_and_lost()
        .absence(0, 500..2000)
        .acquire(4000..4010, ask("b"), acquired(lock("B", "b", 1, 1000)))
        .breaks("tokens", "token 1");
}
