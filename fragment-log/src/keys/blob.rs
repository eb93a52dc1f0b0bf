//! Small sealed values for the rows of views, so that no secret or tag value is in the clear on disk.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::Keyring;

/// The first byte names the whole form.
const FORM: u8 = 1;
/// Random bytes in front: the first half chooses the key, the second is the nonce. Neither could be
/// random alone, since views are rebuilt often and one key takes only 2^32 random nonces.
const SALT: usize = 2 * NONCE_LEN;

impl Keyring {
    /// Seals a small value for a view's row under the installation's key. `context` (table, column
    /// and row, say) must be the same to open it. The result is 41 bytes longer than `plain`.
    pub fn seal_blob(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let salt: [u8; SALT] = self.entropy.bytes();
        let (key, nonce) = self.blob_key(&salt);
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(context), &mut sealed)
            .expect("a row's value is far below the cipher's limit of 64 GiB");
        [&[FORM], &salt[..], &sealed].concat()
    }

    /// Opens what [`Self::seal_blob`] sealed; `None` where it was changed or the context differs.
    pub fn open_blob(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (salt, sealed) = sealed.strip_prefix(&[FORM])?.split_first_chunk::<SALT>()?;
        let (key, nonce) = self.blob_key(salt);
        let mut plain = sealed.to_vec();
        let len = key.open_in_place(nonce, Aad::from(context), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }

    fn blob_key(&self, salt: &[u8; SALT]) -> (LessSafeKey, Nonce) {
        let key = self.installation.derive(b"millrace blob 1", &salt[..NONCE_LEN]);
        let nonce = Nonce::try_assume_unique_for_key(&salt[NONCE_LEN..]).expect("half the salt is a nonce");
        (key.aead(), nonce)
    }
}
