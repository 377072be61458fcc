//! Who shares the store: a sorted set of records by the instant until which they hold.
//!
//! A record is CBOR, an array of format, id, incarnation, address, version, started at (µs), lease
//! (µs). When its instance was last seen follows from the lease and the instant.

use super::error::unknown;
use super::reply::{Garbled, Reply, garbled};
use super::scripts::ANNOUNCE;
use super::store::{RedisStore, micros, number};
use crate::contract::StoreError;
use crate::shared::InstanceRecord;
use lockkeeper_core::{Partition, Timestamp};
use minicbor::{Decoder, Encoder};
use parking_lot::Mutex;
use std::time::Duration;

const RECORD_FORMAT: u64 = 1;

/// The record that stands in the store.
#[derive(Debug, Default)]
pub(super) struct Announced(Mutex<Option<Vec<u8>>>);

impl RedisStore {
    pub(super) async fn announce_instance(
        &self,
        record: InstanceRecord,
        lease: Duration,
    ) -> Result<Vec<InstanceRecord>, StoreError> {
        let bytes = encode(&record, lease);
        let former = self.announced.0.lock().replace(bytes.clone());
        if let Some(former) = former.filter(|former| *former != bytes) {
            self.call_announce(former, number(0)).await?;
        }
        let lease = lease.max(Duration::from_micros(1));
        let mut reply = self.call_announce(bytes, micros(lease)).await?;
        let mut records = Vec::with_capacity(reply.rest.len() / 2);
        let mut former_lives = Vec::new();
        while !reply.rest.is_empty() {
            let (bytes, until) = (reply.rest.bytes()?, reply.rest.number()?);
            match decode(&bytes, until) {
                // A former life of this instance, which could not take its record back.
                Ok(other) if other.id == record.id && other.incarnation != record.incarnation => {
                    former_lives.push(bytes);
                }
                Ok(other) => records.push(other),
                // A newer version may write what is not understood here; it is only for the eyes.
                Err(_) => {}
            }
        }
        for former in former_lives {
            self.call_announce(former, number(0)).await?;
        }
        records
            .sort_unstable_by(|one, other| (&one.id, &one.incarnation).cmp(&(&other.id, &other.incarnation)));
        Ok(records)
    }

    pub(super) async fn leave_instances(&self) -> Result<(), StoreError> {
        let former = self.announced.0.lock().take();
        match former {
            Some(former) => self.call_announce(former, number(0)).await.map(drop),
            None => Ok(()),
        }
    }

    async fn call_announce(&self, record: Vec<u8>, lease: Vec<u8>) -> Result<Reply, StoreError> {
        let keys = [self.keys.instances()];
        let reply = self.call(Partition(0), &ANNOUNCE, &keys, &[record, lease]).await;
        reply.map_err(unknown)?
    }
}

fn encode(record: &InstanceRecord, lease: Duration) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    let lease = u64::try_from(lease.as_micros()).unwrap_or(u64::MAX);
    let written = e
        .array(7)
        .and_then(|e| e.u64(RECORD_FORMAT))
        .and_then(|e| e.str(&record.id))
        .and_then(|e| e.str(&record.incarnation))
        .and_then(|e| e.str(&record.address))
        .and_then(|e| e.str(&record.version))
        .and_then(|e| e.u64(record.started_at.as_micros()))
        .and_then(|e| e.u64(lease))
        .map(drop);
    match written {
        Ok(()) => e.into_writer(),
        Err(error) => unreachable!("writing to memory cannot fail: {error}"),
    }
}

fn decode(bytes: &[u8], until_micros: u64) -> Result<InstanceRecord, Garbled> {
    let read = |d: &mut Decoder<'_>| -> Result<InstanceRecord, minicbor::decode::Error> {
        d.array()?;
        if d.u64()? != RECORD_FORMAT {
            return Err(minicbor::decode::Error::message("a record of another format"));
        }
        let mut text = || d.str().map(str::to_owned);
        let (id, incarnation, address, version) = (text()?, text()?, text()?, text()?);
        let (started_at, lease) = (Timestamp::from_micros(d.u64()?), d.u64()?);
        let seen_at = Timestamp::from_micros(until_micros.saturating_sub(lease));
        Ok(InstanceRecord { id, incarnation, address, version, started_at, seen_at })
    };
    read(&mut Decoder::new(bytes)).map_err(|error| garbled(format!("an instance's record: {error}")))
}
