//! The tracks of one session on their way to the [`Recorder`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Limits;
use bytes::Bytes;
use media::MediaError;
use media::rtp::{Packet, SenderReport};
use str0m::media::{Mid, Rid, SenderFeedback};
use str0m::rtp::RtpPacket;

use super::layers::{Layers, Output};
use super::offer::OfferedTrack;
use crate::{Ended, IngestError, Recorder, TrackSource};

/// Seconds between the epochs of NTP, 1900, and of Unix, 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// What a session records.
pub(super) struct Tracks {
    recorder: Recorder,
    tracks: Vec<(Mid, Layers)>,
    outputs: Vec<Output>,
    /// The last packet error nobody was told of.
    trouble: Option<MediaError>,
}

impl Tracks {
    /// Of a stream that is held by `recorder`.
    ///
    /// # Errors
    /// As [`Recorder::set_tracks`].
    pub(super) fn new(mut recorder: Recorder, offered: &[OfferedTrack]) -> Result<Self, IngestError> {
        let layers =
            |track: &OfferedTrack| (track.mid, Layers::new(track.number, track.video, track.format.clone()));
        let tracks: Vec<_> = offered.iter().map(layers).collect();
        let source = |(_, layers): &(Mid, Layers)| TrackSource {
            number: layers.number(),
            video: layers.is_video(),
            clock_rate: layers.clock_rate(),
        };
        recorder.set_tracks(&tracks.iter().map(source).collect::<Vec<_>>())?;
        Ok(Self { recorder, tracks, outputs: Vec::new(), trouble: None })
    }

    /// The recorder, for what concerns the session as a whole.
    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Takes a packet that arrived at `arrival` (monotonic).
    ///
    /// # Errors
    /// When recording cannot go on.
    pub(super) async fn packet(
        &mut self,
        (mid, rid): (Mid, Option<Rid>),
        packet: RtpPacket,
        arrival: Duration,
        limits: &Limits,
    ) -> Result<(), IngestError> {
        let Some(index) = self.tracks.iter().position(|(known, _)| *known == mid) else { return Ok(()) };
        let packet = Packet {
            payload_type: *packet.header.payload_type,
            marker: packet.header.marker,
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            ssrc: *packet.header.ssrc,
            payload: Bytes::from_owner(packet.payload),
        };
        let layers = &mut self.tracks[index].1;
        if let Err(error) = layers.packet(rid, packet, arrival, limits, &mut self.outputs) {
            self.trouble = Some(error);
        }
        if self.outputs.is_empty() { Ok(()) } else { self.record(index).await }
    }

    /// Takes a sender report.
    pub(super) fn report(&mut self, report: &SenderFeedback, arrival: Duration) {
        let Some((_, layers)) = self.tracks.iter_mut().find(|(mid, _)| *mid == report.mid) else { return };
        let info = &report.sender_info;
        #[expect(clippy::cast_possible_truncation, reason = "RTP time counts modulo 2^32")]
        let rtp_timestamp = info.rtp_time.numer() as u32;
        let told = SenderReport { ssrc: *info.ssrc, ntp: ntp(info.ntp_time), rtp_timestamp };
        if let Some(told) = layers.report(report.rid, told) {
            self.recorder.sender_report(layers.number(), &told, arrival);
        }
    }

    /// The layers that should send a key frame now.
    pub(super) fn key_frames_due(&mut self, now: Duration, target: Duration) -> Vec<(Mid, Option<Rid>)> {
        let (mut all, mut due) = (Vec::new(), Vec::new());
        for (mid, layers) in &mut self.tracks {
            layers.key_frames_due(now, target, &mut due);
            all.extend(due.drain(..).map(|rid| (*mid, rid)));
        }
        all
    }

    /// The last packet error since it was asked for.
    pub(super) fn take_trouble(&mut self) -> Option<MediaError> {
        self.trouble.take()
    }

    /// Ends the recording; returns when all of it is stored.
    ///
    /// # Errors
    /// When the last fragments are not on disk.
    pub(super) async fn finish(mut self, why: Ended) -> Result<(), IngestError> {
        for index in 0..self.tracks.len() {
            self.tracks[index].1.finish(&mut self.outputs);
            self.record(index).await?;
        }
        self.recorder.finish(why).await
    }

    /// Hands the recorder what came out of a track.
    async fn record(&mut self, index: usize) -> Result<(), IngestError> {
        let number = self.tracks[index].1.number();
        for output in self.outputs.drain(..) {
            match output {
                Output::Unit(unit, arrival) => self.recorder.access_unit(number, unit, arrival).await?,
                Output::Lost(count) => self.recorder.packets_lost(u64::from(count)),
                Output::TimesBroken => self.recorder.source_changed(number)?,
            }
        }
        Ok(())
    }
}

/// A time as RTCP carries it: seconds since 1900 in the upper 32 bits, which wrap in 2036.
fn ntp(time: SystemTime) -> u64 {
    // One before 1970 is no clock's; the time rule believes none that far off.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs().wrapping_add(NTP_EPOCH) << 32) | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_rtcp_carries_them() {
        assert_eq!(ntp(UNIX_EPOCH), NTP_EPOCH << 32);
        let half_past = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        assert_eq!(ntp(half_past), ((1_700_000_000 + NTP_EPOCH) << 32) | 1 << 31);
        assert_eq!(ntp(UNIX_EPOCH - Duration::from_secs(9)), NTP_EPOCH << 32);
    }
}
