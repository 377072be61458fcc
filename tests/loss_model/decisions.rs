//! What an instance decides by its copy, and sends.

use super::instance::{Pending, Purpose};
use super::rules::Rule;
use super::script::{Commit, Document, Grant, Version, Write};
use super::setup::{COUNTS_PER_TICK, LEASE, RING, Setup, TOKENS_PER_TICK};
use super::world::{Request, World};

/// The end of a hold that has no lease.
const NEVER: u8 = u8::MAX;

impl World {
    pub(super) fn acquire(&mut self, i: u8, c: u8, setup: &Setup) {
        let time = self.time;
        let nonce = self.last_nonce + 1;
        let it = self.at(i);
        let now = time + it.skew;
        let made = u16::from(now) * TOKENS_PER_TICK;
        let (last, least) = it.copy.map_or((0, made), |copy| (copy.token, 0));
        let until = if setup.leases { now + LEASE } else { NEVER };
        let next = Document {
            version: self.next_version(i, setup),
            holder: Some(Grant { client: c, id: nonce, until }),
            token: (last + 1).max(self.at(i).floor).max(least),
            idle_since: 0,
            ring: [0; RING],
        };
        self.send(i, Purpose::Hold { client: c }, Write::Put(next));
    }

    pub(super) fn next_version(&mut self, i: u8, setup: &Setup) -> Version {
        let time = self.time;
        let it = self.at(i);
        match it.version() {
            Some(version) => {
                Version { generation: version.generation.max(it.generation), counter: version.counter + 1 }
            }
            None if setup.deletes && setup.rules.has(Rule::CounterFromTime) => {
                Version { generation: it.generation, counter: u16::from(time + it.skew) * COUNTS_PER_TICK }
            }
            None => Version { generation: it.generation, counter: 1 },
        }
    }

    pub(super) fn renew(&mut self, i: u8, c: u8, setup: &Setup) {
        let version = self.next_version(i, setup);
        let now = self.time + self.at(i).skew;
        if let Some(mut next) = self.at(i).copy {
            next.version = version;
            if let Some(holder) = &mut next.holder {
                holder.until = holder.until.max(now + LEASE);
            }
            self.send(i, Purpose::Hold { client: c }, Write::Put(next));
        }
    }

    pub(super) fn confirm(&mut self, i: u8, c: u8, setup: &Setup) {
        let version = self.next_version(i, setup);
        let it = self.at(i);
        let Some(copy) = it.copy else { return };
        let is_of_before = copy.version.generation < it.generation;
        let write = if is_of_before && setup.rules.has(Rule::ConfirmationWrites) {
            Write::Put(Document { version, ..copy })
        } else {
            Write::Check
        };
        self.send(i, Purpose::Hold { client: c }, write);
    }

    pub(super) fn release(&mut self, i: u8, c: u8, setup: &Setup) {
        // It stops working before it says so.
        self.promises.beliefs[usize::from(c)] = None;
        self.vacate(i, setup);
    }

    pub(super) fn vacate(&mut self, i: u8, setup: &Setup) {
        let version = self.next_version(i, setup);
        let idle_since = if setup.deletes { self.time + self.at(i).skew } else { 0 };
        if let Some(copy) = self.at(i).copy
            && let Some(holder) = copy.holder
        {
            let next = Document { version, holder: None, idle_since, ..copy };
            self.send(i, Purpose::End { grant: holder.id }, Write::Put(next));
        }
    }

    pub(super) fn delete(&mut self, i: u8, _: &Setup) {
        let floor = self.at(i).copy.map_or(0, |copy| copy.token + 1);
        self.send(i, Purpose::Delete, Write::Delete(floor));
    }

    pub(super) fn send(&mut self, i: u8, purpose: Purpose, write: Write) {
        self.last_nonce += 1;
        let (nonce, time) = (self.last_nonce, self.time);
        let it = self.at(i);
        let commit = Commit {
            nonce,
            expected: it.version(),
            generation: it.generation,
            floor: it.floor,
            now: time + it.skew,
            write,
        };
        it.pending = Some(Pending {
            commit,
            purpose,
            heard: true,
            sent: 0,
            refused: 0,
            asked_at: time,
            sealed: false,
            done: None,
        });
        self.send_again(i);
    }

    pub(super) fn send_again(&mut self, i: u8) {
        let time = self.time;
        let it = self.at(i);
        let life = it.life;
        if let Some(pending) = &mut it.pending {
            pending.sent += 1;
            let request = Request { commit: pending.commit, attempt: pending.sent, life, sent_at: time };
            self.requests.push(request);
        }
    }
}
