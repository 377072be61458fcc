//! What was promised to clients, and whether it holds. No instance sees any of this.

use super::script::{Commit, Data, Version, Write};
use super::setup::ANSWER_AGE;

/// A broken promise, in words.
pub(super) type Verdict = Result<(), String>;

/// A hold that a client was told of, and believes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Belief {
    pub(super) grant: u8,
    pub(super) version: Version,
    pub(super) until: u8,
    /// The slot of the instance that told it.
    pub(super) by: u8,
    /// The replica has it.
    pub(super) kept: bool,
    /// Nothing is promised any more: it was ended by force, or lost with all who knew of it.
    pub(super) excused: bool,
}

/// A release that a client was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Released {
    pub(super) grant: u8,
    pub(super) version: Version,
    pub(super) by: u8,
    pub(super) kept: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Promises {
    pub(super) beliefs: Vec<Option<Belief>>,
    pub(super) released: Vec<Released>,
    /// Commits that landed somewhere, with the version they made.
    pub(super) landed: Vec<(u8, Option<Version>)>,
    /// Commits of which was said that they never happened.
    pub(super) never: Vec<u8>,
    /// Grants that were ended, and when.
    pub(super) ended: Vec<(u8, u8)>,
    pub(super) top_token: u16,
    /// Data may be lost since the partition was last opened.
    pub(super) lossy: bool,
    /// ... by one failover, and nothing else.
    pub(super) failed_over: bool,
    /// When that was.
    pub(super) lost_at: u8,
}

/// Who knows what, when the question is whether a loss was avoidable: for each slot whether it
/// does its part, what it promised, and what it has.
pub(super) type Knowers = Vec<(bool, Option<Version>, Option<Version>)>;

fn is_known(knowers: &Knowers, version: Version, by: u8) -> bool {
    knowers.iter().enumerate().any(|(slot, (prompt, promised, has))| {
        let knows = *promised >= Some(version) || (slot == usize::from(by) && *has >= Some(version));
        *prompt && knows
    })
}

impl Promises {
    pub(super) fn new(clients: u8) -> Self {
        Self {
            beliefs: vec![None; usize::from(clients)],
            released: Vec::new(),
            landed: Vec::new(),
            never: Vec::new(),
            ended: Vec::new(),
            top_token: 1,
            lossy: false,
            failed_over: false,
            lost_at: 0,
        }
    }

    /// A commit was written. `trusted`: by the master, and not by one that is cut off.
    pub(super) fn land(&mut self, commit: &Commit, trusted: bool) -> Verdict {
        let version = match commit.write {
            // Deleting an empty document again does no harm.
            Write::Check | Write::Delete(_) => return Ok(()),
            Write::Put(next) => Some(next.version),
        };
        let nonce = commit.nonce;
        if self.never.contains(&nonce) {
            return Err(format!("commit {nonce} lands, of which was said that it never happened"));
        }
        if self.landed.iter().any(|(other, _)| *other == nonce) {
            return Err(format!("commit {nonce} lands a second time"));
        }
        if version.is_some() && self.landed.iter().any(|(_, other)| *other == version) {
            return Err(format!("{version:?} was used before"));
        }
        self.landed.push((nonce, version));
        if let Write::Put(next) = commit.write
            && next.holder.is_some_and(|holder| holder.id == nonce)
            && trusted
        {
            if next.token <= self.top_token {
                return Err(format!("token {} after {}", next.token, self.top_token));
            }
            self.top_token = next.token;
        }
        Ok(())
    }

    /// A grant was ended: by its client, who knows, or by force.
    pub(super) fn end(&mut self, grant: u8, time: u8) {
        self.ended.push((grant, time));
        for belief in self.beliefs.iter_mut().flatten() {
            belief.excused |= belief.grant == grant;
        }
    }

    /// A client is told that it holds.
    pub(super) fn tell_held(&mut self, client: u8, mut belief: Belief, time: u8) -> Verdict {
        if let Some((grant, at)) = self.ended.iter().find(|(grant, _)| *grant == belief.grant) {
            if time > at + ANSWER_AGE {
                return Err(format!("client {client} is told of grant {grant}, which ended at {at}"));
            }
            belief.excused = true;
        }
        for (other, theirs) in self.beliefs.iter().enumerate() {
            if let Some(theirs) = theirs
                && other != usize::from(client)
                && !(belief.excused || theirs.excused)
                && time < theirs.until
                && time < belief.until
            {
                return Err(format!("clients {other} and {client} both hold"));
            }
        }
        self.beliefs[usize::from(client)] = Some(belief);
        Ok(())
    }

    /// A grant was waited for, after the one failover it must survive: the master must have it.
    pub(super) fn judge_waited(&self, master: &Data, grant: u8, held: bool) -> Verdict {
        let holder = master.document.and_then(|document| document.holder);
        let holds = holder.is_some_and(|it| it.id == grant);
        let ended = self.ended.iter().any(|(other, _)| *other == grant);
        if self.failed_over && holds != held && !(held && ended) {
            return Err(format!("grant {grant} was waited for in vain: the master does not have it"));
        }
        Ok(())
    }

    pub(super) fn say_never(&mut self, nonce: u8) -> Verdict {
        if self.landed.iter().any(|(other, _)| *other == nonce) {
            return Err(format!("commit {nonce} happened, and it is said that it never did"));
        }
        self.never.push(nonce);
        Ok(())
    }

    /// The open store against all that was acknowledged. Where data may be lost since the last
    /// opening, only what somebody still knows counts; the rest is excused.
    pub(super) fn judge(&mut self, store: &Data, knowers: &Knowers, time: u8) -> Verdict {
        let holder = store.document.and_then(|document| document.holder);
        for (client, slot) in self.beliefs.iter_mut().enumerate() {
            let Some(belief) = slot else { continue };
            let kept = holder.is_some_and(|it| it.id == belief.grant && it.until >= belief.until);
            if belief.excused || kept || time >= belief.until {
                continue;
            }
            if !self.lossy || is_known(knowers, belief.version, belief.by) {
                return Err(format!("client {client} holds, and the open store has {holder:?}"));
            }
            belief.excused = true;
        }
        let undone = |released: &Released| holder.is_some_and(|it| it.id == released.grant);
        for released in self.released.iter().filter(|it| undone(it)) {
            if !self.lossy || is_known(knowers, released.version, released.by) {
                return Err(format!("the release of grant {} is undone", released.grant));
            }
        }
        self.released.retain(|it| !undone(it));
        // An end that was lost with all who knew of it did not happen.
        self.ended.retain(|(grant, _)| holder.is_none_or(|it| it.id != *grant));
        Ok(())
    }

    /// The replica takes over from a healthy master: it must have all that it was waited for.
    pub(super) fn judge_replica(&self, replica: &Data, time: u8) -> Verdict {
        let holder = replica.document.and_then(|document| document.holder);
        for belief in self.beliefs.iter().flatten().filter(|it| it.kept && !it.excused && time < it.until) {
            if !holder.is_some_and(|it| it.id == belief.grant && it.until >= belief.until) {
                return Err(format!("grant {} was waited for, and the replica lacks it", belief.grant));
            }
        }
        for released in self.released.iter().filter(|it| it.kept) {
            if holder.is_some_and(|it| it.id == released.grant) {
                return Err(format!("the release of {} was waited for, and is undone", released.grant));
            }
        }
        Ok(())
    }

    /// The replica has all that the master has.
    pub(super) fn replicated(&mut self) {
        self.beliefs.iter_mut().flatten().for_each(|belief| belief.kept = true);
        self.released.iter_mut().for_each(|released| released.kept = true);
    }

    /// Somebody opened the partition: what could be written back must be there.
    pub(super) fn judge_opening(&mut self, store: &Data, knowers: &Knowers, time: u8) -> Verdict {
        self.judge(store, knowers, time)?;
        // A release that nobody could write back is lost, even if nothing undoes it yet.
        let stored = store.document.map(|document| document.version);
        self.released.retain(|it| stored >= Some(it.version) || is_known(knowers, it.version, it.by));
        self.lossy = false;
        self.failed_over = false;
        // What was written back was not waited for.
        self.beliefs.iter_mut().flatten().for_each(|belief| belief.kept = false);
        self.released.iter_mut().for_each(|released| released.kept = false);
        Ok(())
    }
}
