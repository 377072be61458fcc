//! Markers, sealing and opening, writing back, and what changed: see `shared.rs` of the contract.

use super::commit::{field_name, small_enough};
use super::error::{unavailable, unknown};
use super::payload;
use super::reading::Looked;
use super::reply::{Reply, garbled};
use super::scripts::{FORMAT, FORMAT_LEAST, LOOK, OPEN, SEAL, SIGN, STAGE, VERSIONS, WRITE_BACK};
use super::store::{RedisStore, micros, number};
use crate::contract::{StoreError, StoredDocument};
use crate::shared::{ChangedSince, Marker, MarkerState, Opening, Signature, Signed, WrittenBack};
use futures_util::{StreamExt, TryStreamExt, stream};
use lockkeeper_core::{Delta, Header, Partition, ResourceId, Timestamp, Version};
use std::time::Duration;

/// Markers that are looked at at once.
const LOOKS: usize = 64;
/// Documents whose versions are read at once.
const VERSIONS_AT_ONCE: usize = 200;
/// A partition that is opened or sealed while its changes are read is begun again so often.
const CHANGES_TRIES: usize = 4;
/// What is written back in one call; a document with more is staged in parts of about this size.
const PART_FIELDS: usize = 2000;
/// The same in bytes.
const PART_BYTES: usize = 1024 * 1024;
/// Staged fields are forgotten after this long.
const STAGED_LIFE: Duration = Duration::from_secs(60);
/// Staging that was lost is begun again so often.
const STAGE_TRIES: usize = 3;
/// A written-back document that is larger than this is not published but only its change.
const PUBLISHED_BYTES_MAX: usize = 64 * 1024;

impl RedisStore {
    pub(super) async fn look_at_markers(&self) -> Result<Vec<Marker>, StoreError> {
        let looks = stream::iter(0..=u8::MAX).map(|number| self.look_at_marker(Partition(number)));
        looks.buffered(LOOKS).try_collect().await
    }

    async fn look_at_marker(&self, partition: Partition) -> Result<Marker, StoreError> {
        let keys = [self.keys.marker(partition), self.keys.seal(partition)];
        let mut reply = self.call(partition, &LOOK, &keys, &[]).await.map_err(unavailable)??;
        Ok(marker(partition, self.looked(partition, &mut reply)?))
    }

    pub(super) async fn read_changes(
        &self,
        partition: Partition,
        sequence: u64,
    ) -> Result<ChangedSince, StoreError> {
        'again: for _ in 0..CHANGES_TRIES {
            let (looked, mut ids, mut next) = self.read_ids_since(partition, sequence).await?;
            while let Some(after) = next {
                let (now, more, after) = self.read_ids_since(partition, after).await?;
                if (now.is_open, now.generation) != (looked.is_open, looked.generation) {
                    continue 'again;
                }
                ids.extend(more);
                next = after;
            }
            ids.sort_unstable();
            ids.dedup();
            let mut documents = Vec::with_capacity(ids.len());
            for ids in ids.chunks(VERSIONS_AT_ONCE) {
                self.read_versions(partition, ids, &mut documents).await?;
            }
            return Ok(ChangedSince { marker: marker(partition, looked), documents });
        }
        Err(StoreError::Unavailable(format!("partition {} is being opened or sealed", partition.0)))
    }

    async fn read_versions(
        &self,
        partition: Partition,
        ids: &[ResourceId],
        documents: &mut Vec<(ResourceId, Version)>,
    ) -> Result<(), StoreError> {
        let keys: Vec<_> = ids.iter().map(|id| self.keys.document(*id)).collect();
        let mut reply = self.call(partition, &VERSIONS, &keys, &[]).await.map_err(unavailable)??;
        for id in ids {
            documents.extend(reply.rest.version()?.map(|version| (*id, version)));
        }
        Ok(())
    }

    pub(super) async fn sign_seal(
        &self,
        partition: Partition,
        signature: Signature,
    ) -> Result<Signed, StoreError> {
        small_enough(signature.generation)?;
        small_enough(signature.token)?;
        let keys = [self.keys.marker(partition), self.keys.seal(partition)];
        // Only the sealing that was signed before can have been finished.
        let finished = self.partitions.signed_at(partition).filter(|_| signature.finished);
        let args = [
            number(FORMAT),
            number(self.incarnation),
            number(signature.generation),
            number(signature.token),
            number(u64::from(!signature.finished)),
            finished.map_or_else(Vec::new, |sealed_at| number(sealed_at.as_micros())),
        ];
        // A commit that is answered from now on cannot be among what is written back.
        self.partitions.sealed(partition);
        let mut reply = self.call(partition, &SIGN, &keys, &args).await.map_err(unknown)??;
        let numbers = self.numbers(partition, &mut reply)?;
        match reply.word.as_str() {
            "SEALED" => {
                let sealed_at = Timestamp::from_micros(reply.rest.number()?);
                self.partitions.signed(partition, sealed_at);
                Ok(Signed::Sealed(sealed_at))
            }
            "OPEN" => {
                self.partitions.open(partition, numbers);
                Ok(Signed::Open { generation: numbers.generation })
            }
            _ => Err(reply.unexpected().into()),
        }
    }

    pub(super) async fn open_seal(
        &self,
        partition: Partition,
        settle: Duration,
        settle_max: Duration,
    ) -> Result<Opening, StoreError> {
        let keys = [self.keys.marker(partition), self.keys.seal(partition)];
        let args = [
            number(FORMAT),
            micros(settle),
            micros(settle_max),
            self.publish_word(),
            self.keys.channel(partition),
            number(FORMAT_LEAST),
        ];
        let mut reply = self.call(partition, &OPEN, &keys, &args).await.map_err(unknown)??;
        let numbers = self.numbers(partition, &mut reply)?;
        match reply.word.as_str() {
            "OPEN" => {
                self.partitions.open(partition, numbers);
                Ok(Opening::Open { generation: numbers.generation })
            }
            "NOTBEFORE" => Ok(Opening::NotBefore(Timestamp::from_micros(reply.rest.number()?))),
            "UNSIGNED" => Ok(Opening::Unsigned),
            _ => Err(reply.unexpected().into()),
        }
    }

    pub(super) async fn seal_partition(
        &self,
        partition: Partition,
        generation: u64,
    ) -> Result<(), StoreError> {
        let keys = [self.keys.marker(partition), self.keys.seal(partition)];
        let args = [number(generation), self.publish_word(), self.keys.channel(partition)];
        let mut reply = self.call(partition, &SEAL, &keys, &args).await.map_err(unknown)??;
        let numbers = self.numbers(partition, &mut reply)?;
        match reply.word.as_str() {
            "SEALED" => {}
            // Another generation: what vanished, vanished before its opening.
            "OPEN" => self.partitions.open(partition, numbers),
            _ => return Err(reply.unexpected().into()),
        }
        Ok(())
    }

    pub(super) async fn write_document_back(
        &self,
        document: StoredDocument,
    ) -> Result<WrittenBack, StoreError> {
        let StoredDocument { id, version, header, fields } = document;
        small_enough(version.generation)?;
        small_enough(version.counter)?;
        let partition = id.partition();
        let next = Header { version, bytes: header.clone() };
        let whole = fields.iter().map(|(field, bytes)| (*field, Some(bytes.clone()))).collect();
        let delta = Delta { id, expected: None, next: Some(next), fields: whole };
        let mut payload = payload::encode(self.incarnation, &[delta], &[]);
        if payload.len() > PUBLISHED_BYTES_MAX {
            payload.clear();
        }
        let mut args = vec![
            number(FORMAT),
            number(version.generation),
            number(version.counter),
            header,
            self.publish_word(),
            self.keys.channel(partition),
            payload,
            id.to_string().into_bytes(),
        ];
        let fields: Vec<_> = fields.into_iter().map(|(field, bytes)| (field_name(field), bytes)).collect();
        let parts = parts(&fields);
        let staged_key = self.keys.staged(id, self.incarnation);
        let keys = [
            self.keys.marker(partition),
            self.keys.changes(partition),
            self.keys.document(id),
            self.keys.log(id),
            staged_key.clone(),
        ];
        args.push(number(u64::from(parts.len() > 1)));
        if let [part] = parts.as_slice() {
            args.extend(part.iter().flat_map(|(name, bytes)| [name.clone(), bytes.clone()]));
        }
        for _ in 0..STAGE_TRIES {
            if parts.len() > 1 && !self.stage(partition, &staged_key, &parts).await? {
                continue;
            }
            let mut reply = self.call(partition, &WRITE_BACK, &keys, &args).await.map_err(unknown)??;
            self.numbers(partition, &mut reply)?;
            return match reply.word.as_str() {
                "UNSTAGED" => continue,
                "TAKEN" => Ok(WrittenBack::Taken),
                "SAME" => Ok(WrittenBack::Same),
                "NEWER" => match reply.rest.version()? {
                    Some(version) => Ok(WrittenBack::Newer(version)),
                    None => Err(garbled("a newer version that is none").into()),
                },
                "LOST" => Ok(WrittenBack::Lost(reply.rest.version()?)),
                _ => Err(reply.unexpected().into()),
            };
        }
        Err(StoreError::Unavailable(format!(
            "the fields of document {id} do not stay until they are written"
        )))
    }

    /// Brings the fields of a large document to the server, part by part; false: begin again.
    async fn stage(
        &self,
        partition: Partition,
        key: &[u8],
        parts: &[&[(Vec<u8>, Vec<u8>)]],
    ) -> Result<bool, StoreError> {
        for (place, part) in parts.iter().enumerate() {
            let mut args = vec![number(u64::from(place == 0)), number(STAGED_LIFE.as_millis() as u64)];
            args.extend(part.iter().flat_map(|(name, bytes)| [name.clone(), bytes.clone()]));
            let reply: Reply =
                self.call(partition, &STAGE, &[key.to_vec()], &args).await.map_err(unavailable)??;
            match reply.word.as_str() {
                "STAGED" => {}
                "UNSTAGED" => return Ok(false),
                _ => return Err(reply.unexpected().into()),
            }
        }
        Ok(true)
    }
}

fn marker(partition: Partition, looked: Looked) -> Marker {
    let state = if looked.is_open {
        MarkerState::Open
    } else {
        MarkerState::Sealed(looked.sealed_at_micros.map(Timestamp::from_micros))
    };
    Marker {
        partition,
        state,
        generation: looked.generation,
        sequence: looked.sequence,
        lost_before: looked.lost_before,
    }
}

/// Cuts fields into parts that can be sent at once; one, perhaps empty, if all can.
fn parts(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<&[(Vec<u8>, Vec<u8>)]> {
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, (name, record)) in fields.iter().enumerate() {
        if at > begin && (at - begin >= PART_FIELDS || bytes >= PART_BYTES) {
            parts.push(&fields[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += name.len() + record.len();
    }
    parts.push(&fields[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_it_and_none_is_too_large() {
        let fields = |count: usize, bytes: usize| vec![(vec![0; 9], vec![0; bytes]); count];
        for (count, bytes, expected) in
            [(0, 0, 1), (1, 10, 1), (2000, 10, 1), (2001, 10, 2), (10_000, 1, 5), (3, PART_BYTES, 3)]
        {
            let fields = fields(count, bytes);
            let parts = parts(&fields);
            assert_eq!(parts.len(), expected, "{count} of {bytes}");
            assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), count);
        }
    }
}
