//! What an instance does about a sealed partition, and about one that was opened without it.

use super::instance::Stage;
use super::promises::Verdict;
use super::rules::Rule;
use super::script::{Opening, Signature};
use super::setup::{STALE, Setup};
use super::world::World;

impl World {
    /// What it knows may be deleted since. The time is the store's: who pauses cannot tell.
    pub(super) fn is_stale(&self, i: u8, setup: &Setup) -> bool {
        let looked = self.instances[usize::from(i)].looked;
        setup.deletes && setup.rules.has(Rule::StaleForget) && self.time >= looked + STALE
    }

    pub(super) fn look(&mut self, i: u8, setup: &Setup) {
        let site = self.redis.site(setup.rules, self.time);
        let (marker, stored) = (self.redis.data().open(site), self.redis.data().document);
        if self.is_stale(i, setup) {
            self.at(i).copy = None;
        }
        self.at(i).looked = self.time;
        match marker {
            Some(marker) => {
                let it = self.at(i);
                it.learn(marker.generation, marker.floor);
                it.sealing = None;
                it.vouched = None;
                self.compare(i, stored, setup);
            }
            None => {
                // Absence proves nothing now; what is there does.
                if stored.is_some() {
                    self.compare(i, stored, setup);
                }
                let note = self.note_number(setup);
                let it = self.at(i);
                let finished = note.is_some() && it.sealing == note && it.stage == Stage::Finished;
                let number = self.sign(i, !finished, setup);
                let it = self.at(i);
                if it.sealing != Some(number) {
                    it.sealing = Some(number);
                    it.stage = Stage::Signed;
                    it.vouched = None;
                }
                if let Some(pending) = &mut self.at(i).pending {
                    pending.sealed = true;
                }
            }
        }
    }

    pub(super) fn sign(&mut self, i: u8, busy: bool, setup: &Setup) -> u8 {
        let site = self.redis.site(setup.rules, self.time);
        let number = self.last_note + 1;
        let it = self.at(i);
        let who = Signature { life: it.life, busy, generation: it.generation, token: it.token(), number };
        let signed = self.redis.data_mut().sign(who, site);
        self.last_note = self.last_note.max(signed);
        signed
    }

    pub(super) fn write_back(&mut self, i: u8, setup: &Setup) -> Verdict {
        let site = self.redis.site(setup.rules, self.time);
        let life = self.at(i).life;
        if self.is_stale(i, setup) {
            self.look(i, setup);
            return Ok(());
        }
        self.at(i).stage = Stage::Written;
        let Some(copy) = self.at(i).copy else { return Ok(()) };
        if self.redis.data_mut().write_back(copy, site) {
            self.publish(copy, setup, life);
        } else {
            let stored = self.redis.data().document;
            self.compare(i, stored, setup);
        }
        if self.promises.lossy { Ok(()) } else { self.judge(setup) }
    }

    pub(super) fn finish(&mut self, i: u8, setup: &Setup) {
        if self.is_open(setup) {
            self.look(i, setup);
            return;
        }
        let number = self.sign(i, false, setup);
        let it = self.at(i);
        if it.sealing == Some(number) {
            it.vouched = Some(it.version());
            it.stage = Stage::Finished;
        } else {
            it.sealing = None;
            self.look(i, setup);
        }
    }

    pub(super) fn open(&mut self, i: u8, setup: &Setup) -> Verdict {
        let site = self.redis.site(setup.rules, self.time);
        match self.redis.data_mut().open_again(site) {
            Opening::Opened => {
                let knowers = self.knowers();
                self.promises.judge_opening(self.redis.data(), &knowers, self.time)?;
                self.look(i, setup);
            }
            Opening::Open | Opening::Unsigned => self.look(i, setup),
            Opening::NotYet => {}
        }
        Ok(())
    }

    pub(super) fn write_back_late(&mut self, i: u8, setup: &Setup) -> Verdict {
        if self.is_stale(i, setup) {
            self.look(i, setup);
            return Ok(());
        }
        let site = self.redis.site(setup.rules, self.time);
        let life = self.at(i).life;
        let Some(copy) = self.at(i).copy else { return Ok(()) };
        if self.redis.data_mut().write_back(copy, site) {
            self.publish(copy, setup, life);
        }
        self.judge(setup)
    }
}
