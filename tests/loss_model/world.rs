//! A state of the world, and what may happen next in it.

use super::instance::{Health, Instance, Pending, Purpose, Stage};
use super::promises::{Knowers, Promises};
use super::redis::Redis;
use super::rules::Rule;
use super::script::{Commit, Document, Outcome, Version};
use super::setup::{ATTEMPTS, Budget, GRACE, SETTLE, SETTLE_MAX, STALE, Setup};

/// Messages of one kind that may be under way; more hints are lost.
const UNDER_WAY_MAX: usize = 3;

/// One step. Numbers: `i` a slot of an instance, `c` a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Tick,
    Acquire {
        i: u8,
        c: u8,
    },
    Renew {
        i: u8,
        c: u8,
    },
    /// A client asks whether it still holds.
    Confirm {
        i: u8,
        c: u8,
    },
    Release {
        i: u8,
        c: u8,
    },
    /// An operator ends the hold.
    Force {
        i: u8,
    },
    Delete {
        i: u8,
    },
    /// A commit arrives at the master, or at the one that is cut off.
    Arrive {
        nonce: u8,
        attempt: u8,
        split: bool,
    },
    /// Its reply arrives.
    Reply {
        nonce: u8,
        attempt: u8,
    },
    /// The same commit is sent again.
    Retry {
        i: u8,
    },
    GiveUp {
        i: u8,
    },
    /// The client does not wait any longer; the commit goes on.
    HangUp {
        i: u8,
    },
    /// The replicas that were waited for have it.
    Waited {
        i: u8,
    },
    Hint {
        i: u8,
        version: Version,
    },
    /// An instance looks at marker, note and document; it signs if the partition is sealed.
    Look {
        i: u8,
    },
    WriteBack {
        i: u8,
    },
    Finish {
        i: u8,
    },
    Open {
        i: u8,
    },
    WriteBackLate {
        i: u8,
    },
    Pause {
        i: u8,
    },
    Resume {
        i: u8,
    },
    Crash {
        i: u8,
    },
    Join {
        i: u8,
    },
    ClockJumps {
        i: u8,
    },
    Replicate,
    FailOver,
    /// The old master runs on, cut off.
    FailOverSplit,
    Heal,
    Restart,
    RestartEmpty,
    Flush,
    Evict,
}

/// A commit under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) commit: Commit,
    pub(super) attempt: u8,
    /// The life that sent it, and when.
    pub(super) life: u8,
    pub(super) sent_at: u8,
}

/// A reply under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) nonce: u8,
    pub(super) attempt: u8,
    pub(super) life: u8,
    /// When the request was sent.
    pub(super) sent_at: u8,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) time: u8,
    pub(super) redis: Redis,
    pub(super) instances: Vec<Instance>,
    pub(super) promises: Promises,
    pub(super) requests: Vec<Request>,
    pub(super) replies: Vec<Reply>,
    /// Hints under way.
    pub(super) hints: Vec<(u8, Document)>,
    pub(super) left: Budget,
    pub(super) last_nonce: u8,
    pub(super) last_life: u8,
    pub(super) last_note: u8,
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            time: 1,
            redis: Redis::new(),
            instances: (0..setup.instances).map(|slot| Instance::new(slot + 1, 1)).collect(),
            promises: Promises::new(setup.clients),
            requests: Vec::new(),
            replies: Vec::new(),
            hints: Vec::new(),
            left: setup.budget,
            last_nonce: 0,
            last_life: setup.instances,
            last_note: 0,
        }
    }

    pub(super) fn is_open(&self, setup: &Setup) -> bool {
        self.redis.data().open(self.redis.site(setup.rules, self.time)).is_some()
    }

    /// The number of the seal note, if it counts.
    pub(super) fn note_number(&self, setup: &Setup) -> Option<u8> {
        let counts = |replid| replid == self.redis.replid || !setup.rules.has(Rule::NoteStartsOver);
        let note = self.redis.data().note.as_ref()?;
        counts(note.replid).then_some(note.number)
    }

    pub(super) fn knowers(&self) -> Knowers {
        let of = |it: &Instance| (it.prompt && it.health != Health::Dead, it.promised(), it.version());
        self.instances.iter().map(of).collect()
    }

    pub(super) fn pending_of(&self, nonce: u8) -> Option<usize> {
        let is = |pending: &Pending| pending.commit.nonce == nonce;
        self.instances.iter().position(|it| it.pending.as_ref().is_some_and(is))
    }

    /// All that may happen now.
    pub(super) fn actions(&self, setup: &Setup) -> Vec<Action> {
        let mut all = Vec::with_capacity(32);
        if self.left.ticks > 0 && !self.is_somebody_due(setup) {
            all.push(Action::Tick);
        }
        for i in 0..setup.instances {
            self.actions_of(i, setup, &mut all);
        }
        self.network(&mut all);
        self.accidents(setup, &mut all);
        all
    }

    /// Whoever is neither paused nor dead does its part in time: that is what the windows are for.
    fn is_somebody_due(&self, setup: &Setup) -> bool {
        let next = self.time + 1;
        let sealed = !self.is_open(setup);
        let number = self.note_number(setup);
        let since = self.promises.lost_at;
        self.instances.iter().filter(|it| it.is_up()).any(|it| {
            let signed = number.is_some() && it.sealing == number;
            let finished = signed && it.stage == Stage::Finished;
            let must_sign = it.prompt && sealed && !signed && next >= since + SETTLE;
            let must_finish = it.prompt && sealed && !finished && next >= since + SETTLE_MAX;
            let must_look = setup.deletes && next >= it.looked + STALE;
            must_sign || must_finish || must_look
        })
    }

    fn actions_of(&self, i: u8, setup: &Setup, all: &mut Vec<Action>) {
        let it = &self.instances[usize::from(i)];
        match it.health {
            Health::Dead => {
                all.push(Action::Join { i });
                return;
            }
            Health::Paused => {
                all.push(Action::Resume { i });
                return;
            }
            Health::Up => {}
        }
        all.push(Action::Look { i });
        if self.left.pauses > 0 {
            all.push(Action::Pause { i });
        }
        if self.left.crashes > 0 {
            all.push(Action::Crash { i });
        }
        if self.left.skews > 0 && it.skew == 0 {
            all.push(Action::ClockJumps { i });
        }
        self.commits_of(i, it, setup, all);
        let sealed = !self.is_open(setup);
        if it.sealing.is_some() {
            let writes = it.writes_back(setup.rules);
            if it.stage == Stage::Signed && writes {
                all.push(Action::WriteBack { i });
            }
            let early = !writes || !setup.rules.has(Rule::FinishedAfterWriting);
            if it.stage == Stage::Written || (it.stage == Stage::Signed && early) {
                all.push(Action::Finish { i });
            }
            if it.stage == Stage::Finished && sealed {
                all.push(Action::Open { i });
            }
        } else if let Some(copy) = it.copy
            && !sealed
            && copy.version.generation < it.generation
            && self.redis.data().document.is_none_or(|stored| copy.version > stored.version)
            && setup.rules.has(Rule::WriteBack)
        {
            all.push(Action::WriteBackLate { i });
        }
    }

    fn commits_of(&self, i: u8, it: &Instance, setup: &Setup, all: &mut Vec<Action>) {
        if let Some(pending) = &it.pending {
            if pending.done.is_some() {
                all.push(Action::Waited { i });
            } else if pending.sent < ATTEMPTS && self.left.retries > 0 {
                all.push(Action::Retry { i });
            }
            if self.left.impatience == 0 {
                return;
            }
            all.push(Action::GiveUp { i });
            if pending.heard && matches!(pending.purpose, Purpose::Hold { .. }) {
                all.push(Action::HangUp { i });
            }
            return;
        }
        if it.sealing.is_some() {
            return;
        }
        let now = self.time + it.skew;
        let holder = it.copy.and_then(|copy| copy.holder);
        if setup.deletes && it.copy.is_some_and(|copy| copy.may_be_deleted(now, it.generation, setup.rules)) {
            all.push(Action::Delete { i });
        }
        if self.left.forced > 0 && holder.is_some() {
            all.push(Action::Force { i });
        }
        if self.left.operations == 0 {
            return;
        }
        // At first all are alike.
        let first = setup.coarse && self.last_nonce == 0;
        for c in 0..if first { u8::from(i == 0) } else { setup.clients } {
            if self.is_waiting(c) {
                continue;
            }
            let believes = self.promises.beliefs[usize::from(c)].is_some();
            let mine = holder.filter(|holder| holder.client == c && now < holder.until);
            let free = holder.is_none_or(|holder| now >= holder.until.saturating_add(GRACE));
            if free && !believes {
                all.push(Action::Acquire { i, c });
            }
            if mine.is_some() {
                all.push(Action::Confirm { i, c });
                if setup.leases {
                    all.push(Action::Renew { i, c });
                }
                if believes {
                    all.push(Action::Release { i, c });
                }
            }
        }
    }

    fn is_waiting(&self, c: u8) -> bool {
        self.instances.iter().filter_map(|it| it.pending.as_ref()).any(|pending| {
            pending.heard && matches!(pending.purpose, Purpose::Hold { client } if client == c)
        })
    }

    fn network(&self, all: &mut Vec<Action>) {
        for request in &self.requests {
            let (nonce, attempt) = (request.commit.nonce, request.attempt);
            all.push(Action::Arrive { nonce, attempt, split: false });
            if self.redis.split.is_some() {
                all.push(Action::Arrive { nonce, attempt, split: true });
            }
        }
        for reply in &self.replies {
            if self.instances.iter().any(|it| it.life == reply.life && it.is_up()) {
                all.push(Action::Reply { nonce: reply.nonce, attempt: reply.attempt });
            }
        }
        for (i, document) in &self.hints {
            if self.instances[usize::from(*i)].is_up() {
                all.push(Action::Hint { i: *i, version: document.version });
            }
        }
    }

    fn accidents(&self, setup: &Setup, all: &mut Vec<Action>) {
        let left = &self.left;
        let alone = self.redis.split.is_none();
        // Where no replica can take over any more nobody sees what it has.
        let matters = setup.min_replicas || left.failovers > 0 || left.splits > 0;
        if alone && matters && !self.redis.is_replicated() {
            all.push(Action::Replicate);
        }
        if !alone {
            all.push(Action::Heal);
        }
        for (count, action) in [
            (left.failovers, Action::FailOver),
            (left.splits, Action::FailOverSplit),
            (left.restarts, Action::Restart),
            (left.empties, Action::RestartEmpty),
            (left.flushes, Action::Flush),
            (left.evictions, Action::Evict),
        ] {
            let fails_over = matches!(action, Action::FailOver | Action::FailOverSplit);
            // A document that vanishes while it is written back is a limit, not a promise.
            let unseen = action == Action::Evict && !self.is_open(setup);
            if count > 0 && !unseen && (alone || !fails_over) {
                all.push(action);
            }
        }
    }

    /// The other instances hear of it, perhaps.
    pub(super) fn publish(&mut self, document: Document, setup: &Setup, life: u8) {
        if !setup.hints {
            return;
        }
        for (i, it) in self.instances.iter().enumerate() {
            if it.health != Health::Dead && it.life != life && self.hints.len() < UNDER_WAY_MAX {
                self.hints.push((i as u8, document.copy()));
            }
        }
        self.hints.sort_unstable_by_key(|(i, document)| (*i, document.version));
        self.hints.dedup();
    }
}
