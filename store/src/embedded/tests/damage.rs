//! Files that are not what was written: an error that names them, or the right data. Never a
//! panic, never an empty start, and never a change of the file.

use super::super::{DATA_FILE, EmbeddedOptions, EmbeddedStore, OpenError};
use super::{DEADLINE, Dice, Place, content, fill};
use crate::conformance::make::id;
use crate::contract::{Store, StoreError};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Documents in the file that is damaged.
const DOCUMENTS: u64 = 150;
/// Places that are flipped all over the file, each in a run of its own.
const FLIPS: usize = 250;

/// The bytes of a good file: closed in order, or as a kill leaves it.
async fn good_file(killed: bool) -> Vec<u8> {
    let place = Place::new();
    let store = place.open();
    fill(&*store, 0..DOCUMENTS).await;
    if !killed {
        drop(store);
    }
    fs::read(place.file()).unwrap()
}

/// What became of opening these bytes.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Refused,
    Whole,
    /// All but the last transaction: what a torn write looks like, which after a kill is normal.
    WithoutTheLast,
}

async fn open_damaged(bytes: &[u8], what: &str) -> Seen {
    let place = Place::new();
    fs::create_dir_all(place.data_dir()).unwrap();
    fs::write(place.file(), bytes).unwrap();
    let opened = EmbeddedStore::open(EmbeddedOptions { cache_bytes: 1 << 20, ..place.options() });
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            assert!(
                matches!(error, OpenError::Damaged { .. } | OpenError::NewerFormat { .. }),
                "{what}: {error:?}"
            );
            assert!(error.to_string().contains(DATA_FILE), "{what}: {error}");
            assert!(fs::read(place.file()).unwrap() == bytes, "{what}: a refused file must not change");
            return Seen::Refused;
        }
    };
    let page = store.list(None, DOCUMENTS as usize + 1).await.unwrap();
    for (number, document) in (0..).zip(&page.documents) {
        assert_eq!(document.id, id(1, number), "{what}");
        let fields: Vec<_> = document.fields.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(fields, (0..3).map(|seq| content(number, seq)).collect::<Vec<_>>(), "{what}");
    }
    match DOCUMENTS - page.documents.len() as u64 {
        0 => Seen::Whole,
        1 => Seen::WithoutTheLast,
        missing => panic!("{what}: {missing} documents are gone"),
    }
}

#[tokio::test]
async fn files_cut_short_are_refused() {
    let good = good_file(false).await;
    let mut dice = Dice(0x5eed);
    let mut lengths =
        vec![0, 1, 8, 9, 63, 64, 320, 511, 512, 4095, 4096, 4097, good.len() - 1, good.len() - 4096];
    lengths.extend((0..40).map(|_| dice.below(good.len() as u64) as usize));
    for length in lengths {
        assert_eq!(open_damaged(&good[..length], &format!("cut to {length}")).await, Seen::Refused);
    }
    for rubbish in [vec![0; 8192], b"not a database".to_vec(), vec![0xff; 1 << 16]] {
        assert_eq!(open_damaged(&rubbish, "rubbish").await, Seen::Refused);
    }
    assert_eq!(open_damaged(&good, "untouched").await, Seen::Whole);
}

#[tokio::test]
async fn a_flipped_byte_is_noticed_or_harmless() {
    for killed in [false, true] {
        let good = good_file(killed).await;
        assert_eq!(open_damaged(&good, "untouched").await, Seen::Whole);
        let mut dice = Dice(0xdead_beef);
        // The header decides about everything else: every byte of it, and places all over.
        let header = (0..320).step_by(if killed { 3 } else { 2 });
        // Most of a young file is zeros, where a flip shows nothing.
        let somewhere = std::iter::repeat_with(|| dice.below(good.len() as u64))
            .filter(|place| good[*place as usize] != 0)
            .take(FLIPS);
        let places: Vec<u64> = header.chain(somewhere).collect();
        let mut dice = Dice(0xf11b);
        let mut refused = 0;
        for place in places {
            let mut bytes = good.clone();
            let mask = 1 << dice.below(8) | 1 << dice.below(8);
            bytes[place as usize] ^= mask;
            let what = format!("killed {killed}, byte {place} flipped by {mask:#x}");
            match open_damaged(&bytes, &what).await {
                Seen::Refused => refused += 1,
                Seen::Whole => {}
                Seen::WithoutTheLast => assert!(killed, "{what}"),
            }
        }
        assert!(refused > 20, "{refused}");
    }
}

/// Damage that appears while the server runs.
#[tokio::test]
async fn a_page_that_goes_bad_under_a_running_store_is_named() {
    let place = Place::new();
    fill(&*place.open(), 0..2_000).await;
    // So little memory that every read goes to the disk.
    let store = EmbeddedStore::open(EmbeddedOptions { cache_bytes: 0, ..place.options() }).unwrap();
    let mut damaged = 0;
    let path = place.file();
    let needle = content(1_234, 1);
    let bytes = fs::read(&path).unwrap();
    for at in
        bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).map(|(at, _)| at)
    {
        flip(&path, at as u64);
    }
    match store.load(id(1, 1_234)).await {
        Err(StoreError::Damaged(text)) => {
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            damaged += 1;
        }
        other => panic!("{other:?}"),
    }
    // Whole pages of zeros: whatever redb makes of them, it is not the end of the process.
    for page in (4..bytes.len() / 4096).step_by(2) {
        write_at(&path, (page * 4096) as u64, &[0; 4096]);
    }
    for number in 0..2_000 {
        let start = Instant::now();
        let outcome = loop {
            match store.load(id(1, number)).await {
                // The writer is opening the file again.
                Err(StoreError::Unavailable(_)) if start.elapsed() < DEADLINE => {
                    tokio::task::yield_now().await;
                }
                outcome => break outcome,
            }
        };
        match outcome {
            Ok(loaded) => {
                let fields = loaded.document.map(|document| document.fields);
                assert!(fields.is_none_or(|fields| fields[1].1 == content(number, 1)), "document {number}");
            }
            Err(StoreError::Damaged(_)) => damaged += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(damaged > 1, "{damaged}");
}

fn flip(path: &Path, at: u64) {
    let mut byte = [0];
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, at).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[byte[0] ^ 1], at).unwrap();
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, at).unwrap();
}
