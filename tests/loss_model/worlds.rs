//! The worlds in which schedules are tried.

use super::rules::Rules;
use super::setup::{Budget, Setup};

const MUCH: Budget = Budget {
    ticks: 30,
    operations: 12,
    retries: 6,
    impatience: 6,
    forced: 2,
    pauses: 3,
    crashes: 2,
    failovers: 3,
    splits: 0,
    restarts: 1,
    empties: 1,
    flushes: 1,
    evictions: 1,
    skews: 0,
};

const LITTLE: Budget = Budget {
    ticks: 8,
    operations: 6,
    retries: 3,
    impatience: 2,
    forced: 2,
    pauses: 2,
    crashes: 1,
    failovers: 2,
    ..Budget::NONE
};

/// Time enough for empty documents to be deleted.
const SLOW: Budget = Budget {
    ticks: 20,
    operations: 6,
    retries: 2,
    impatience: 1,
    forced: 1,
    pauses: 2,
    crashes: 1,
    failovers: 1,
    flushes: 1,
    ..Budget::NONE
};

const FEW: Budget = Budget { ticks: 2, operations: 2, ..Budget::NONE };
pub(super) const ONE_FAILOVER: Budget = Budget { failovers: 1, operations: 3, ..FEW };
pub(super) const ONE_FLUSH: Budget = Budget { flushes: 1, operations: 3, ..FEW };
pub(super) const ONE_PAUSE: Budget = Budget { failovers: 1, pauses: 1, ..FEW };

/// Worlds that are small enough to try everything in them.
pub(super) const SMALL: [Budget; 5] = [
    ONE_FAILOVER,
    ONE_FLUSH,
    ONE_PAUSE,
    Budget { failovers: 1, ticks: 3, ..FEW },
    Budget { failovers: 1, retries: 1, ..FEW },
];

/// As above, for who has minutes.
pub(super) const LARGER: [Budget; 3] = [
    Budget { failovers: 1, crashes: 1, ..FEW },
    Budget { failovers: 1, pauses: 1, operations: 3, ..FEW },
    Budget { failovers: 2, ticks: 3, ..FEW },
];

/// Three instances, two clients, and all that can go wrong.
pub(super) fn wild(rules: Rules) -> Setup {
    Setup {
        rules,
        instances: 3,
        clients: 2,
        min_replicas: false,
        leases: false,
        deletes: false,
        hints: true,
        coarse: false,
        budget: MUCH,
        steps_max: 150,
    }
}

pub(super) fn wild_with_leases(rules: Rules) -> Setup {
    Setup { leases: true, budget: Budget { skews: 1, ..MUCH }, ..wild(rules) }
}

pub(super) fn wild_with_deletes(rules: Rules) -> Setup {
    Setup { deletes: true, ..wild(rules) }
}

/// Answers wait for the replica, and a master may be cut off without knowing it.
pub(super) fn wild_with_replicas(rules: Rules) -> Setup {
    Setup { min_replicas: true, budget: Budget { splits: 1, ..MUCH }, ..wild(rules) }
}

/// Fewer things at once, so that rare ones come about.
pub(super) fn narrow(rules: Rules) -> Setup {
    Setup { budget: LITTLE, steps_max: 100, ..wild(rules) }
}

pub(super) fn narrow_with_replicas(rules: Rules) -> Setup {
    Setup { min_replicas: true, budget: Budget { splits: 1, ..LITTLE }, ..narrow(rules) }
}

pub(super) fn slow(rules: Rules) -> Setup {
    Setup { instances: 2, deletes: true, budget: SLOW, ..wild(rules) }
}

pub(super) fn slow_without_hints(rules: Rules) -> Setup {
    Setup { hints: false, ..slow(rules) }
}

/// One client, who meets only itself.
pub(super) fn slow_and_lonely(rules: Rules) -> Setup {
    Setup { clients: 1, ..slow_without_hints(rules) }
}

/// Small enough to try everything: two instances, two clients, larger steps.
pub(super) fn small(rules: Rules, budget: Budget) -> Setup {
    Setup { instances: 2, hints: false, coarse: true, budget, ..wild(rules) }
}
