//! The catalog's face: secrets that hold cameras' URLs, and the edge configurations that name them.

use std::sync::Arc;

use base::StreamId;

use crate::media_secret::name_in;
use crate::{Catalog, CatalogError, MediaSecret, NewEdge, Secret, Source};

impl Catalog {
    /// All secrets by name.
    pub fn media_secrets(&self) -> Vec<Arc<MediaSecret>> {
        self.state.read().media_secrets().values().cloned().collect()
    }

    /// The secret with exactly this ARN: not a later one of the same name.
    pub fn media_secret_by_arn(&self, arn: &str) -> Option<Arc<MediaSecret>> {
        let found = self.state.read().media_secrets().get(name_in(arn)?).cloned();
        found.filter(|secret| secret.arn == arn)
    }

    /// Makes a secret, or replaces the URL in it: sources of edge configurations that name it follow at once.
    /// The same URL again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::TooManySecrets`], [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn set_media_secret(
        &self,
        name: String,
        media_uri: Secret,
    ) -> Result<Arc<MediaSecret>, CatalogError> {
        self.writer.run(move |writer| writer.set_media_secret(name, media_uri)).await
    }

    /// Removes a secret that no edge configuration names.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchSecret`], [`CatalogError::SecretInUse`], [`CatalogError::Log`].
    pub async fn remove_media_secret(&self, name: &str) -> Result<(), CatalogError> {
        let name = name.to_owned();
        self.writer.run(move |writer| writer.remove_media_secret(name)).await
    }

    /// Sets where a stream is pulled from by an edge configuration, in place of a source that it may have.
    /// The same again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::NoSuchSecret`], [`CatalogError::Log`].
    pub async fn set_edge(&self, stream: StreamId, edge: NewEdge) -> Result<Arc<Source>, CatalogError> {
        self.writer.run(move |writer| writer.set_edge(stream, edge)).await
    }

    /// Removes a stream's edge configuration, and with it the source. What was recorded stays.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::NoSuchEdge`], [`CatalogError::Log`].
    pub async fn remove_edge(&self, stream: StreamId) -> Result<(), CatalogError> {
        self.writer.run(move |writer| writer.remove_edge(stream)).await
    }
}
