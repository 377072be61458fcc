//! Commits arrive, replies come back, clients are answered.

use super::instance::{Purpose, Stage};
use super::promises::{Belief, Released, Verdict};
use super::rules::Rule;
use super::script::{Commit, Document, Outcome, Version, Write};
use super::setup::{ANSWER_AGE, RING, STALE, Setup};
use super::world::{Reply, Request, World};

impl World {
    pub(super) fn arrive(&mut self, nonce: u8, attempt: u8, split: bool, setup: &Setup) -> Verdict {
        let is = |it: &Request| it.commit.nonce == nonce && it.attempt == attempt;
        let Some(at) = self.requests.iter().position(is) else { return Ok(()) };
        let Request { commit, life, sent_at, .. } = self.requests.remove(at);
        let site = match split {
            true => self.redis.split_site(setup.rules, self.time),
            false => Some(self.redis.site(setup.rules, self.time)),
        };
        let Some(site) = site else { return Ok(()) };
        let server = if split { self.redis.replica() } else { self.redis.master };
        let before = self.redis.servers[server].document;
        let outcome = self.redis.servers[server].commit(&commit, site);
        if self.instances.iter().any(|it| it.life == life) {
            self.replies.push(Reply { nonce, attempt, life, sent_at, outcome });
        }
        if let Outcome::Done { already: false, .. } = outcome {
            self.promises.land(&commit, !split)?;
            self.landed(&commit, before, life, setup);
            if !split {
                self.judge(setup)?;
            }
        }
        Ok(())
    }

    pub(super) fn landed(&mut self, commit: &Commit, before: Option<Document>, life: u8, setup: &Setup) {
        if let Write::Put(next) = commit.write {
            let ended = before.and_then(|it| it.holder).filter(|_| next.holder.is_none());
            if let Some(grant) = ended {
                self.promises.end(grant.id, self.time);
            }
            self.publish(next, setup, life);
        }
    }

    pub(super) fn judge(&mut self, setup: &Setup) -> Verdict {
        if !self.is_open(setup) {
            return Ok(());
        }
        let knowers = self.knowers();
        self.promises.judge(self.redis.data(), &knowers, self.time)
    }

    pub(super) fn receive(&mut self, nonce: u8, attempt: u8, setup: &Setup) -> Verdict {
        let slot = self.pending_of(nonce);
        let before = slot.and_then(|slot| self.instances[slot].version());
        self.reply(nonce, attempt, setup)?;
        if let Some(slot) = slot {
            self.grown(slot as u8, before, setup);
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, nonce: u8, attempt: u8, setup: &Setup) -> Verdict {
        let is = |it: &Reply| it.nonce == nonce && it.attempt == attempt;
        let Some(at) = self.replies.iter().position(is) else { return Ok(()) };
        let Reply { outcome, sent_at, .. } = self.replies.remove(at);
        let Some(slot) = self.pending_of(nonce) else { return Ok(()) };
        let i = slot as u8;
        let old = setup.deletes && setup.rules.has(Rule::StaleForget) && self.time >= sent_at + STALE;
        if old {
            // It waited here for so long that what it tells may be deleted since.
            self.drop_pending(i);
            return Ok(());
        }
        match &mut self.at(i).pending {
            Some(pending) if pending.done.is_none() => pending.asked_at = sent_at,
            _ => return Ok(()),
        }
        match outcome {
            Outcome::Done { already, version, replid } => self.done(i, already, version, replid, setup),
            Outcome::Moved { document, generation, floor } => {
                self.moved(i, document, generation, floor, setup)
            }
            Outcome::Late { ahead } => self.refused(i, !ahead || !setup.rules.has(Rule::LateIsBehind)),
            Outcome::Sealed => {
                if let Some(pending) = &mut self.at(i).pending {
                    pending.sealed = true;
                }
                self.refused(i, false)
            }
        }
    }

    pub(super) fn done(
        &mut self,
        i: u8,
        already: bool,
        is: Option<Version>,
        replid: u8,
        setup: &Setup,
    ) -> Verdict {
        let it = self.at(i);
        let Some(pending) = &mut it.pending else { return Ok(()) };
        let made = match pending.commit.write {
            Write::Put(next) => Some(next.version),
            Write::Delete(_) => None,
            Write::Check => pending.commit.expected,
        };
        match pending.commit.write {
            Write::Put(next) => {
                if it.copy.is_none_or(|copy| next.version.is_newer(copy.version, setup.rules)) {
                    it.copy = Some(next);
                }
            }
            Write::Delete(floor) => {
                if it.copy.map(|copy| copy.version) == pending.commit.expected {
                    it.copy = None;
                }
                it.floor = it.floor.max(floor);
            }
            Write::Check => {}
        }
        if already && is != made && setup.rules.has(Rule::AlreadyIsLookedAt) {
            self.drop_pending(i);
            return Ok(());
        }
        let checks = pending.commit.write == Write::Check;
        if setup.min_replicas && (!checks || setup.rules.has(Rule::WaitForConfirmations)) {
            pending.done = Some(replid);
            return Ok(());
        }
        self.answer(i, setup)
    }

    pub(super) fn waited(&mut self, i: u8, setup: &Setup) -> Verdict {
        let replid = self.at(i).pending.and_then(|pending| pending.done);
        let same = replid == Some(self.redis.replid) || !setup.rules.has(Rule::WaitSameServer);
        let covered = self.redis.is_replicated() || !setup.rules.has(Rule::WaitCovers);
        if same && covered && self.redis.linked {
            self.answer(i, setup)
        } else {
            // Not enough replicas in time: whether it lasts is not known.
            self.drop_pending(i);
            Ok(())
        }
    }

    /// A commit happened, and its client is told.
    pub(super) fn answer(&mut self, i: u8, setup: &Setup) -> Verdict {
        let (time, rules) = (self.time, setup.rules);
        let it = self.at(i);
        let Some(pending) = it.pending else { return Ok(()) };
        let sealed = pending.sealed || pending.commit.generation < it.generation;
        let old = time > pending.asked_at + ANSWER_AGE;
        self.drop_pending(i);
        if (sealed && rules.has(Rule::SealingEndsCommits)) || (old && rules.has(Rule::AnswerAge)) {
            return Ok(());
        }
        let kept = setup.min_replicas;
        match (pending.purpose, pending.commit.write) {
            (Purpose::Hold { client }, write) if pending.heard => {
                let document = match write {
                    Write::Put(next) => Some(next),
                    _ => self.at(i).copy.filter(|copy| Some(copy.version) == pending.commit.expected),
                };
                let Some((document, holder)) = document.and_then(|it| Some((it, it.holder?))) else {
                    return Ok(());
                };
                let belief = Belief {
                    grant: holder.id,
                    version: document.version,
                    until: holder.until,
                    by: i,
                    kept,
                    excused: false,
                };
                self.promises.tell_held(client, belief, time)?;
                if kept {
                    self.promises.judge_waited(self.redis.data(), belief.grant, true)?;
                }
                if self.promises.lossy { Ok(()) } else { self.judge(setup) }
            }
            (Purpose::End { grant }, Write::Put(next)) => {
                self.promises.released.push(Released { grant, version: next.version, by: i, kept });
                if kept {
                    self.promises.judge_waited(self.redis.data(), grant, false)?;
                }
                if self.promises.lossy { Ok(()) } else { self.judge(setup) }
            }
            _ => Ok(()),
        }
    }

    pub(super) fn moved(
        &mut self,
        i: u8,
        document: Option<Document>,
        generation: u8,
        floor: u16,
        setup: &Setup,
    ) -> Verdict {
        self.at(i).learn(generation, floor);
        self.compare(i, document, setup);
        let Some(pending) = self.at(i).pending else { return Ok(()) };
        let rules = setup.rules;
        let within_ring = match (pending.commit.expected, document) {
            (Some(expected), Some(is)) => {
                usize::from(is.version.counter.saturating_sub(expected.counter)) <= RING
            }
            (None, Some(is)) => is.ring[0] == 0,
            _ => false,
        };
        let same = generation == pending.commit.generation || !rules.has(Rule::NeverWithinGeneration);
        // An absent document may be absent again, where an empty one was written back.
        let past =
            pending.commit.expected.is_some() && document.map(|it| it.version) > pending.commit.expected;
        let proven = same
            && (past || !rules.has(Rule::NeverOnlyPast))
            && (within_ring || !rules.has(Rule::NeverWithinRing));
        self.refused(i, proven)
    }

    /// One try did not happen. If none can have happened, the client is told so.
    pub(super) fn refused(&mut self, i: u8, proven: bool) -> Verdict {
        let Some(pending) = &mut self.at(i).pending else { return Ok(()) };
        pending.refused += 1;
        let never = proven || pending.refused >= pending.sent;
        let write = pending.commit.write;
        let nonce = pending.commit.nonce;
        if never {
            self.drop_pending(i);
            if write != Write::Check {
                return self.promises.say_never(nonce);
            }
        }
        Ok(())
    }

    pub(super) fn drop_pending(&mut self, i: u8) {
        if let Some(pending) = self.at(i).pending.take() {
            self.replies.retain(|reply| reply.nonce != pending.commit.nonce);
        }
    }

    /// An instance sees what the store has.
    pub(super) fn compare(&mut self, i: u8, stored: Option<Document>, setup: &Setup) {
        let it = self.at(i);
        match (it.copy, stored) {
            (None, Some(stored)) => it.copy = Some(stored.copy()),
            (Some(copy), Some(stored)) if stored.version.is_newer(copy.version, setup.rules) => {
                it.copy = Some(stored.copy());
            }
            // Deleted. A live one is not given up: it may be lost.
            (Some(copy), None) if copy.holder.is_none() && it.sealing.is_none() && setup.deletes => {
                it.copy = None;
            }
            _ => {}
        }
    }

    pub(super) fn hint(&mut self, i: u8, version: Version, setup: &Setup) {
        let is = |(to, document): &(u8, Document)| *to == i && document.version == version;
        let Some(at) = self.hints.iter().position(is) else { return };
        let (_, document) = self.hints.remove(at);
        let before = self.at(i).version();
        if setup.deletes && before.is_none() {
            // It may be a late word of what is deleted long since.
            return;
        }
        self.compare(i, Some(document), setup);
        self.grown(i, before, setup);
    }

    /// What an instance learns while it writes back is written back too.
    pub(super) fn grown(&mut self, i: u8, before: Option<Version>, setup: &Setup) {
        let it = self.at(i);
        if it.version() > before && it.sealing.is_some() && setup.rules.has(Rule::GrownIsWrittenAgain) {
            it.stage = Stage::Signed;
        }
    }
}
