//! The rules of the protocol, each of which can be left out to see what it closes.

/// One rule of the loss protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A script compares the marker with the server's replication id. Without: the marker's
    /// presence is enough.
    MarkerCompared,
    /// ... and not with the run id, which a server keeps when it is demoted and promoted again.
    ReplicationIdNotRunId,
    /// A sealed partition is opened after the settle window. Without: at once.
    SettleWindow,
    /// Those who signed and have not finished are waited for, up to a bound.
    UnfinishedAreWaitedFor,
    /// Instances write back what they know.
    WriteBack,
    /// ... documents that nobody holds included.
    WriteBackIdle,
    /// An instance says that it has finished when it has.
    FinishedAfterWriting,
    /// A copy that grows while it is written back is written back again.
    GrownIsWrittenAgain,
    /// A seal note of another replication id starts all over.
    NoteStartsOver,
    /// Opening takes the seal note away.
    NoteCleared,
    /// Versions are compared with their generation. Without: by their counter.
    VersionIsPair,
    /// A new generation is at least the time. Without: one more than the greatest named.
    GenerationFromTime,
    /// A commit of another generation is refused.
    GenerationChecked,
    /// Opening raises the token floor.
    FloorRaised,
    /// Deleting a document leaves its token behind as a floor, and a creation by an older floor
    /// is refused.
    FloorChecked,
    /// A commit that was decided at another time is refused.
    TimeWindow,
    /// A commit that was refused because it is ahead of the time proves nothing of its other tries.
    LateIsBehind,
    /// The nonces of the latest commits are looked for when a version is not the expected one.
    Nonces,
    /// "It never happened" is said only within a generation of the marker.
    NeverWithinGeneration,
    /// ... and only while no nonce can have fallen out of the ring.
    NeverWithinRing,
    /// ... and only if the document is past the version that was expected, and not before it.
    NeverOnlyPast,
    /// A copy that is written back into an open partition replaces only what nobody changed since
    /// the opening.
    LateOnlyOverOlder,
    /// After an opening the first confirmation of a document writes a version of the new
    /// generation. Without: it compares versions and leaves no trace.
    ConfirmationWrites,
    /// An answer that waited too long is not given.
    AnswerAge,
    /// A reply to a commit from before a sealing that was noticed is not answered from.
    SealingEndsCommits,
    /// "It happened already" is answered from only if nothing happened since.
    AlreadyIsLookedAt,
    /// A document that is made again starts its counter at the time.
    CounterFromTime,
    /// An instance that missed the sweeps of a while forgets its copies.
    StaleForget,
    /// An empty document stays for a while after an opening too.
    DeletedLongAfterOpening,
    /// Waiting for replicas covers the commit. Without: the waiting connection wrote nothing
    /// itself, and so waits for nothing.
    WaitCovers,
    /// ... on the server that made the commit, by its replication id.
    WaitSameServer,
    /// ... for confirmations too.
    WaitForConfirmations,
}

/// The rules in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules(u64);

impl Rules {
    pub(super) const ALL: Self = Self(u64::MAX);

    pub(super) fn without(self, rule: Rule) -> Self {
        Self(self.0 & !(1 << rule as u64))
    }

    pub(super) fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u64) != 0
    }
}
