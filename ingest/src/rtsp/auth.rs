//! Who is pushing: Digest over plain TCP, Digest or Basic over TLS.
//!
//! A nonce is made for one connection and lives for [`NONCE_LIFE`]; a right answer to another nonce
//! is told to be stale (RFC 7616 §3.3), so that a client answers the fresh one without asking its
//! user. There is no replay across connections, therefore `nc` is not kept.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, StreamName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::Device;

use super::digest::{Algorithm, Authorization, hex, quoted};
use super::target::names_stream;

const REALM: &str = "Millrace";
const NONCE_LIFE: Duration = Duration::from_mins(5);

/// The authentication of one connection.
#[derive(Debug)]
pub(crate) struct Auth {
    /// Whether the connection is encrypted: only then Basic is offered and taken.
    secure: bool,
    nonce: Option<Nonce>,
}

#[derive(Debug)]
struct Nonce {
    text: String,
    made: Duration,
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It carries no credentials: how every client begins.
    Missing,
    /// The credentials are right, the nonce is not (any more) this connection's.
    Stale,
    /// Unknown user, wrong password, or a header that cannot be read.
    Wrong,
}

/// The request that is to be authenticated.
pub(crate) struct Claim<'a> {
    pub(crate) method: &'a str,
    pub(crate) stream: &'a StreamName,
    /// The `Authorization` header.
    pub(crate) authorization: Option<&'a str>,
}

impl Auth {
    /// For a connection that is `secure` when it is encrypted.
    pub(crate) fn new(secure: bool) -> Self {
        Self { secure, nonce: None }
    }

    /// The device that the request proves to come from; `device_of` finds one by its username.
    ///
    /// # Errors
    /// [`Denied`]: answer 401 with [`Self::challenges`].
    pub(crate) fn check(
        &self,
        claim: &Claim<'_>,
        clock: &dyn Clock,
        device_of: impl Fn(&str) -> Option<Arc<Device>>,
    ) -> Result<Arc<Device>, Denied> {
        let authorization = claim.authorization.ok_or(Denied::Missing)?.trim_start();
        let (scheme, parameters) = authorization.split_once(' ').ok_or(Denied::Wrong)?;
        if scheme.eq_ignore_ascii_case("digest") {
            self.check_digest(claim, parameters, clock, device_of)
        } else if scheme.eq_ignore_ascii_case("basic") && self.secure {
            check_basic(parameters, device_of).ok_or(Denied::Wrong)
        } else {
            Err(Denied::Wrong)
        }
    }

    fn check_digest(
        &self,
        claim: &Claim<'_>,
        parameters: &str,
        clock: &dyn Clock,
        device_of: impl Fn(&str) -> Option<Arc<Device>>,
    ) -> Result<Arc<Device>, Denied> {
        let authorization = Authorization::parse(parameters).ok_or(Denied::Wrong)?;
        let device = device_of(&authorization.username).ok_or(Denied::Wrong)?;
        let right = authorization.realm == REALM
            && names_stream(&authorization.uri, claim.stream)
            && authorization.proves(claim.method, device.password.expose());
        let alive = |nonce: &&Nonce| clock.monotonic().saturating_sub(nonce.made) < NONCE_LIFE;
        let fresh = self.nonce.as_ref().filter(alive).is_some_and(|nonce| nonce.text == authorization.nonce);
        match (right, fresh) {
            (true, true) => Ok(device),
            (true, false) => Err(Denied::Stale),
            (false, _) => Err(Denied::Wrong),
        }
    }

    /// The `WWW-Authenticate` headers to answer with, strongest first. ffmpeg and GStreamer take the
    /// last Digest they read and know only MD5.
    pub(crate) fn challenges(
        &mut self,
        denied: Denied,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Vec<String> {
        let now = clock.monotonic();
        let nonce = match self.nonce.take() {
            Some(nonce) if now.saturating_sub(nonce.made) < NONCE_LIFE => nonce,
            Some(_) | None => Nonce { text: hex(&entropy.bytes::<16>()), made: now },
        };
        let stale = if denied == Denied::Stale { ", stale=true" } else { "" };
        let digest = |algorithm: Algorithm| {
            let (realm, nonce, name) = (quoted(REALM), quoted(&nonce.text), algorithm.name());
            format!("Digest realm={realm}, nonce={nonce}, algorithm={name}, qop=\"auth\"{stale}")
        };
        let mut challenges = vec![digest(Algorithm::Sha256), digest(Algorithm::Md5)];
        if self.secure {
            challenges.push(format!("Basic realm={}", quoted(REALM)));
        }
        self.nonce = Some(nonce);
        challenges
    }
}

fn check_basic(encoded: &str, device_of: impl Fn(&str) -> Option<Arc<Device>>) -> Option<Arc<Device>> {
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    device_of(username).filter(|device| device.password.matches(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::digest::{Parameters, Question};
    use base::{SystemEntropy, Timestamp};
    use catalog::{Allow, Secret, StreamGlob};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct TestClock(AtomicU64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    const USER: &str = "cam:1\"@/#";
    const PASSWORD: &str = "p@ss:w/or#d";

    fn device(username: &str) -> Arc<Device> {
        Arc::new(Device {
            username: username.into(),
            password: Secret::new(PASSWORD),
            token_sha256: [0; 32],
            streams: StreamGlob::all(),
            allow: Allow::default(),
            created: Timestamp::from_millis(0),
            revoked: None,
        })
    }

    fn door() -> StreamName {
        StreamName::new("door").unwrap()
    }

    fn check(auth: &Auth, clock: &TestClock, authorization: Option<&str>) -> Result<String, Denied> {
        let claim = Claim { method: "ANNOUNCE", stream: &door(), authorization };
        let found = auth.check(&claim, clock, |user| (user == USER).then(|| device(user)));
        found.map(|device| device.username.clone())
    }

    /// The header of a client that answers `challenge` with `password`, for `uri`.
    fn answer(challenge: &str, password: &str, uri: &str) -> String {
        let parameters = Parameters::parse(challenge.strip_prefix("Digest ").unwrap());
        let algorithm = Algorithm::parse(parameters.get("algorithm").unwrap()).unwrap();
        let nonce = parameters.get("nonce").unwrap();
        let question =
            Question { algorithm, username: USER, realm: REALM, nonce, method: "ANNOUNCE", uri, qop: None };
        format!(
            "Digest username={}, realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={}, response=\"{}\"",
            quoted(USER),
            algorithm.name(),
            question.answer(password)
        )
    }

    #[test]
    fn every_offered_digest_is_taken_and_only_with_the_password() {
        let (mut auth, clock) = (Auth::new(false), TestClock::default());
        assert_eq!(check(&auth, &clock, None), Err(Denied::Missing));
        let challenges = auth.challenges(Denied::Missing, &clock, &SystemEntropy);
        assert_eq!(challenges.len(), 2);
        for challenge in &challenges {
            let right = answer(challenge, PASSWORD, "rtsp://h/door/streamid=0");
            assert_eq!(check(&auth, &clock, Some(&right)), Ok(USER.into()));
            let wrong = answer(challenge, "guess", "rtsp://h/door");
            assert_eq!(check(&auth, &clock, Some(&wrong)), Err(Denied::Wrong));
            let elsewhere = answer(challenge, PASSWORD, "rtsp://h/window");
            assert_eq!(check(&auth, &clock, Some(&elsewhere)), Err(Denied::Wrong));
        }
    }

    #[test]
    fn a_nonce_expires_and_is_worth_nothing_elsewhere() {
        let (mut auth, clock) = (Auth::new(false), TestClock::default());
        let challenges = auth.challenges(Denied::Missing, &clock, &SystemEntropy);
        let header = answer(&challenges[0], PASSWORD, "rtsp://h/door");
        assert_eq!(check(&Auth::new(false), &clock, Some(&header)), Err(Denied::Stale));
        clock.0.store(299, Ordering::Relaxed);
        assert!(check(&auth, &clock, Some(&header)).is_ok());
        clock.0.store(300, Ordering::Relaxed);
        assert_eq!(check(&auth, &clock, Some(&header)), Err(Denied::Stale));
        let fresh = auth.challenges(Denied::Stale, &clock, &SystemEntropy);
        assert!(fresh[0].ends_with(", stale=true"));
        assert!(check(&auth, &clock, Some(&answer(&fresh[1], PASSWORD, "rtsp://h/door"))).is_ok());
        assert_eq!(check(&auth, &clock, Some(&answer(&fresh[1], "x", "rtsp://h/door"))), Err(Denied::Wrong));
    }

    #[test]
    fn basic_is_for_tls_only() {
        let clock = TestClock::default();
        let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("user:{password}")));
        let check = |auth: &Auth, header: &str| {
            let claim = Claim { method: "ANNOUNCE", stream: &door(), authorization: Some(header) };
            let found = auth.check(&claim, &clock, |user| (user == "user").then(|| device(user)));
            found.map(|device| device.username.clone())
        };
        let (mut plain, mut secure) = (Auth::new(false), Auth::new(true));
        assert_eq!(check(&plain, &basic(PASSWORD)), Err(Denied::Wrong));
        assert_eq!(check(&secure, &basic(PASSWORD)), Ok("user".into()));
        assert_eq!(check(&secure, &basic("guess")), Err(Denied::Wrong));
        assert_eq!(check(&secure, "Basic !"), Err(Denied::Wrong));
        assert!(
            !plain.challenges(Denied::Missing, &clock, &SystemEntropy).iter().any(|c| c.starts_with("Basic"))
        );
        assert!(secure.challenges(Denied::Missing, &clock, &SystemEntropy)[2].starts_with("Basic"));
    }
}
