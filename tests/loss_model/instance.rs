//! One instance: its copy, what it knows, its commit in flight, and its part in a sealing.

use super::rules::{Rule, Rules};
use super::script::{Commit, Document, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Health {
    Up,
    Paused,
    Dead,
}

/// How far an instance is in the sealing it takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Signed,
    Written,
    Finished,
}

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Hold { client: u8 },
    End { grant: u8 },
    Delete,
}

/// A commit whose outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    pub(super) commit: Commit,
    pub(super) purpose: Purpose,
    /// Somebody waits for the answer.
    pub(super) heard: bool,
    pub(super) sent: u8,
    pub(super) refused: u8,
    /// When the try was sent that was answered.
    pub(super) asked_at: u8,
    /// A sealing was noticed since it was sent.
    pub(super) sealed: bool,
    /// Done on the server with this replication id; waits for replicas.
    pub(super) done: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Instance {
    pub(super) health: Health,
    pub(super) life: u8,
    /// Has lived and was not cut off since data were last lost.
    pub(super) prompt: bool,
    pub(super) skew: u8,
    pub(super) copy: Option<Document>,
    pub(super) generation: u8,
    pub(super) floor: u16,
    /// When it last compared its copy with the store.
    pub(super) looked: u8,
    /// The sealing it takes part in.
    pub(super) sealing: Option<u8>,
    pub(super) stage: Stage,
    /// What it had written back when it said that it had finished.
    pub(super) vouched: Option<Option<Version>>,
    pub(super) pending: Option<Pending>,
}

impl Instance {
    pub(super) fn new(life: u8, looked: u8) -> Self {
        Self {
            health: Health::Up,
            life,
            prompt: true,
            skew: 0,
            copy: None,
            generation: 1,
            floor: 1,
            looked,
            sealing: None,
            stage: Stage::Signed,
            vouched: None,
            pending: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.copy.map(|copy| copy.version)
    }

    /// What it promised to have in the store when a partition is opened.
    pub(super) fn promised(&self) -> Option<Version> {
        self.vouched.unwrap_or_else(|| self.version())
    }

    /// It has something that is to be written back.
    pub(super) fn writes_back(&self, rules: Rules) -> bool {
        let counts = |copy: Document| copy.holder.is_some() || rules.has(Rule::WriteBackIdle);
        rules.has(Rule::WriteBack) && self.copy.is_some_and(counts)
    }

    pub(super) fn learn(&mut self, generation: u8, floor: u16) {
        if generation > self.generation {
            (self.generation, self.floor) = (generation, floor);
        } else if generation == self.generation {
            self.floor = self.floor.max(floor);
        }
    }

    /// The greatest token it knows of.
    pub(super) fn token(&self) -> u16 {
        self.copy.map_or(0, |copy| copy.token).max(self.floor)
    }
}
