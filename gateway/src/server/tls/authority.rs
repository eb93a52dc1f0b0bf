//! The installation's own CA.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Clock, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::server::ServerError;

const DAY: Duration = Duration::from_hours(24);
const AUTHORITY_DAYS: u32 = 3650;
/// The longest that all clients accept.
const SERVER_DAYS: u32 = 397;
/// A certificate that ends sooner is made again.
const RENEW_DAYS: u32 = 60;

/// What decides whether the server's certificate still serves.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Description {
    names: Vec<String>,
    ends: Timestamp,
    /// SHA-256 of the CA's public key.
    authority: String,
}

/// The files of a server certificate for these names and of its key, made where need be.
pub(super) fn server_certificate(
    dir: &Path,
    names: &[String],
    clock: &dyn Clock,
) -> Result<(PathBuf, PathBuf), ServerError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(ServerError::file(dir))?;
    let now = clock.now();
    let authority = Authority::open(dir, now)?;
    let (chain, key, description) =
        (dir.join("server.pem"), dir.join("server-key.pem"), dir.join("server.json"));
    let found: Option<Description> =
        fs::read(&description).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let serves = found.is_some_and(|found| {
        found.names == names && found.authority == authority.id && found.ends > now + DAY * RENEW_DAYS
    });
    if serves && chain.exists() && key.exists() {
        return Ok((chain, key));
    }
    let ends = now + DAY * SERVER_DAYS;
    let (certificate, private) = authority.issue(names, now, ends).map_err(tls)?;
    write(&key, &private, 0o600)?;
    write(&chain, &certificate, 0o644)?;
    let description_text =
        serde_json::to_string(&Description { names: names.to_vec(), ends, authority: authority.id })
            .map_err(tls)?;
    write(&description, &description_text, 0o644)?;
    Ok((chain, key))
}

struct Authority {
    key: KeyPair,
    params: CertificateParams,
    id: String,
    certificate: String,
}

impl Authority {
    /// The CA in the folder; made where there is none.
    fn open(dir: &Path, now: Timestamp) -> Result<Self, ServerError> {
        let (file, key_file) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
        match (fs::read_to_string(&file), fs::read_to_string(&key_file)) {
            (Ok(certificate), Ok(key)) => {
                let key = KeyPair::from_pem(&key)
                    .map_err(|error| ServerError::Tls(format!("{}: {error}", key_file.display())))?;
                let id = id(&key);
                Ok(Self { params: params(&id, now), key, id, certificate })
            }
            (Err(missing), _) | (_, Err(missing)) if missing.kind() == ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(tls)?;
                let id = id(&key);
                let params = params(&id, now);
                let certificate = params.self_signed(&key).map_err(tls)?.pem();
                write(&key_file, &key.serialize_pem(), 0o600)?;
                write(&file, &certificate, 0o644)?;
                Ok(Self { key, params, id, certificate })
            }
            (Err(source), _) => Err(ServerError::File { path: file, source }),
            (_, Err(source)) => Err(ServerError::File { path: key_file, source }),
        }
    }

    /// A certificate chain and a key, both as PEM.
    fn issue(
        &self,
        names: &[String],
        now: Timestamp,
        ends: Timestamp,
    ) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.not_before = (now - DAY).to_utc();
        params.not_after = ends.to_utc();
        params.distinguished_name.push(DnType::CommonName, "Millrace");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer)?;
        Ok((certificate.pem() + &self.certificate, key.serialize_pem()))
    }
}

/// The CA's name tells installations apart: browsers confuse two of one name and different keys.
fn params(id: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - DAY).to_utc();
    params.not_after = (now + DAY * AUTHORITY_DAYS).to_utc();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Millrace CA {}", &id[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn id(key: &KeyPair) -> String {
    digest(&SHA256, key.public_key_raw()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tls(error: impl std::fmt::Display) -> ServerError {
    ServerError::Tls(error.to_string())
}

/// Whole or not at all, with its mode from the first byte on.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), ServerError> {
    let partial = path.with_extension("partial");
    let write = || {
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(ServerError::file(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct At(Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn certificates_are_kept_until_names_change_or_they_end() {
        let dir = tempfile::tempdir().unwrap();
        let at = |days: u32| At(Timestamp::from_millis(1_700_000_000_000) + DAY * days);
        let make = |names: &[&str], clock: &At| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let (chain, _) = server_certificate(dir.path(), &names, clock).unwrap();
            fs::read_to_string(chain).unwrap()
        };
        let first = make(&["localhost", "127.0.0.1", "::1"], &at(0));
        assert_eq!(first.matches("BEGIN CERTIFICATE").count(), 2);
        let authority = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        assert_eq!(make(&["localhost", "127.0.0.1", "::1"], &at(300)), first, "kept");
        let second = make(&["localhost"], &at(300));
        assert_ne!(second, first, "names changed");
        assert_ne!(make(&["localhost"], &at(640)), second, "ends soon");
        assert_eq!(
            fs::read_to_string(dir.path().join("ca.pem")).unwrap(),
            authority,
            "clients trust it still"
        );
        for key in ["ca-key.pem", "server-key.pem"] {
            let mode = fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }
}
