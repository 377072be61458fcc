//! What a client asks for.

use super::Worker;
use crate::chaos::catalog::{Wanted, key};
use crate::chaos::history::Ask;

impl Worker {
    /// An ask, and whether many want the same.
    pub(super) fn choose_ask(&mut self) -> (Ask, bool) {
        let dice = &mut self.dice;
        let wanted = Wanted::choose(dice);
        let number = self.world.next_ask();
        let ttl_ms = match dice.below(20) {
            // A hold, which no clock ends.
            0..3 => 0,
            // Shorter than most pauses and outages.
            3..8 => 400 + 200 * dice.below(5) as u64,
            8..15 => 2000,
            15..18 => 5000,
            // Longer than all of them.
            _ => 30_000,
        };
        let queue = dice.percent(if wanted.hot { 80 } else { 40 });
        // Nobody could come back for a hold whose answer was lost.
        let repeatable = ttl_ms == 0 || ttl_ms > 5000 || dice.percent(85);
        let ask = Ask {
            resource: key(&wanted.namespace, &wanted.path),
            namespace: wanted.namespace,
            path: wanted.path,
            owner: format!("c{}-{number}", self.number).into(),
            pull: number,
            mode: wanted.mode,
            priority: dice.pick(&[0, 1, 1, 1, 1, 1, 2, 3]),
            ttl_ms,
            queue,
            queue_timeout_ms: dice.pick(&[600, 4000, 8000, 20_000, 20_000]),
            attended: dice.percent(80),
            reentrant: dice.percent(70),
            request_id: repeatable.then(|| format!("r{number}").into()),
        };
        (ask, wanted.hot)
    }
}
