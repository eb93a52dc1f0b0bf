//! What delivery streams need besides the installation itself.

use std::net::SocketAddr;
use std::sync::Arc;

use ::firehose::{AddressRule, Deliveries, HttpClient, ObjectStore, Options};
use base::Entropy;
use outbound::{AddressError, AddressRules};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::ServerError;
use crate::config::Config;
use crate::streams::RecordReader;

const MIB: usize = 1024 * 1024;

/// How destinations are reached.
pub(super) struct Reach {
    /// By HTTP.
    client: HttpClient,
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
    let client = HttpClient::new(rule(config), roots(config)?);
    let client = client.map_err(|error| ServerError::Tls(error.to_string()))?;
    let store = store(&client, config).await;
    Ok(Reach { client, store })
}

#[cfg(feature = "s3")]
async fn store(client: &HttpClient, config: &Config) -> Option<Arc<dyn ObjectStore>> {
    let store = ::firehose::S3Store::from_environment(client.clone(), &config.region.0);
    // The SDK's future is large.
    Some(Arc::new(Box::pin(store).await))
}

#[cfg(not(feature = "s3"))]
async fn store(_: &HttpClient, _: &Config) -> Option<Arc<dyn ObjectStore>> {
    None
}

/// Which addresses may be delivered to: the same rules as for pulling, in other words.
fn rule(config: &Config) -> AddressRule {
    let rules = AddressRules { allow: config.outbound_allow.clone(), own: Vec::new() };
    Arc::new(move |address: SocketAddr| {
        rules.check(address).map_err(|error| match error {
            AddressError::NotUnicast(ip) => format!("{ip} is no address of a destination"),
            AddressError::LinkLocal(ip) => {
                format!("{ip} is link-local, which is not delivered to unless outbound.allow names it")
            }
            AddressError::NotAllowed(ip) => {
                format!("{ip} is not among the networks that outbound.allow names")
            }
            AddressError::Own(own) => format!("{own} is this server's own"),
        })
    })
}

fn roots(config: &Config) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let Some(path) = &config.firehose_ca else { return Ok(Vec::new()) };
    let refuse =
        |why: &dyn std::fmt::Display| ServerError::Tls(format!("firehose.ca {}: {why}", path.display()));
    let roots: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| refuse(&error))?;
    if roots.is_empty() { Err(refuse(&"it holds no certificate")) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_delivered_to_and_metadata_services_are_not() {
        let rule = rule(&Config::default());
        for good in ["127.0.0.1:80", "10.0.0.1:443", "[::1]:80"] {
            assert_eq!(rule(good.parse().unwrap()), Ok(()), "{good}");
        }
        for bad in ["169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:80", "[::ffff:169.254.169.254]:80"] {
            assert!(rule(bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
