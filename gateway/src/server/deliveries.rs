//! What delivery streams need besides the installation itself.

use std::sync::Arc;

use ::firehose::{ANSWER, Deliveries, ObjectStore, Options};
use base::Entropy;
use outbound::{AddressRules, Client};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::ServerError;
use crate::config::Config;
use crate::streams::RecordReader;

const MIB: usize = 1024 * 1024;

/// How destinations are reached.
pub(super) struct Reach {
    /// By HTTP.
    client: Client,
    /// The S3 store, where the build has one.
    store: Option<Arc<dyn ObjectStore>>,
}

impl Reach {
    /// The delivery streams, which do not run yet.
    pub(super) fn deliveries(
        self,
        config: &Config,
        records: &Arc<RecordReader>,
        entropy: &Arc<dyn Entropy>,
    ) -> Arc<Deliveries> {
        Deliveries::new(Options {
            catalog: Arc::clone(&records.catalog),
            streams: Arc::clone(records) as _,
            store: self.store,
            client: self.client,
            clock: Arc::clone(&records.clock),
            entropy: Arc::clone(entropy),
            memory_mib: u32::try_from(config.firehose_memory.0 / MIB).unwrap_or(u32::MAX),
        })
    }
}

/// As configured. Connects to nothing.
///
/// # Errors
/// [`ServerError::Tls`] for a file that holds no certificates.
pub(super) async fn reach(config: &Config) -> Result<Reach, ServerError> {
    let client = client(config)?;
    let store = store(&client, config).await;
    Ok(Reach { client, store })
}

#[cfg(feature = "s3")]
async fn store(client: &Client, config: &Config) -> Option<Arc<dyn ObjectStore>> {
    let stores = config.firehose_stores.clone();
    let store = ::firehose::S3Store::new(client.clone(), &config.region.0, stores);
    // The SDK's future is large.
    Some(Arc::new(Box::pin(store).await))
}

#[cfg(not(feature = "s3"))]
async fn store(_: &Client, _: &Config) -> Option<Arc<dyn ObjectStore>> {
    None
}

/// The authorities whose certificates are believed: the system's, or those of `firehose.ca`.
fn client(config: &Config) -> Result<Client, ServerError> {
    let rules = AddressRules { allow: config.outbound_allow.clone(), own: Vec::new() };
    let Some(path) = &config.firehose_ca else { return Ok(Client::new(rules, ANSWER)) };
    let refuse =
        |why: &dyn std::fmt::Display| ServerError::Tls(format!("firehose.ca {}: {why}", path.display()));
    let read: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| refuse(&error))?;
    if read.is_empty() {
        return Err(refuse(&"it holds no certificate"));
    }
    let mut roots = RootCertStore::empty();
    for root in read {
        roots.add(root).map_err(|error| refuse(&error))?;
    }
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Client::with_tls(rules, ANSWER, Arc::new(tls)))
}
