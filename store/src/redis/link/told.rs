//! What a subscription tells, and what happens when its reader is too slow.

use lockkeeper_core::Partition;
use redis::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Messages that may wait for their reader; if there are more, it is told that some are lost.
pub(crate) const TOLD_MAX: usize = 8192;

/// What a subscription tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A message.
    Message {
        /// Where it was published.
        channel: Vec<u8>,
        /// What.
        payload: Vec<u8>,
    },
    /// Messages of any partition may have been missed: told when all are followed for the first
    /// time or again, and after an overflow.
    Lost,
    /// The same for some partitions, where each master of a cluster is followed for itself.
    LostIn(Vec<Partition>),
}

/// The sending side.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    sender: mpsc::Sender<Told>,
    overflowed: Arc<AtomicBool>,
}

impl Teller {
    pub(super) fn new() -> (Self, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(TOLD_MAX);
        (Self { sender, overflowed: Arc::default() }, receiver)
    }

    /// Passes a message on, from its channel and payload. Never waits.
    pub(super) fn pass(&self, mut fields: impl Iterator<Item = Value>) {
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
            (fields.next(), fields.next())
        else {
            return;
        };
        if self.sender.try_send(Told::Message { channel, payload }).is_err() {
            self.overflowed.store(true, Ordering::Release);
        }
    }

    /// Tells something as soon as there is room for it.
    pub(super) async fn tell(&self, told: Told) {
        // If nobody listens any more there is nobody to miss it.
        let _ = self.sender.send(told).await;
    }

    /// Says so if messages were lost for want of room.
    pub(super) async fn catch_up(&self) {
        if self.overflowed.swap(false, Ordering::AcqRel) {
            self.tell(Told::Lost).await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_hears_that_some_are_lost() {
        let (teller, mut told) = Teller::new();
        let message = || [b"channel", b"payload"].map(|text| Value::BulkString(text.to_vec())).into_iter();
        for _ in 0..TOLD_MAX {
            teller.pass(message());
        }
        teller.catch_up().await;
        assert_eq!(told.len(), TOLD_MAX);
        teller.pass(message());
        let late = teller.clone();
        // There is no room for it yet.
        tokio::spawn(async move { late.catch_up().await });
        for _ in 0..TOLD_MAX {
            assert!(matches!(told.recv().await, Some(Told::Message { .. })));
        }
        assert_eq!(told.recv().await, Some(Told::Lost));
    }
}
