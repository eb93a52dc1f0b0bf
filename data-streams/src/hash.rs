//! Which shard a partition key belongs to.

use catalog::Shard;
use md5::{Digest, Md5};

/// The hash of a partition key: MD5 of its UTF-8 bytes as a big-endian number (PutRecord).
pub fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// The shard that takes this hash, among shards in the order of their ranges, which leave no hash out.
pub fn shard_of(shards: &[Shard], hash: u128) -> Option<&Shard> {
    let after = shards.partition_point(|shard| shard.start <= hash);
    shards.get(after.checked_sub(1)?).filter(|shard| hash <= shard.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Timestamp;

    #[test]
    fn keys_hash_as_aws_says() {
        // `printf a | md5sum`
        assert_eq!(hash_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
        assert_eq!(hash_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }

    #[test]
    fn both_ends_of_a_range_belong_to_it() {
        let created = Timestamp::from_millis(0);
        let shard = |id, start, end| Shard { id, created, start, end };
        let shards = [shard(0, 0, 9), shard(1, 10, u128::MAX)];
        for (hash, id) in [(0, 0), (9, 0), (10, 1), (u128::MAX, 1)] {
            assert_eq!(shard_of(&shards, hash).unwrap().id, id);
        }
        assert!(shard_of(&[], 1).is_none());
    }
}
