//! Setting and removing secrets, and the edge configurations that name them.

use std::sync::Arc;

use base::{StreamId, TimestampSource};

use super::Writer;
use crate::command::Command;
use crate::media_secret::{MAX_SECRETS, SUFFIX_LEN, check, name_in};
use crate::secret::alphanumeric;
use crate::{CatalogError, Edge, MediaSecret, NewEdge, Secret, Source, SourceTransport};

impl Writer {
    pub fn set_media_secret(
        &mut self,
        name: String,
        media_uri: Secret,
    ) -> Result<Arc<MediaSecret>, CatalogError> {
        check(&name, &media_uri)?;
        let (known, count) = {
            let state = self.state.read();
            (state.media_secrets().get(&name).cloned(), state.media_secrets().len())
        };
        let now = self.clock.now();
        let (arn, created) = match known {
            Some(same) if same.media_uri == media_uri => return Ok(same),
            Some(known) => (known.arn.clone(), known.created),
            None if count >= MAX_SECRETS => return Err(CatalogError::TooManySecrets(MAX_SECRETS)),
            None => {
                let suffix = alphanumeric(self.entropy.as_ref(), SUFFIX_LEN);
                (self.state.read().secret_arn(&format!("{name}-{suffix}")), now)
            }
        };
        let secret = MediaSecret { name, arn, media_uri, created, changed: now };
        self.commit(&Command::PutMediaSecret(secret.clone()))?;
        Ok(Arc::new(secret))
    }

    pub fn remove_media_secret(&mut self, name: String) -> Result<(), CatalogError> {
        let known = self.state.read().media_secrets().get(&name).cloned();
        let Some(known) = known else { return Err(CatalogError::NoSuchSecret(name)) };
        let user = {
            let state = self.state.read();
            let sources = state.sources();
            let sources = sources.borrow();
            let user = sources.values().find(|source| source.names_secret(&known.arn));
            user.and_then(|source| state.stream(source.stream)).map(|stream| stream.name.clone())
        };
        match user {
            Some(stream) => Err(CatalogError::SecretInUse { name, stream }),
            None => self.commit(&Command::DeleteMediaSecret(name)),
        }
    }

    /// The same configuration again changes nothing, so that whoever pulls goes on.
    pub fn set_edge(&mut self, stream: StreamId, new: NewEdge) -> Result<Arc<Source>, CatalogError> {
        self.live(stream)?;
        let secret = name_in(&new.secret_arn).and_then(|name| {
            let found = self.state.read().media_secrets().get(name).cloned();
            found.filter(|secret| secret.arn == new.secret_arn)
        });
        let Some(secret) = secret else { return Err(CatalogError::NoSuchSecret(new.secret_arn)) };
        let known = self.state.read().source(stream);
        let (now, before) = (self.clock.now(), known.as_ref().and_then(|known| known.edge.clone()));
        let edge: Edge = new.set(before.as_ref().map_or(now, |before| before.created));
        if let Some(same) = known.filter(|_| before.as_ref() == Some(&edge)) {
            return Ok(same);
        }
        let source = Source {
            stream,
            url: secret.media_uri.clone(),
            transport: SourceTransport::default(),
            timestamps: TimestampSource::default(),
            set: now,
            edge: Some(edge),
        };
        self.commit(&Command::PutSource(source.clone()))?;
        Ok(Arc::new(source))
    }

    pub fn remove_edge(&mut self, stream: StreamId) -> Result<(), CatalogError> {
        let name = self.live(stream)?.name.clone();
        if self.state.read().source(stream).is_none_or(|source| source.edge.is_none()) {
            return Err(CatalogError::NoSuchEdge(name));
        }
        self.commit(&Command::DeleteSource(stream))
    }
}
