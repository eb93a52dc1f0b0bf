//! The stored form of the records of one call and one shard: the payload of a `Records` frame. Drawn
//! in `docs/fragment-log-format.md`. Arrival time and first sequence index are in the frame's header.
//!
//! Decoding takes hostile bytes: it refuses, it never panics, and it copies nothing.

use bytes::{BufMut, Bytes, BytesMut};

/// The form that this program writes and reads.
const FORM: u8 = 0;
/// Form, three reserved bytes, count.
const HEAD: usize = 8;
/// Length of the data, length of the partition key.
const ROW: usize = 6;

/// One record, as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// UTF-8, 1 to 256 characters.
    pub partition_key: Bytes,
    /// What it says.
    pub data: Bytes,
}

impl Record {
    /// Bytes that count towards limits: data and partition key.
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// The records of one frame, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch(pub Vec<Record>);

/// Why bytes are not the records of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordError(&'static str);

impl RecordBatch {
    /// The stored form in parts: lengths and keys, then the data as it is.
    ///
    /// # Errors
    /// Where a partition key is longer than 65,535 bytes, or data or the number of records is 4 Gi or more.
    pub fn encode(&self) -> Result<Vec<Bytes>, RecordError> {
        let keys: usize = self.0.iter().map(|record| record.partition_key.len()).sum();
        let mut head = BytesMut::with_capacity(HEAD + ROW * self.0.len() + keys);
        let too_many = |_| RecordError("more records than a frame counts");
        head.put_slice(&[FORM, 0, 0, 0]);
        head.put_u32_le(u32::try_from(self.0.len()).map_err(too_many)?);
        for record in &self.0 {
            let too_long = |_| RecordError("a record's data is too long");
            head.put_u32_le(u32::try_from(record.data.len()).map_err(too_long)?);
            let too_long = |_| RecordError("a partition key is too long");
            head.put_u16_le(u16::try_from(record.partition_key.len()).map_err(too_long)?);
        }
        self.0.iter().for_each(|record| head.put_slice(&record.partition_key));
        let data = self.0.iter().map(|record| record.data.clone()).filter(|data| !data.is_empty());
        Ok(std::iter::once(head.freeze()).chain(data).collect())
    }

    /// Reads a payload; the records are slices of it.
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with it.
    pub fn decode(payload: &Bytes) -> Result<Self, RecordError> {
        let (head, rest) = payload.split_first_chunk::<HEAD>().ok_or(RecordError("the head is cut off"))?;
        let [FORM, 0, 0, 0, count @ ..] = *head else {
            return Err(RecordError("the records are of an unknown form"));
        };
        let count =
            usize::try_from(u32::from_le_bytes(count)).map_err(|_| RecordError("too many records"))?;
        let table = count.checked_mul(ROW).and_then(|len| rest.get(..len));
        let table = table.ok_or(RecordError("the table of lengths is cut off"))?;
        let mut key_at = HEAD + table.len();
        let mut data_at = key_at + table.chunks_exact(ROW).map(|row| lengths(row).1).sum::<usize>();
        let mut records = Vec::with_capacity(count);
        for (data, key) in table.chunks_exact(ROW).map(lengths) {
            let cut = || RecordError("a record is cut off");
            let key_end = key_at + key;
            let data_end = data_at.checked_add(data).filter(|end| *end <= payload.len()).ok_or_else(cut)?;
            let record = Record {
                partition_key: payload.slice(key_at..key_end),
                data: payload.slice(data_at..data_end),
            };
            if std::str::from_utf8(&record.partition_key).is_err() {
                return Err(RecordError("a partition key is not UTF-8"));
            }
            records.push(record);
            (key_at, data_at) = (key_end, data_end);
        }
        if data_at == payload.len() { Ok(Self(records)) } else { Err(RecordError("bytes are left over")) }
    }
}

/// Data and partition key.
fn lengths(row: &[u8]) -> (usize, usize) {
    let [a, b, c, d, e, f] = *row else { return (usize::MAX, 0) };
    (u32::from_le_bytes([a, b, c, d]) as usize, usize::from(u16::from_le_bytes([e, f])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_batch() -> impl Strategy<Value = RecordBatch> {
        let record = (".{0,20}", proptest::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(key, data)| Record { partition_key: Bytes::from(key), data: Bytes::from(data) });
        proptest::collection::vec(record, 0..20).prop_map(RecordBatch)
    }

    fn stored(batch: &RecordBatch) -> Bytes {
        Bytes::from(batch.encode().unwrap().concat())
    }

    #[test]
    fn the_written_form_stays() {
        let record = |key: &'static str, data: &'static str| Record {
            partition_key: Bytes::from_static(key.as_bytes()),
            data: Bytes::from_static(data.as_bytes()),
        };
        let batch = RecordBatch(vec![record("k", "abc"), record("key", "")]);
        let bytes = b"\0\0\0\0\x02\0\0\0\x03\0\0\0\x01\0\0\0\0\0\x03\0kkeyabc";
        assert_eq!(stored(&batch), &bytes[..]);
    }

    proptest! {
        #[test]
        fn batches_round_trip(batch in any_batch()) {
            prop_assert_eq!(RecordBatch::decode(&stored(&batch)), Ok(batch));
        }

        #[test]
        fn a_byte_more_or_less_is_refused(batch in any_batch(), byte: u8) {
            let bytes = stored(&batch);
            prop_assert!(RecordBatch::decode(&bytes.slice(..bytes.len() - 1)).is_err());
            prop_assert!(RecordBatch::decode(&Bytes::from([&bytes[..], &[byte]].concat())).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = RecordBatch::decode(&Bytes::from(bytes.clone()));
            let _ = RecordBatch::decode(&Bytes::from([&[0, 0, 0, 0, 3, 0, 0, 0][..], &bytes].concat()));
        }
    }
}
