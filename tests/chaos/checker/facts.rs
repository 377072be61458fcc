//! A history turned over: for each lock or ticket, what was said of it by whom.

use crate::chaos::history::{Answer, Ask, At, Call, History, LockSeen, Op};
use std::collections::BTreeMap;

/// One id: a ticket, a lock, or a ticket that became one.
#[derive(Default)]
pub(super) struct Entry<'a> {
    /// Its owner and resource, from the first answer that names them.
    pub(super) owner: Option<&'a str>,
    pub(super) resource: Option<&'a str>,
    /// Its client was told that it holds the lock: acquired, fetched, renewed.
    pub(super) told: Vec<&'a Op>,
    /// Answers that are true only if the lock was there at some instant between question and answer.
    pub(super) alive: Vec<&'a Op>,
    /// The same of the ticket.
    pub(super) queued: Vec<&'a Op>,
    /// Answers after which it can never be alive again, with the reason that they gave.
    pub(super) ended: Vec<(&'a Op, &'a str)>,
    /// Requests that may have ended it, whatever was answered.
    pub(super) enders: Vec<&'a Op>,
    /// Everything that was shown of the lock.
    pub(super) shown: Vec<(&'a Op, &'a LockSeen)>,
}

impl<'a> Entry<'a> {
    /// The lock, if it was ever one.
    pub(super) fn lock(&self) -> Option<&'a LockSeen> {
        self.shown.first().map(|(_, lock)| *lock)
    }

    /// The first moment at which something may have ended it on request.
    pub(super) fn cut(&self) -> At {
        self.enders.iter().map(|op| op.invoked).min().unwrap_or(At::MAX)
    }
}

/// What a history says.
pub(super) struct Facts<'a> {
    pub(super) history: &'a History,
    pub(super) entries: BTreeMap<&'a str, Entry<'a>>,
    /// All sendings of each ask, by its owner.
    pub(super) asks: BTreeMap<&'a str, Vec<&'a Op>>,
    /// Which ids bear an owner's name.
    pub(super) ids: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Facts<'a> {
    pub(super) fn gather(history: &'a History) -> Self {
        let mut facts =
            Self { history, entries: BTreeMap::new(), asks: BTreeMap::new(), ids: BTreeMap::new() };
        for op in &history.ops {
            if let Call::Acquire { ask, .. } = &op.call {
                facts.asks.entry(&ask.owner).or_default().push(op);
            }
            for lock in op.answer.locks() {
                let entry = facts.entry(&lock.id);
                entry.owner.get_or_insert(&lock.owner);
                entry.resource.get_or_insert(&lock.resource);
                entry.shown.push((op, lock));
            }
            facts.answered(op);
        }
        for (id, entry) in &facts.entries {
            if let Some(owner) = entry.owner {
                facts.ids.entry(owner).or_default().push(id);
            }
        }
        for op in &history.ops {
            facts.asked(op);
        }
        facts
    }

    fn entry(&mut self, id: &'a str) -> &mut Entry<'a> {
        self.entries.entry(id).or_default()
    }

    /// What its answer says of which ids.
    fn answered(&mut self, op: &'a Op) {
        match &op.answer {
            Answer::Acquired { lock, .. } => {
                let entry = self.entry(&lock.id);
                entry.alive.push(op);
                entry.told.push(op);
            }
            Answer::Lock(lock) => {
                let entry = self.entry(&lock.id);
                entry.alive.push(op);
                if matches!(op.call, Call::Renew { .. }) {
                    entry.told.push(op);
                }
            }
            Answer::Queued { ticket, owner, confirmed, .. } => {
                let resource = match &op.call {
                    Call::Acquire { ask, .. } => Some(&*ask.resource),
                    _ => None,
                };
                let entry = self.entry(ticket);
                entry.owner.get_or_insert(owner);
                entry.resource = entry.resource.or(resource);
                if *confirmed {
                    entry.queued.push(op);
                }
            }
            Answer::Released { lock, granted_to } => {
                let reason = if matches!(op.call, Call::Force { .. }) { "forced" } else { "released" };
                self.entry(&lock.id).ended.push((op, reason));
                if let Some(next) = granted_to {
                    self.entry(&next.id).alive.push(op);
                }
            }
            Answer::PullReleased { released, cancelled } => {
                for lock in released {
                    self.entry(&lock.id).ended.push((op, "released"));
                }
                for id in cancelled {
                    self.entry(id).ended.push((op, ""));
                }
            }
            Answer::Cancelled => {
                if let Some(id) = op.call.subject() {
                    self.entry(id).ended.push((op, "cancelled"));
                }
            }
            Answer::Refused { status: 410, code, .. } => {
                if let Some(id) = op.call.subject() {
                    self.entry(id).ended.push((op, code));
                }
            }
            Answer::Refused { code, locks, .. } if &**code == "already_granted" => {
                for lock in locks {
                    self.entry(&lock.id).alive.push(op);
                }
            }
            Answer::Refused { .. }
            | Answer::Listed(_)
            // What an instance knew last says nothing of now.
            | Answer::Unconfirmed(_)
            | Answer::Pending(_)
            | Answer::NotSent
            | Answer::Lost(_)
            | Answer::Strange(_) => {}
        }
    }

    /// What it may have ended.
    fn asked(&mut self, op: &'a Op) {
        if op.answer == Answer::NotSent {
            return;
        }
        match &op.call {
            Call::Release { id, .. } | Call::Force { id } | Call::Cancel { id } => {
                if let Some(entry) = self.entries.get_mut(&**id) {
                    entry.enders.push(op);
                }
            }
            Call::ReleasePull { owner, .. } => {
                for id in self.ids.get(&**owner).map_or(&[][..], Vec::as_slice) {
                    self.entries.entry(id).or_default().enders.push(op);
                }
            }
            _ => {}
        }
    }

    /// The ask from which an entry came.
    pub(super) fn ask_of(&self, entry: &Entry<'a>) -> Option<&'a Ask> {
        self.sendings(entry).first().and_then(|op| match &op.call {
            Call::Acquire { ask, .. } => Some(&**ask),
            _ => None,
        })
    }

    /// All times that the ask of an entry was sent, the earliest first.
    pub(super) fn sendings(&self, entry: &Entry<'a>) -> &[&'a Op] {
        entry.owner.and_then(|owner| self.asks.get(owner)).map_or(&[], Vec::as_slice)
    }

    /// The entry of which an operation speaks: by its id, or as the repetition of a request whose
    /// entry is known by other answers.
    pub(super) fn subject(&self, op: &Op) -> Option<(&'a str, &Entry<'a>)> {
        if let Some(id) = op.call.subject() {
            return self.entries.get_key_value(&**id).map(|(id, entry)| (*id, entry));
        }
        let Call::Acquire { ask, .. } = &op.call else { return None };
        ask.request_id.as_ref()?;
        match self.ids.get(&*ask.owner).map(Vec::as_slice) {
            Some([id]) => self.entries.get(id).map(|entry| (*id, entry)),
            _ => None,
        }
    }
}
