//! Amazon resource names, one parser for every service.

use std::fmt;
use std::str::FromStr;

/// `arn:{partition}:{service}:{region}:{account}:{resource}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: String,
    /// `kinesisvideo`, `kinesis`, `firehose`, …
    pub service: String,
    /// `us-east-1`, …
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// The rest, slashes and colons included: `stream/front-door/1700000000000`.
    pub resource: String,
}

/// Not an ARN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ARN: arn:partition:service:region:account:resource")]
pub struct ArnError(String);

impl Arn {
    /// An ARN of this installation, partition `aws`.
    pub fn new(service: &str, region: &str, account: &str, resource: String) -> Self {
        Self {
            partition: "aws".into(),
            service: service.into(),
            region: region.into(),
            account: account.into(),
            resource,
        }
    }

    /// The name in a `type/name` or `type/name/…` resource of the given type.
    pub fn resource_name(&self, kind: &str) -> Option<&str> {
        let (found, rest) = self.resource.split_once('/')?;
        (found == kind).then(|| rest.split('/').next().unwrap_or(rest))
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let refuse = || ArnError(text.chars().take(300).collect());
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(refuse);
        if next()? != "arn" {
            return Err(refuse());
        }
        let arn = Self {
            partition: next()?.into(),
            service: next()?.into(),
            region: next()?.into(),
            account: next()?.into(),
            resource: next()?.into(),
        };
        let digits = arn.account.len() == 12 && arn.account.bytes().all(|b| b.is_ascii_digit());
        let filled = !arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty();
        if digits && filled { Ok(arn) } else { Err(refuse()) }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_names_its_resource() {
        let text = "arn:aws:kinesisvideo:us-east-1:000000000000:stream/front-door/1700000000000";
        let arn: Arn = text.parse().unwrap();
        assert_eq!(arn.to_string(), text);
        assert_eq!(arn.resource_name("stream"), Some("front-door"));
        assert_eq!(arn.resource_name("channel"), None);
    }

    #[test]
    fn refuses_half_an_arn() {
        for bad in [
            "",
            "arn",
            "arn:aws:kinesisvideo:us-east-1:0:stream/x/1",
            "urn:aws:k:r:000000000000:x",
            "arn:aws:k:r:000000000000:",
        ] {
            assert!(bad.parse::<Arn>().is_err(), "{bad}");
        }
    }
}
