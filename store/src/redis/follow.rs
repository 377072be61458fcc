//! Following what all instances commit.
//!
//! A message is `<sequence> <generation> <payload>`; an empty payload stands for a change that was
//! too large to publish. `M` tells that the marker changed, `P` is a trial.

use super::keys::Keys;
use super::link::Told;
use super::payload;
use super::store::RedisStore;
use crate::shared::{CHANGES_MAX, Change, CommittedChange};
use lockkeeper_core::Partition;
use std::str::FromStr;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

impl RedisStore {
    pub(super) fn follow_changes(&self) -> mpsc::Receiver<Change> {
        let mut told = self.link.subscribe();
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let (keys, incarnation) = (self.keys.clone(), self.incarnation);
        tokio::spawn(async move {
            loop {
                let told = tokio::select! {
                    () = sender.closed() => return,
                    told = told.recv() => told,
                };
                let Some(told) = told else { return };
                let sent = match told {
                    Told::Message { channel, payload } => {
                        let change = understand(&keys, incarnation, &channel, &payload);
                        change.map_or(Ok(()), |change| sender.try_send(change))
                    }
                    Told::Lost => sender.try_send(Change::Missed(None)),
                    Told::LostIn(partitions) => partitions
                        .into_iter()
                        .try_for_each(|partition| sender.try_send(Change::Missed(Some(partition)))),
                };
                match sent {
                    Ok(()) => {}
                    Err(TrySendError::Closed(_)) => return,
                    // The reader is slow. What comes meanwhile waits, and is bounded, in the link.
                    Err(TrySendError::Full(_)) => {
                        if sender.send(Change::Missed(None)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        changes
    }
}

/// What a message tells; `None`: nothing that is of interest.
fn understand(keys: &Keys, incarnation: u64, channel: &[u8], message: &[u8]) -> Option<Change> {
    let partition = keys.partition_of_channel(channel)?;
    match message {
        b"M" => return Some(Change::Marker(partition)),
        b"P" => return None,
        _ => {}
    }
    let change = committed(incarnation, partition, message);
    if change.is_none() {
        tracing::debug!(partition = partition.0, "a change that was not published whole");
    }
    Some(change.map_or(Change::Missed(Some(partition)), Change::Committed))
}

fn committed(incarnation: u64, partition: Partition, message: &[u8]) -> Option<CommittedChange> {
    let (sequence, rest) = split_number(message)?;
    let (generation, bytes) = split_number(rest)?;
    let payload::Payload { incarnation: whose, deltas, note } = payload::decode(bytes).ok()?;
    let own = whose == incarnation;
    Some(CommittedChange { partition, generation, sequence, own, deltas, note })
}

fn split_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let number = u64::from_str(std::str::from_utf8(&bytes[..end]).ok()?).ok()?;
    Some((number, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_changes_and_garbage_a_doubt() {
        let keys = Keys::new("lk", 0);
        let read = |message: &[u8]| understand(&keys, 7, b"{lk003}:e:0", message);
        let message =
            |incarnation| [b"12 34 ", payload::encode(incarnation, &[], b"note").as_slice()].concat();
        let missed = Some(Change::Missed(Some(Partition(3))));
        let Some(Change::Committed(change)) = read(&message(8)) else { panic!("a commit") };
        assert_eq!((change.sequence, change.generation, change.own), (12, 34, false));
        assert_eq!(change.note, b"note");
        let Some(Change::Committed(change)) = read(&message(7)) else { panic!("a commit") };
        assert!(change.own);
        assert_eq!(read(b"M"), Some(Change::Marker(Partition(3))));
        assert_eq!(read(b"P"), None);
        for garbage in [&b""[..], b"12", b"12 34 ", b"x 34 \x80", b"12 34 garbage", b" "] {
            assert_eq!(read(garbage), missed, "{garbage:?}");
        }
        assert_eq!(understand(&keys, 7, b"another channel", b"M"), None);
    }
}
