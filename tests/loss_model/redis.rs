//! Two servers: a master and its replica, or a master and one that is cut off.

use super::rules::Rules;
use super::script::{Data, Marker, Site};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Redis {
    pub(super) servers: [Data; 2],
    pub(super) master: usize,
    pub(super) replid: u8,
    /// The last replication id that was given out.
    pub(super) last_replid: u8,
    /// The replica has what the master had at some time, and follows it.
    pub(super) linked: bool,
    /// The other server still believes that it is the master, by this replication id.
    pub(super) split: Option<u8>,
}

impl Redis {
    /// One that was opened in generation 1.
    pub(super) fn new() -> Self {
        let marker = Marker { replid: 1, run_id: 0, generation: 1, floor: 1 };
        let data = Data { marker: Some(marker), ..Data::default() };
        let servers = [data.clone(), data];
        Self { servers, master: 0, replid: 1, last_replid: 1, linked: true, split: None }
    }

    pub(super) fn replica(&self) -> usize {
        1 - self.master
    }

    pub(super) fn data(&self) -> &Data {
        &self.servers[self.master]
    }

    pub(super) fn data_mut(&mut self) -> &mut Data {
        &mut self.servers[self.master]
    }

    pub(super) fn site(&self, rules: Rules, time: u8) -> Site {
        Site { rules, replid: self.replid, run_id: self.master as u8, time }
    }

    /// The site of the server that is cut off.
    pub(super) fn split_site(&self, rules: Rules, time: u8) -> Option<Site> {
        let replid = self.split?;
        Some(Site { rules, replid, run_id: self.replica() as u8, time })
    }

    fn new_replid(&mut self) {
        self.last_replid += 1;
        self.replid = self.last_replid;
    }

    pub(super) fn replicate(&mut self) {
        self.servers[self.replica()] = self.data().clone();
        self.linked = true;
    }

    pub(super) fn is_replicated(&self) -> bool {
        self.linked && self.servers[self.replica()] == *self.data()
    }

    /// The replica becomes the master with what it has.
    pub(super) fn fail_over(&mut self, split: bool) {
        self.split = split.then_some(self.replid);
        self.master = self.replica();
        self.linked = false;
        self.new_replid();
    }

    /// The server that was cut off comes back, as a replica.
    pub(super) fn heal(&mut self) {
        self.split = None;
    }

    pub(super) fn restart(&mut self, empty: bool) {
        if empty {
            *self.data_mut() = Data::default();
        }
        self.linked = false;
        self.new_replid();
    }

    pub(super) fn flush(&mut self) {
        *self.data_mut() = Data::default();
    }

    /// Marker and document vanish, the note stays.
    pub(super) fn evict(&mut self) {
        let data = self.data_mut();
        data.marker = None;
        data.document = None;
    }
}
