//! Keys: the master key wraps a table key, which seals the table of stream data keys.

mod master;

pub use master::MasterKey;

use base::StreamId;

use crate::LogError;

/// The keys of one installation, in memory and in the key table.
pub struct Keyring;

impl Keyring {
    /// Makes the stream's data key and makes it durable. Blocks on the disk. A stream that has a key keeps it.
    pub fn create_stream_key(&self, stream: StreamId) -> Result<(), LogError> {
        todo!("key table for {stream}")
    }

    /// Destroys the stream's data keys: what they sealed can never be opened again. Blocks on the disk.
    pub fn destroy_stream_key(&self, stream: StreamId) -> Result<(), LogError> {
        todo!("key table for {stream}")
    }

    /// Whether the stream has a key.
    pub fn has_stream_key(&self, stream: StreamId) -> bool {
        todo!("key table for {stream}")
    }

    /// A secret of this installation for one purpose: the same for the same label, for ever.
    pub fn derive(&self, label: &[u8]) -> [u8; 32] {
        todo!("derive {label:?}")
    }

    /// Seals a small value for a view's row. `context` (table and row, say) must be the same to open it.
    pub fn seal_blob(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        todo!("seal {} {}", context.len(), plain.len())
    }

    /// Opens what [`Self::seal_blob`] sealed; `None` where it was changed or the context differs.
    pub fn open_blob(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        todo!("open {} {}", context.len(), sealed.len())
    }
}
