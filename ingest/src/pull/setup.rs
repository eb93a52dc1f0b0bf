//! SETUP of one track (RFC 2326 §10.4): how its packets come.

use std::net::SocketAddr;

use rtsp_types::headers;

use super::client::{Client, Wire};
use super::transport::Transport;
use super::{PullError, PullOptions};
use crate::rtsp::inbound::Inbound;
use crate::rtsp::recording::{Link, Recording, Track};
use crate::rtsp::sdp::Section;
use crate::rtsp::udp::UdpPair;

/// The SETUP of one track.
pub(super) struct Setup<'s, 'a, S> {
    pub(super) client: &'s mut Client<'a, S>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) url: &'s str,
    pub(super) number: u8,
    pub(super) section: &'s Section,
    pub(super) options: &'s PullOptions,
}

impl<S: Wire> Setup<'_, '_, S> {
    /// Over UDP, or over the RTSP connection.
    pub(super) async fn run(&mut self, udp: bool, recording: &Recording) -> Result<Track, PullError> {
        let inbound = Inbound::new(self.number, self.section, udp, &self.options.limits)
            .map_err(|error| PullError::NoTracks(error.to_string()))?;
        let link = if udp { self.udp().await? } else { self.interleaved(recording).await? };
        Ok(Track { inbound, link })
    }

    async fn interleaved(&mut self, recording: &Recording) -> Result<Link, PullError> {
        let (rtp, rtcp) = recording.channels(self.number, None);
        let wish = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}");
        let (header, agreed) = self.ask(&wish).await?;
        if !agreed.tcp && agreed.server_port.is_some() {
            return Err(PullError::Transport(header));
        }
        let (rtp, rtcp) = agreed.interleaved.unwrap_or((rtp, rtcp));
        if recording.channels(self.number, Some((rtp, rtcp))) != (rtp, rtcp) {
            return Err(PullError::Transport(header));
        }
        Ok(Link::Interleaved(rtp, rtcp))
    }

    async fn udp(&mut self) -> Result<Link, PullError> {
        let mut pair = UdpPair::open(self.local.ip(), self.peer.ip(), 0).await.map_err(PullError::Udp)?;
        let (rtp, rtcp) = pair.ports().map_err(PullError::Udp)?;
        let (header, agreed) = self.ask(&format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}")).await?;
        if agreed.tcp {
            return Err(PullError::Transport(header));
        }
        if let Some((rtp, rtcp)) = agreed.server_port {
            pair.open_way(rtp, rtcp);
        }
        Ok(Link::Udp(pair))
    }

    async fn ask(&mut self, wish: &str) -> Result<(String, Transport), PullError> {
        let answer = self.client.request("SETUP", self.url, &[("Transport", wish)]).await?;
        let header = answer.header(&headers::TRANSPORT).map_or("", |value| value.as_str());
        Ok((header.chars().take(120).collect(), Transport::parse(header)))
    }
}
