//! What the store keeps of a partition with one resource, and its scripts. Each is one atomic step.

use super::rules::{Rule, Rules};
use super::setup::{RETAIN, RING, SETTLE, SETTLE_MAX, TOKENS_PER_TICK, WINDOW};

/// A document's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Version {
    pub(super) generation: u8,
    pub(super) counter: u16,
}

impl Version {
    pub(super) fn is_newer(self, other: Self, rules: Rules) -> bool {
        if rules.has(Rule::VersionIsPair) { self > other } else { self.counter > other.counter }
    }
}

/// Who holds the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    pub(super) client: u8,
    /// The nonce of the commit that granted it.
    pub(super) id: u8,
    /// When its lease ends.
    pub(super) until: u8,
}

/// A queue document without its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Document {
    pub(super) version: Version,
    pub(super) holder: Option<Grant>,
    pub(super) token: u16,
    pub(super) idle_since: u8,
    /// The nonces of the latest commits, newest last; 0: none. Copies have none, nor has what was
    /// written back.
    pub(super) ring: [u8; RING],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Marker {
    pub(super) replid: u8,
    pub(super) run_id: u8,
    pub(super) generation: u8,
    pub(super) floor: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Note {
    pub(super) replid: u8,
    pub(super) since: u8,
    /// Stands for the microseconds of `since`: no two notes have the same.
    pub(super) number: u8,
    pub(super) generation: u8,
    pub(super) token: u16,
    /// Who signed, and still writes back.
    pub(super) writers: Vec<(u8, bool)>,
}

/// All that one server keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Data {
    pub(super) marker: Option<Marker>,
    pub(super) note: Option<Note>,
    pub(super) document: Option<Document>,
}

/// Where and when a script runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) rules: Rules,
    pub(super) replid: u8,
    pub(super) run_id: u8,
    pub(super) time: u8,
}

/// What a commit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Write {
    Put(Document),
    /// Deletes the document, and raises the floor to this.
    Delete(u16),
    /// Only compares.
    Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Commit {
    pub(super) nonce: u8,
    pub(super) expected: Option<Version>,
    pub(super) generation: u8,
    pub(super) floor: u16,
    pub(super) now: u8,
    pub(super) write: Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// Done. If it was done already: by an earlier try.
    Done {
        already: bool,
        version: Option<Version>,
        replid: u8,
    },
    Moved {
        document: Option<Document>,
        generation: u8,
        floor: u16,
    },
    /// Too far from the time. Ahead of it: it may be in time later.
    Late {
        ahead: bool,
    },
    Sealed,
}

/// What an instance says while a partition is sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) life: u8,
    pub(super) busy: bool,
    pub(super) generation: u8,
    pub(super) token: u16,
    /// The number that a note gets if it is a new one.
    pub(super) number: u8,
}

/// What became of an attempt to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Opened,
    Open,
    NotYet,
    Unsigned,
}

impl Data {
    /// The marker, if it says that this server has all that was committed under it.
    pub(super) fn open(&self, site: Site) -> Option<Marker> {
        self.marker.filter(|marker| {
            if !site.rules.has(Rule::MarkerCompared) {
                true
            } else if !site.rules.has(Rule::ReplicationIdNotRunId) {
                marker.run_id == site.run_id
            } else {
                marker.replid == site.replid
            }
        })
    }

    pub(super) fn commit(&mut self, commit: &Commit, site: Site) -> Outcome {
        let Some(marker) = self.open(site) else { return Outcome::Sealed };
        let version = self.document.map(|document| document.version);
        let known = site.rules.has(Rule::Nonces)
            && self.document.is_some_and(|document| document.ring.contains(&commit.nonce));
        let moved =
            Outcome::Moved { document: self.document, generation: marker.generation, floor: marker.floor };
        if version != commit.expected {
            return if known { Outcome::Done { already: true, version, replid: site.replid } } else { moved };
        }
        if site.rules.has(Rule::GenerationChecked) && commit.generation != marker.generation {
            return moved;
        }
        let creates = commit.expected.is_none() && matches!(commit.write, Write::Put(_));
        if site.rules.has(Rule::FloorChecked) && creates && marker.floor > commit.floor {
            return moved;
        }
        if site.rules.has(Rule::TimeWindow) && site.time.abs_diff(commit.now) > WINDOW {
            return Outcome::Late { ahead: commit.now > site.time };
        }
        self.write(commit, marker, site);
        let version = self.document.map(|document| document.version);
        Outcome::Done { already: false, version, replid: site.replid }
    }

    fn write(&mut self, commit: &Commit, marker: Marker, site: Site) {
        match commit.write {
            Write::Put(mut next) => {
                let mut ring = self.document.map_or([0; RING], |document| document.ring);
                ring.rotate_left(1);
                ring[RING - 1] = commit.nonce;
                next.ring = ring;
                self.document = Some(next);
            }
            Write::Delete(floor) => {
                self.document = None;
                if site.rules.has(Rule::FloorChecked) {
                    self.marker = Some(Marker { floor: marker.floor.max(floor), ..marker });
                }
            }
            Write::Check => {}
        }
    }

    /// Notes that the partition is sealed, and who takes part. The number of the note.
    pub(super) fn sign(&mut self, who: Signature, site: Site) -> u8 {
        let kept = self.note.take();
        let starts_over = site.rules.has(Rule::NoteStartsOver);
        let fresh = Note {
            replid: site.replid,
            since: site.time,
            number: who.number,
            generation: 0,
            token: 0,
            writers: Vec::new(),
        };
        let mut note = match kept {
            Some(note) if note.replid == site.replid || !starts_over => note,
            _ => fresh,
        };
        note.generation = note.generation.max(who.generation);
        note.token = note.token.max(who.token);
        note.writers.retain(|(writer, _)| *writer != who.life);
        note.writers.push((who.life, who.busy));
        note.writers.sort_unstable();
        let number = note.number;
        self.note = Some(note);
        number
    }

    /// Writes a copy back. True if the store took it.
    pub(super) fn write_back(&mut self, copy: Document, site: Site) -> bool {
        let newer = |stored: Document| copy.version.is_newer(stored.version, site.rules);
        let taken = match (self.open(site), self.document) {
            (_, None) => true,
            (None, Some(stored)) => newer(stored),
            (Some(marker), Some(stored)) => {
                let untouched = stored.version.generation < marker.generation;
                newer(stored) && (untouched || !site.rules.has(Rule::LateOnlyOverOlder))
            }
        };
        if taken {
            self.document = Some(Document { ring: [0; RING], ..copy });
        }
        taken
    }

    pub(super) fn open_again(&mut self, site: Site) -> Opening {
        if self.open(site).is_some() {
            return Opening::Open;
        }
        let current = |note: &Note| note.replid == site.replid || !site.rules.has(Rule::NoteStartsOver);
        let Some(note) = self.note.clone().filter(current) else { return Opening::Unsigned };
        let busy = note.writers.iter().any(|(_, busy)| *busy) && site.rules.has(Rule::UnfinishedAreWaitedFor);
        let wait = match busy {
            _ if !site.rules.has(Rule::SettleWindow) => 0,
            true => SETTLE_MAX,
            false => SETTLE,
        };
        if site.time < note.since + wait {
            return Opening::NotYet;
        }
        let old = self.marker;
        let known = old.map_or(0, |marker| marker.generation).max(note.generation);
        let least = if site.rules.has(Rule::GenerationFromTime) { site.time } else { 0 };
        let floor = old.map_or(0, |marker| marker.floor);
        let raised = (note.token + 1).max(u16::from(site.time) * TOKENS_PER_TICK);
        self.marker = Some(Marker {
            replid: site.replid,
            run_id: site.run_id,
            generation: (known + 1).max(least),
            floor: if site.rules.has(Rule::FloorRaised) { floor.max(raised) } else { floor },
        });
        if site.rules.has(Rule::NoteCleared) {
            self.note = None;
        }
        Opening::Opened
    }
}

impl Document {
    /// As instances keep it.
    pub(super) fn copy(self) -> Self {
        Self { ring: [0; RING], ..self }
    }

    /// Empty for long enough; generations are instants of openings, or a little later.
    pub(super) fn may_be_deleted(&self, now: u8, generation: u8, rules: Rules) -> bool {
        let opened = if rules.has(Rule::DeletedLongAfterOpening) { generation } else { 0 };
        self.holder.is_none() && now >= self.idle_since.max(opened).saturating_add(RETAIN)
    }
}
