//! Who is asking, and what they may.

use std::sync::Arc;

use base::StreamName;

use crate::{AccessKey, Device};

/// What someone wants to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Push media to it.
    Publish,
    /// Watch it, live or recorded.
    Play,
    /// Make it by pushing to it for the first time.
    Create,
    /// Everything else: describe, change, delete, search.
    Manage,
}

/// Someone whose credential was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The holder of an access key: may do everything.
    AccessKey(Arc<AccessKey>),
    /// A device: may do what its credential says.
    Device(Arc<Device>),
    /// This server, which pulls from a stream's source: may publish. No request is ever made as this.
    Source,
}

impl Principal {
    /// Whether it may do that with a stream of this name.
    pub fn may(&self, action: Action, stream: &StreamName) -> bool {
        match self {
            Self::AccessKey(_) => true,
            Self::Source => action == Action::Publish,
            Self::Device(device) => {
                let allowed = match action {
                    Action::Publish => device.allow.publish,
                    Action::Play => device.allow.play,
                    Action::Create => device.allow.create,
                    Action::Manage => false,
                };
                allowed && device.streams.matches(stream)
            }
        }
    }

    /// A name for log lines: the access key's id, the device's username, or `source`.
    pub fn name(&self) -> &str {
        match self {
            Self::AccessKey(key) => &key.id,
            Self::Device(device) => &device.username,
            Self::Source => "source",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Allow, StreamGlob};
    use base::{SystemEntropy, Timestamp};

    #[test]
    fn a_device_may_what_it_was_given_where_it_was_given_it() {
        let allow = Allow { publish: true, play: false, create: true };
        let glob = StreamGlob::new("cam-*").unwrap();
        let (device, _) = Device::generate(&SystemEntropy, glob, allow, Timestamp::from_millis(0));
        let device = Principal::Device(Arc::new(device));
        let (inside, outside) = (StreamName::new("cam-1").unwrap(), StreamName::new("door").unwrap());
        assert!(device.may(Action::Publish, &inside) && device.may(Action::Create, &inside));
        assert!(!device.may(Action::Play, &inside) && !device.may(Action::Manage, &inside));
        assert!(!device.may(Action::Publish, &outside));
    }
}
