//! Making and revoking access keys and device credentials.

use std::sync::Arc;

use super::Writer;
use crate::command::Command;
use crate::{AccessKey, Allow, CatalogError, Device, DeviceCredential, Policy, Secret, StreamGlob};

impl Writer {
    /// A new access key, of random or of the given id and secret, that may do what `policy` says.
    pub fn create_access_key(
        &mut self,
        chosen: Option<(String, Secret)>,
        policy: Option<Policy>,
    ) -> Result<Arc<AccessKey>, CatalogError> {
        let now = self.clock.now();
        let key = match chosen {
            Some((id, secret)) => AccessKey::chosen(id, secret, now)?,
            None => AccessKey::generate(self.entropy.as_ref(), false, now),
        };
        self.add_access_key(AccessKey { policy, ..key })
    }

    /// The root key: the one that stands, else a new one.
    pub fn root_key(&mut self) -> Result<Arc<AccessKey>, CatalogError> {
        let standing = |key: &&Arc<AccessKey>| key.root && key.revoked.is_none();
        let found = self.state.read().access_keys().values().find(standing).cloned();
        match found {
            Some(key) => Ok(key),
            None => {
                let key = AccessKey::generate(self.entropy.as_ref(), true, self.clock.now());
                self.add_access_key(key)
            }
        }
    }

    fn add_access_key(&mut self, key: AccessKey) -> Result<Arc<AccessKey>, CatalogError> {
        self.check_room()?;
        if self.state.read().access_keys().contains_key(&key.id) {
            return Err(CatalogError::AccessKeyExists(key.id));
        }
        self.commit(&Command::PutAccessKey(key.clone()))?;
        Ok(Arc::new(key))
    }

    pub fn create_device(
        &mut self,
        streams: StreamGlob,
        allow: Allow,
    ) -> Result<DeviceCredential, CatalogError> {
        self.check_room()?;
        let (device, credential) = Device::generate(self.entropy.as_ref(), streams, allow, self.clock.now());
        self.commit(&Command::PutDevice(device))?;
        Ok(credential)
    }

    pub fn revoke_access_key(&mut self, id: &str) -> Result<(), CatalogError> {
        let found = self.state.read().access_keys().get(id).cloned();
        match found {
            Some(key) if key.revoked.is_none() => {
                let revoked = Some(self.clock.now());
                self.commit(&Command::PutAccessKey(AccessKey { revoked, ..key.as_ref().clone() }))
            }
            Some(_) | None => Err(CatalogError::NoSuchCredential(id.into())),
        }
    }

    pub fn revoke_device(&mut self, username: &str) -> Result<(), CatalogError> {
        let found = self.state.read().devices().get(username).cloned();
        match found {
            Some(device) if device.revoked.is_none() => {
                let revoked = Some(self.clock.now());
                self.commit(&Command::PutDevice(Device { revoked, ..device.as_ref().clone() }))
            }
            Some(_) | None => Err(CatalogError::NoSuchCredential(username.into())),
        }
    }

    fn check_room(&self) -> Result<(), CatalogError> {
        let state = self.state.read();
        let keys = state.access_keys().values().filter(|key| key.revoked.is_none()).count();
        let devices = state.devices().values().filter(|device| device.revoked.is_none()).count();
        if keys + devices >= self.limits.credentials {
            return Err(CatalogError::TooManyCredentials(self.limits.credentials));
        }
        Ok(())
    }
}
