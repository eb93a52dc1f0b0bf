//! What is said before media flows: DESCRIBE and SETUP (RFC 2326 §10.2 and §10.4).

use std::net::SocketAddr;

use catalog::SourceTransport;
use rtsp_types::{HeaderName, StatusCode, headers};

use super::client::{Client, Wire};
use super::description::Description;
use super::target::Target;
use super::transport::Transport;
use super::{PullError, PullOptions};
use crate::rtsp::inbound::Inbound;
use crate::rtsp::recording::{Link, Track};
use crate::rtsp::sdp::Section;
use crate::rtsp::udp::UdpPair;

/// The way to a session that can be played.
pub(super) struct Dialogue<'d, 'a, S> {
    pub(super) client: &'d mut Client<'a, S>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) options: &'d PullOptions,
    pub(super) target: &'d Target,
}

impl<S: Wire> Dialogue<'_, '_, S> {
    /// Asks what the camera offers.
    pub(super) async fn describe(&mut self) -> Result<Description, PullError> {
        let request = &self.target.url.request;
        let answer = self.client.request("DESCRIBE", request, &[("Accept", "application/sdp")]).await?;
        let header = |name: &HeaderName| answer.header(name).map(|value| value.as_str());
        let base = header(&headers::CONTENT_BASE).or_else(|| header(&headers::CONTENT_LOCATION));
        Description::read(request, base, answer.body(), &self.options.limits)
    }

    /// Sets up all tracks, and says how their packets come.
    pub(super) async fn set_up(
        &mut self,
        description: &Description,
    ) -> Result<(Vec<Track>, &'static str), PullError> {
        let Target { transport, url, .. } = self.target;
        let mut udp = *transport == SourceTransport::Udp;
        // UDP would give away what an encrypted connection hides.
        let may_change = *transport == SourceTransport::Auto && !url.secure;
        let mut tracks = Vec::new();
        for (number, section) in &description.tracks {
            let control = description.control(section);
            let track = match self.track(udp, *number, section, &control, &tracks).await {
                Err(PullError::Refused { status: StatusCode::UnsupportedTransport, .. })
                    if may_change && tracks.is_empty() =>
                {
                    udp = true;
                    self.track(udp, *number, section, &control, &tracks).await?
                }
                track => track?,
            };
            tracks.push(track);
        }
        Ok((tracks, if udp { "udp" } else { "tcp" }))
    }

    async fn track(
        &mut self,
        udp: bool,
        number: u8,
        section: &Section,
        control: &str,
        others: &[Track],
    ) -> Result<Track, PullError> {
        let inbound = if section.is_muxed() {
            Inbound::transport_stream(number, section, udp)
        } else {
            Inbound::new(number, section, udp, &self.options.limits)
                .map_err(|error| PullError::NoTracks(error.to_string()))?
        };
        let profile = if section.feedback { "RTP/AVPF" } else { "RTP/AVP" };
        let link = if udp {
            self.udp(profile, control).await?
        } else {
            self.interleaved(profile, control, others).await?
        };
        Ok(Track { inbound, link })
    }

    async fn interleaved(
        &mut self,
        profile: &str,
        control: &str,
        others: &[Track],
    ) -> Result<Link, PullError> {
        let taken = |channel| {
            others.iter().any(|track| match track.link {
                Link::Interleaved(rtp, rtcp) => channel == rtp || channel == rtcp,
                Link::Udp(_) => false,
            })
        };
        let free = |(rtp, rtcp): &(u8, u8)| rtp != rtcp && !taken(*rtp) && !taken(*rtcp);
        let wish = (0..u8::MAX).step_by(2).map(|even| (even, even + 1)).find(free).unwrap_or((0, 1));
        let header = format!("{profile}/TCP;unicast;interleaved={}-{}", wish.0, wish.1);
        let (header, agreed) = self.ask(control, &header).await?;
        let (rtp, rtcp) = agreed.interleaved.unwrap_or(wish);
        if !agreed.tcp && agreed.server_port.is_some() || !free(&(rtp, rtcp)) {
            return Err(PullError::Transport(header));
        }
        Ok(Link::Interleaved(rtp, rtcp))
    }

    async fn udp(&mut self, profile: &str, control: &str) -> Result<Link, PullError> {
        let mut pair = UdpPair::open(self.local.ip(), self.peer.ip(), 0).await.map_err(PullError::Udp)?;
        let (rtp, rtcp) = pair.ports().map_err(PullError::Udp)?;
        let (header, agreed) =
            self.ask(control, &format!("{profile};unicast;client_port={rtp}-{rtcp}")).await?;
        if agreed.tcp {
            return Err(PullError::Transport(header));
        }
        if let Some((rtp, rtcp)) = agreed.server_port {
            pair.open_way(rtp, rtcp);
        }
        Ok(Link::Udp(pair))
    }

    async fn ask(&mut self, control: &str, wish: &str) -> Result<(String, Transport), PullError> {
        let answer = self.client.request("SETUP", control, &[("Transport", wish)]).await?;
        let header = answer.header(&headers::TRANSPORT).map_or("", |value| value.as_str());
        Ok((header.chars().take(120).collect(), Transport::parse(header)))
    }
}
