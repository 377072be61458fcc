//! The names of everything in Redis. `docs/redis-keys.md` is the same in prose.
//!
//! All keys of a partition carry its tag `{<prefix>NNN}`, and so share a slot of a cluster.

use lockkeeper_core::{Partition, ResourceId};

/// Names of keys, for one prefix and database.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    database: u32,
}

impl Keys {
    pub(super) fn new(prefix: &str, database: u32) -> Self {
        Self { prefix: prefix.to_owned(), database }
    }

    /// Whether a partition can be used, and its numbers.
    pub(super) fn marker(&self, partition: Partition) -> Vec<u8> {
        self.key(partition, "m")
    }

    /// Who has signed a sealed partition.
    pub(super) fn seal(&self, partition: Partition) -> Vec<u8> {
        self.key(partition, "s")
    }

    /// All documents of a partition by their latest commit.
    pub(super) fn changes(&self, partition: Partition) -> Vec<u8> {
        self.key(partition, "c")
    }

    /// Where commits are published.
    pub(super) fn channel(&self, partition: Partition) -> Vec<u8> {
        self.key(partition, &format!("e:{}", self.database))
    }

    /// Written and read to see whether that is possible.
    pub(super) fn probe(&self, partition: Partition) -> Vec<u8> {
        self.key(partition, "p")
    }

    pub(super) fn document(&self, id: ResourceId) -> Vec<u8> {
        self.key(id.partition(), &format!("d:{id}"))
    }

    /// The latest commits of a document.
    pub(super) fn log(&self, id: ResourceId) -> Vec<u8> {
        self.key(id.partition(), &format!("l:{id}"))
    }

    /// Fields on their way into a document.
    pub(super) fn staged(&self, id: ResourceId, incarnation: u64) -> Vec<u8> {
        self.key(id.partition(), &format!("t:{id}:{incarnation}"))
    }

    /// Who lives. In the first partition's slot, since a key must be somewhere.
    pub(super) fn instances(&self) -> Vec<u8> {
        self.key(Partition(0), "instances")
    }

    /// The format that the store was made with.
    pub(super) fn format(&self) -> Vec<u8> {
        self.key(Partition(0), "format")
    }

    /// The partition whose channel this is.
    pub(super) fn partition_of_channel(&self, channel: &[u8]) -> Option<Partition> {
        let digits = channel.strip_prefix(b"{")?.strip_prefix(self.prefix.as_bytes())?.get(..3)?;
        let partition = Partition(std::str::from_utf8(digits).ok()?.parse().ok()?);
        (self.channel(partition) == channel).then_some(partition)
    }

    fn key(&self, partition: Partition, rest: &str) -> Vec<u8> {
        format!("{{{}{:03}}}:{rest}", self.prefix, partition.0).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_was_promised_to_stores_already_written() {
        let keys = Keys::new("lk", 3);
        let text = |key: Vec<u8>| String::from_utf8(key).unwrap();
        let id = ResourceId(0x0700_0000_0000_00ff);
        assert_eq!(text(keys.marker(Partition(7))), "{lk007}:m");
        assert_eq!(text(keys.document(id)), "{lk007}:d:07000000000000ff");
        assert_eq!(text(keys.channel(Partition(255))), "{lk255}:e:3");
        assert_eq!(text(keys.instances()), "{lk000}:instances");
    }

    #[test]
    fn a_channel_leads_back_to_its_partition() {
        let keys = Keys::new("lk", 0);
        assert_eq!(keys.partition_of_channel(b"{lk042}:e:0"), Some(Partition(42)));
        for other in ["{lk042}:e:1", "{lk256}:e:0", "{lk42}:e:0", "{lx042}:e:0", "", "{lk", "{lk+42}:e:0"] {
            assert_eq!(keys.partition_of_channel(other.as_bytes()), None, "{other}");
        }
    }
}
