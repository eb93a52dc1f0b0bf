//! A caller, what they ask, and whether they may.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use base::StreamName;
use catalog::{Action, Catalog, Policy, Verdict};
use http::request::Parts;

use super::{Asked, AuthError};
use crate::app::Arrival;
use crate::error::ApiError;

/// A caller who proved who they are, and what they ask to do.
#[derive(Clone)]
pub struct Principal {
    known: catalog::Principal,
    asked: Option<Asked>,
    peer: Option<SocketAddr>,
    catalog: Arc<Catalog>,
}

impl Principal {
    /// Someone who has asked nothing yet, by a request with these parts.
    pub fn new(known: catalog::Principal, catalog: &Arc<Catalog>, parts: &Parts) -> Self {
        let peer = parts.extensions.get::<Arrival>().map(|arrival| arrival.peer);
        Self { known, asked: None, peer, catalog: Arc::clone(catalog) }
    }

    /// Someone who made a signed URL, of whom it is asked whether it still is good.
    pub fn behind_url(known: catalog::Principal, catalog: &Arc<Catalog>, asked: Asked) -> Self {
        Self { known, asked: Some(asked), peer: None, catalog: Arc::clone(catalog) }
    }

    /// The same caller, who asks for this.
    ///
    /// # Errors
    /// [`AuthError::NotAllowed`] where their policy allows it on nothing at all.
    pub fn asking(self, asked: Asked) -> Result<Self, AuthError> {
        match self.policy().map(|policy| policy.says_of_some(&asked.to_string())) {
            None | Some(Verdict::Allowed) => Ok(Self { asked: Some(asked), ..self }),
            Some(verdict) => Err(self.refusal(asked, "*", verdict)),
        }
    }

    /// Whether they may do what they ask to a stream of this name: a policy goes by what is asked, a device's
    /// credential by `action`.
    pub fn may(&self, action: Action, stream: &StreamName) -> bool {
        self.check(action, stream).is_ok()
    }

    /// As [`Self::may`]. The audit log tells of it.
    ///
    /// # Errors
    /// [`AuthError::NotAllowed`] with AWS's words.
    pub fn check(&self, action: Action, stream: &StreamName) -> Result<(), AuthError> {
        let asked = self.asked.unwrap_or(UNKNOWN);
        let audited = asked.is_audited();
        if self.policy().is_none() && !audited {
            return self.check_known(action, stream);
        }
        let resource = self.resource(asked, stream);
        let outcome = match self.policy() {
            None => self.check_known(action, stream),
            Some(policy) => self.check_policy(policy, asked, &resource),
        };
        if audited {
            self.audit(asked, &resource, &outcome);
        }
        outcome
    }

    fn check_known(&self, action: Action, stream: &StreamName) -> Result<(), AuthError> {
        if self.known.may(action, stream) {
            return Ok(());
        }
        let (name, what) = (self.name(), verb(action));
        Err(AuthError::NotAllowed(format!(
            "{name} may not {what} stream {stream}: ask for other credentials"
        )))
    }

    fn check_policy(&self, policy: &Policy, asked: Asked, resource: &str) -> Result<(), AuthError> {
        match policy.says(&asked.to_string(), resource) {
            Verdict::Allowed => Ok(()),
            verdict => Err(self.refusal(asked, resource, verdict)),
        }
    }

    fn audit(&self, asked: Asked, resource: &str, outcome: &Result<(), AuthError>) {
        let (who, peer) = (self.name(), self.peer.map(tracing::field::display));
        let allowed = outcome.is_ok();
        tracing::info!(target: "audit", who, peer, action = %asked, resource, allowed, "asked");
    }

    /// Refuses, in the words of the native API, what the credentials do not allow.
    pub fn require(&self, action: Action, stream: &StreamName) -> Result<(), ApiError> {
        self.check(action, stream).map_err(|refused| ApiError::forbidden(refused.to_string()))
    }

    /// Refuses devices, and policies that do not allow what is asked on all resources: credentials, metrics and
    /// the like are for holders of an access key.
    pub fn require_administrator(&self) -> Result<(), ApiError> {
        match &self.known {
            catalog::Principal::AccessKey(_) => {
                let asked = self.asked.unwrap_or(UNKNOWN);
                let outcome = self.policy().map_or(Ok(()), |policy| self.check_policy(policy, asked, "*"));
                if asked.is_audited() {
                    self.audit(asked, "*", &outcome);
                }
                outcome.map_err(|refused| ApiError::forbidden(refused.to_string()))
            }
            other @ (catalog::Principal::Device(_) | catalog::Principal::Source) => Err(ApiError::forbidden(
                format!("{} is a device credential; this needs an access key", other.name()),
            )),
        }
    }

    /// Refuses whoever may not do what they ask to the streams of that name or pattern.
    pub fn require_streams(&self, action: Action, streams: &str) -> Result<(), ApiError> {
        if let Ok(name) = StreamName::new(streams) {
            return match (&self.known, self.policy()) {
                (catalog::Principal::AccessKey(_), None) => Ok(()),
                _ => self.require(action, &name),
            };
        }
        match (&self.known, self.policy().zip(self.asked)) {
            (catalog::Principal::AccessKey(_), None) => Ok(()),
            (_, Some((policy, asked))) => {
                let prefix = self.catalog.arn(asked.service, "stream/".into()).to_string();
                match policy.says_of_all(&asked.to_string(), &prefix) {
                    Verdict::Allowed => Ok(()),
                    Verdict::NotAllowed | Verdict::Denied => Err(ApiError::forbidden(
                        "stream: this policy allows some streams only; name one of them",
                    )),
                }
            }
            _ => Err(ApiError::forbidden("stream: a device names one stream that it may play")),
        }
    }

    /// Who they are.
    pub fn known(&self) -> &catalog::Principal {
        &self.known
    }

    fn policy(&self) -> Option<&Policy> {
        match &self.known {
            catalog::Principal::AccessKey(key) => key.policy.as_ref(),
            catalog::Principal::Device(_) | catalog::Principal::Source => None,
        }
    }

    /// The ARN that a policy names a stream by. One that does not exist has any time of creation.
    fn resource(&self, asked: Asked, stream: &StreamName) -> String {
        let (service, resource) = match asked.service {
            "kinesis" => ("kinesis", format!("stream/{stream}")),
            "firehose" => ("firehose", format!("deliverystream/{stream}")),
            _ => match self.catalog.stream(stream) {
                Some(found) => return found.arn.to_string(),
                None => ("kinesisvideo", format!("stream/{stream}/*")),
            },
        };
        self.catalog.arn(service, resource).to_string()
    }

    fn refusal(&self, asked: Asked, resource: &str, verdict: Verdict) -> AuthError {
        let account = self.catalog.arn("iam", String::new()).account;
        let user = format!("arn:aws:iam::{account}:user/{}", self.name());
        let why = match verdict {
            Verdict::Denied => "with an explicit deny in its policy".to_owned(),
            Verdict::NotAllowed | Verdict::Allowed => {
                format!("because no statement of its policy allows {asked}")
            }
        };
        AuthError::NotAllowed(format!(
            "User: {user} is not authorized to perform: {asked} on resource: {resource} {why}"
        ))
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} asking for {:?}", self.name(), self.asked)
    }
}

/// Of requests to routes that say nothing: no policy allows it but one that allows everything.
const UNKNOWN: Asked = Asked::new("millrace", "Unknown");

fn verb(action: Action) -> &'static str {
    match action {
        Action::Publish => "publish to",
        Action::Play => "play",
        Action::Create => "create",
        Action::Manage => "manage",
    }
}

impl Deref for Principal {
    type Target = catalog::Principal;

    fn deref(&self) -> &catalog::Principal {
        &self.known
    }
}
