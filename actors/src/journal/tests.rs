//! The journal on real files, with faults at exact points.

use super::faults::Faults;
use super::file::{Call, JournalFile};
use super::*;
use lockkeeper_core::{Intent, LockState, Mode, Owner, Priority, ResourceInput, Seq, Span};
use std::path::PathBuf;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("pending-releases")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn open(&self) -> Journal {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Journal, JournalError> {
        Journal::open(Some(&self.path()), 3)
    }

    /// With faults that the test plans.
    fn with_faults(&self) -> (Journal, Arc<Faults>) {
        let (file, records) = JournalFile::open(&self.path()).unwrap();
        let faults = Arc::clone(&file.faults);
        (Journal::with(file, records, Arc::default(), 3).unwrap(), faults)
    }
}

fn release(number: u64) -> (EntryId, Arc<Resource>, Arc<Lock>) {
    let path = format!("p{number}");
    let input = ResourceInput { namespace: Some("acme/infra"), path: Some(&path), ..Default::default() };
    let resource = Arc::new(Resource::parse(&input, "").unwrap());
    let intent = Intent {
        owner: Owner { id: "one".into(), user: None, pull: None },
        created_by: "anonymous".into(),
        mode: Mode::Exclusive,
        priority: Priority::Normal,
        ttl: Span::from_secs(600),
        protected: false,
        attended: true,
        metadata: Some(Box::new([("a".into(), "b".into())].into())),
        nonce: number,
        requests: Arc::default(),
    };
    let lock = Lock {
        seq: Seq(number << 16),
        intent: Arc::new(intent),
        token: 100 + number,
        state: LockState::Held,
        acquired_at: Timestamp::from_micros(1),
        renewed_at: Timestamp::from_micros(2),
        expires_at: Some(Timestamp::from_micros(600_000_000)),
        ttl: Span::from_secs(600),
        touch: number as u32,
        enqueued_at: None,
    };
    (EntryId { resource: resource.id(), seq: lock.seq }, resource, Arc::new(lock))
}

impl Journal {
    async fn take(&self, number: u64) -> Result<(), NotAccepted> {
        let (entry, resource, lock) = release(number);
        self.accept(entry, resource, lock, number * 7, Timestamp::from_micros(number)).await
    }

    async fn finish(&self, number: u64) {
        assert!(self.done(release(number).0).await);
    }

    /// The tokens of what is pending, in order.
    fn tokens(&self) -> Vec<u64> {
        self.book().all().iter().map(|pending| pending.accepted.lock.token).collect()
    }
}

#[tokio::test]
async fn what_was_accepted_survives_and_what_was_done_does_not() {
    let place = Place::new();
    let journal = place.open();
    assert!(!place.path().exists(), "made with the first release");
    for number in [2, 1, 3] {
        journal.take(number).await.unwrap();
    }
    journal.finish(1).await;
    journal.close();
    let journal = place.open();
    assert_eq!(journal.tokens(), [102, 103]);
    let (entry, resource, lock) = release(3);
    let pending = journal.book().get(entry).unwrap();
    assert_eq!((&pending.accepted.resource, &pending.accepted.lock), (&resource, &lock));
    assert_eq!((pending.accepted.nonce, pending.accepted.accepted_at), (21, Timestamp::from_micros(3)));
    // Numbers go on: what is accepted later is carried out later.
    journal.finish(2).await;
    journal.take(1).await.unwrap();
    assert_eq!(journal.tokens(), [103, 101]);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
    journal.close();
}

#[tokio::test]
async fn a_release_that_is_pending_is_written_down_once() {
    let place = Place::new();
    let journal = place.open();
    journal.take(1).await.unwrap();
    let written = place.bytes();
    journal.take(1).await.unwrap();
    let (one, other) = tokio::join!(journal.take(2), journal.take(2));
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(journal.tokens(), [101, 102]);
    assert_eq!(place.bytes()[..written.len()], written);
    journal.close();
    assert_eq!(place.open().tokens(), [101, 102]);
}

#[tokio::test]
async fn one_more_than_may_be_pending_is_refused() {
    let place = Place::new();
    let journal = place.open();
    for number in 1..=3 {
        journal.take(number).await.unwrap();
    }
    assert_eq!(journal.take(4).await, Err(NotAccepted::Full { limit: 3 }));
    assert_eq!(journal.take(3).await, Ok(()), "this one is pending already");
    journal.finish(2).await;
    assert_eq!(journal.take(4).await, Ok(()));
    journal.close();
    // One that is opened with a smaller limit forgets nothing.
    let journal = Journal::open(Some(&place.path()), 1).unwrap();
    assert_eq!((journal.tokens().len(), journal.take(5).await), (3, Err(NotAccepted::Full { limit: 1 })));
    journal.close();
}

#[tokio::test]
async fn without_a_place_there_is_no_journal() {
    let journal = Journal::open(None, 3).unwrap();
    assert_eq!(journal.take(1).await, Err(NotAccepted::None));
}

#[tokio::test]
async fn a_torn_end_is_cut_off_at_every_length() {
    let place = Place::new();
    let journal = place.open();
    journal.take(1).await.unwrap();
    let whole = place.bytes().len();
    journal.take(2).await.unwrap();
    journal.close();
    let bytes = place.bytes();
    for length in whole..bytes.len() {
        for end in [&[][..], &[0; 40]] {
            std::fs::write(place.path(), [&bytes[..length], end].concat()).unwrap();
            let journal = place.open();
            assert_eq!(journal.tokens(), [101], "{length}");
            journal.take(3).await.unwrap();
            journal.close();
            let journal = place.open();
            assert_eq!(journal.tokens(), [101, 103], "{length}");
            journal.close();
        }
    }
    // The very first write was torn: nobody was told of anything.
    for length in 0..whole {
        std::fs::write(place.path(), &bytes[..length]).unwrap();
        let journal = place.open();
        assert_eq!(journal.tokens(), [], "{length}");
        journal.take(3).await.unwrap();
        journal.close();
        assert_eq!(place.open().tokens(), [103]);
    }
}

#[tokio::test]
async fn a_damaged_middle_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let journal = place.open();
    journal.take(1).await.unwrap();
    let first = place.bytes().len();
    journal.take(2).await.unwrap();
    journal.close();
    let good = place.bytes();
    for bit in 0..first * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(place.path(), &bytes).unwrap();
        let error = place.try_open().err().unwrap_or_else(|| panic!("bit {bit} was overlooked"));
        assert!(error.to_string().contains("pending-releases"), "{error}");
        assert_eq!(place.bytes(), bytes, "bit {bit}");
    }
    let mut newer = good.clone();
    newer[15] = 9;
    std::fs::write(place.path(), newer).unwrap();
    assert!(matches!(place.try_open(), Err(JournalError::NewerFormat { found: 9, .. })));
    std::fs::write(place.path(), "something else altogether").unwrap();
    assert!(matches!(place.try_open(), Err(JournalError::Damaged { .. })));
}

#[test]
fn one_process_has_it() {
    let place = Place::new();
    let (mut file, _) = JournalFile::open(&place.path()).unwrap();
    let (entry, resource, lock) = release(1);
    let accepted = Accepted {
        number: 1,
        id: entry.resource,
        resource,
        lock,
        nonce: 1,
        accepted_at: Timestamp::from_micros(1),
    };
    file.append(&[Record::Accepted(accepted.clone())]).unwrap();
    assert!(matches!(JournalFile::open(&place.path()), Err(JournalError::InUse { .. })));
    // Nor another one after it was written anew.
    file.compact(&[accepted]).unwrap();
    assert!(matches!(JournalFile::open(&place.path()), Err(JournalError::InUse { .. })));
    drop(file);
    assert_eq!(JournalFile::open(&place.path()).unwrap().1.len(), 1);
}

#[tokio::test]
async fn it_is_empty_again_when_everything_is_done() {
    let place = Place::new();
    let journal = place.open();
    for round in 0..50 {
        journal.take(round).await.unwrap();
        journal.take(round + 100).await.unwrap();
        journal.finish(round).await;
        journal.finish(round + 100).await;
    }
    journal.close();
    assert_eq!(place.bytes().len(), record::HEADER_BYTES);
    assert_eq!(place.open().tokens(), []);
}

#[tokio::test]
async fn it_does_not_grow_while_one_release_stays() {
    let place = Place::new();
    let journal = place.open();
    journal.take(1).await.unwrap();
    let mut largest = 0;
    for number in 2..2000 {
        journal.take(number).await.unwrap();
        journal.finish(number).await;
        largest = largest.max(place.bytes().len());
    }
    assert!(largest < 200 * 1024, "{largest}");
    journal.close();
    assert_eq!(place.open().tokens(), [101]);
}

#[tokio::test]
async fn a_full_disk_refuses_the_release_and_leaves_nothing_of_it() {
    let place = Place::new();
    let (journal, faults) = place.with_faults();
    journal.take(1).await.unwrap();
    let before = place.bytes();
    for call in [Call::Write, Call::Sync] {
        faults.fail(call, 1);
        assert!(matches!(journal.take(2).await, Err(NotAccepted::Unwritten(_))), "{call:?}");
    }
    for bytes in [1, 30, 200] {
        faults.tear_after(bytes);
        assert!(matches!(journal.take(2).await, Err(NotAccepted::Unwritten(_))), "{bytes}");
    }
    assert_eq!(journal.tokens(), [101]);
    journal.take(3).await.unwrap();
    assert_eq!(place.bytes()[..before.len()], before);
    journal.close();
    assert_eq!(place.open().tokens(), [101, 103]);
}

#[tokio::test]
async fn nothing_is_added_behind_what_is_in_doubt() {
    let place = Place::new();
    let (journal, faults) = place.with_faults();
    journal.take(1).await.unwrap();
    // It was written, but perhaps not durably; and the file cannot be written anew.
    faults.fail(Call::Sync, 1);
    // Tried at once, after the answer, and before the next.
    faults.fail(Call::Rename, 3);
    assert!(matches!(journal.take(2).await, Err(NotAccepted::Unknown(_))));
    assert!(matches!(journal.take(3).await, Err(NotAccepted::Unwritten(_))), "still in doubt");
    assert_eq!(journal.tokens(), [101]);
    faults.end();
    journal.take(4).await.unwrap();
    journal.close();
    assert_eq!(place.open().tokens(), [101, 104]);
}

#[tokio::test]
async fn what_is_done_and_could_not_be_noted_is_found_again_and_nothing_else() {
    let place = Place::new();
    let (journal, faults) = place.with_faults();
    journal.take(1).await.unwrap();
    journal.take(2).await.unwrap();
    let copy = place.bytes();
    faults.fail(Call::Write, 1000);
    faults.fail(Call::Cut, 1000);
    journal.finish(1).await;
    assert_eq!(journal.tokens(), [102], "it is not carried out again in this life");
    // A crash now finds both: to carry one out twice does no harm.
    std::fs::write(place.directory.path().join("copy"), place.bytes()).unwrap();
    assert_eq!(place.bytes()[..copy.len()], copy);
    faults.end();
    journal.take(3).await.unwrap();
    journal.close();
    assert_eq!(place.open().tokens(), [102, 103]);
    let journal = Journal::open(Some(&place.directory.path().join("copy")), 3).unwrap();
    assert_eq!(journal.tokens(), [101, 102]);
    journal.close();
}
