//! The media of one publisher on its way from packets to the [`Recorder`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalog::Principal;
use media::MediaError;

use super::inbound::Inbound;
use super::udp::UdpPair;
use crate::depacketizer::Event;
#[cfg(feature = "gstreamer")]
use crate::pull::muxed::Muxed;
use crate::{Ended, IngestError, Recorder, TrackSource};

/// Datagrams taken from one pair of ports before others have their turn.
const BATCH: usize = 64;

/// How one track's packets come.
#[derive(Debug)]
pub(crate) enum Link {
    /// On these channels of the RTSP connection: RTP, RTCP.
    Interleaved(u8, u8),
    /// On ports of its own.
    Udp(UdpPair),
}

/// A track that was set up.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) inbound: Inbound,
    pub(crate) link: Link,
}

/// The receiving end of a publisher.
pub(crate) struct Recording {
    recorder: Recorder,
    principal: Principal,
    /// This receiver's synchronization source, for its reports.
    ssrc: u32,
    tracks: Vec<Track>,
    /// Where datagrams are read into.
    datagrams: BytesMut,
    events: Vec<Event>,
    /// When the last packet came (monotonic): of video, where there is any.
    heard: Option<Duration>,
    has_video: bool,
    /// The last packet error nobody was told of.
    trouble: Option<MediaError>,
    /// What takes a transport stream apart, where one is all that comes.
    #[cfg(feature = "gstreamer")]
    muxed: Option<Box<Muxed>>,
}

impl Recording {
    /// Of a stream that is held by `recorder`.
    pub(crate) fn new(recorder: Recorder, principal: Principal, ssrc: u32) -> Self {
        Self {
            recorder,
            principal,
            ssrc,
            tracks: Vec::new(),
            datagrams: BytesMut::new(),
            events: Vec::new(),
            heard: None,
            has_video: false,
            trouble: None,
            #[cfg(feature = "gstreamer")]
            muxed: None,
        }
    }

    /// The same of a transport stream, whose tracks are not known yet.
    #[cfg(feature = "gstreamer")]
    pub(crate) fn demuxed(self, muxed: Muxed) -> Self {
        Self { muxed: Some(Box::new(muxed)), ..self }
    }

    /// What takes a transport stream apart, where one is all that comes.
    #[cfg(feature = "gstreamer")]
    pub(crate) fn muxed(&mut self) -> Option<&mut Muxed> {
        self.muxed.as_deref_mut()
    }

    /// Whose credential it is.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Resolves when another publisher takes the stream over.
    pub(crate) async fn superseded(&self) {
        self.recorder.superseded().await;
    }

    /// The channels for track `number`: those asked for, unless another track has them.
    pub(crate) fn channels(&self, number: u8, wish: Option<(u8, u8)>) -> (u8, u8) {
        let taken = |channel: u8| {
            self.tracks.iter().any(|track| match track.link {
                Link::Interleaved(rtp, rtcp) => {
                    track.inbound.number != number && (rtp == channel || rtcp == channel)
                }
                Link::Udp(_) => false,
            })
        };
        let free = |(rtp, rtcp): &(u8, u8)| rtp != rtcp && !taken(*rtp) && !taken(*rtcp);
        let others = || (0..u8::MAX).step_by(2).map(|even| (even, even + 1)).find(free);
        wish.filter(free).or_else(others).unwrap_or((u8::MAX - 1, u8::MAX))
    }

    /// Adds a track, or replaces it where it was set up before.
    pub(crate) fn set_up(&mut self, track: Track) {
        self.tracks.retain(|known| known.inbound.number != track.inbound.number);
        self.tracks.push(track);
        self.has_video = self.tracks.iter().any(|track| track.inbound.video);
    }

    /// Tells the recorder which tracks come, unless only a transport stream can tell.
    ///
    /// # Errors
    /// As [`Recorder::set_tracks`]; also when no track was set up.
    pub(crate) fn begin(&mut self) -> Result<(), IngestError> {
        #[cfg(feature = "gstreamer")]
        if self.muxed.is_some() {
            return Ok(());
        }
        let source = |Track { inbound, .. }: &Track| TrackSource {
            number: inbound.number,
            video: inbound.video,
            clock_rate: inbound.clock_rate,
        };
        let mut sources: Vec<_> = self.tracks.iter().map(source).collect();
        sources.sort_by_key(|source| source.number);
        self.recorder.set_tracks(&sources)
    }

    /// Takes an interleaved packet; those on channels that were not set up are dropped.
    ///
    /// # Errors
    /// When recording cannot go on.
    pub(crate) async fn packet(
        &mut self,
        channel: u8,
        payload: Bytes,
        arrival: Duration,
    ) -> Result<(), IngestError> {
        let place = |(index, track): (usize, &Track)| match track.link {
            Link::Interleaved(rtp, _) if rtp == channel => Some((index, false)),
            Link::Interleaved(_, rtcp) if rtcp == channel => Some((index, true)),
            Link::Interleaved(..) | Link::Udp(_) => None,
        };
        match self.tracks.iter().enumerate().find_map(place) {
            Some((index, rtcp)) => self.receive(index, rtcp, payload, arrival).await,
            None => Ok(()),
        }
    }

    /// Takes the datagrams that are there, and says whether there were any.
    ///
    /// # Errors
    /// When recording cannot go on.
    pub(crate) async fn datagrams(&mut self, arrival: Duration) -> Result<bool, IngestError> {
        let mut any = false;
        for index in 0..self.tracks.len() {
            for _ in 0..BATCH {
                let Some(Track { link: Link::Udp(pair), .. }) = self.tracks.get_mut(index) else { break };
                let Some(datagram) = pair.try_receive(&mut self.datagrams) else { break };
                any = true;
                self.receive(index, datagram.rtcp, datagram.payload, arrival).await?;
            }
        }
        Ok(any)
    }

    /// The pairs of ports of the tracks that come over UDP.
    pub(crate) fn udp_pairs(&self) -> impl Iterator<Item = &UdpPair> + Clone {
        self.tracks.iter().filter_map(|track| match &track.link {
            Link::Udp(pair) => Some(pair),
            Link::Interleaved(..) => None,
        })
    }

    /// Sends a receiver report for every track that comes over UDP.
    pub(crate) fn send_reports(&mut self, now: Duration) {
        for Track { inbound, link } in &mut self.tracks {
            if let Link::Udp(pair) = link
                && let Some(report) = inbound.receiver_report(self.ssrc, now)
            {
                pair.report(&report);
            }
        }
    }

    /// Asks for the key frames that are due. Returns what is to be sent on the RTSP connection: channels and packets.
    pub(crate) fn request_key_frames(&mut self, now: Duration) -> Vec<(u8, Vec<u8>)> {
        let mut interleaved = Vec::new();
        for Track { inbound, link } in &mut self.tracks {
            let Some(request) = inbound.key_request(self.ssrc, now) else { continue };
            self.recorder.key_frame_requested();
            match link {
                Link::Udp(pair) => pair.report(&request),
                Link::Interleaved(_, rtcp) => interleaved.push((*rtcp, request)),
            }
        }
        interleaved
    }

    /// When the last RTP packet came (monotonic): of video, where there is any. Of a transport stream, which may be
    /// empty, the last frame counts once there is one.
    pub(crate) fn heard(&self) -> Option<Duration> {
        #[cfg(feature = "gstreamer")]
        if let Some(heard) = self.muxed.as_ref().and_then(|muxed| muxed.heard()) {
            return Some(heard);
        }
        self.heard
    }

    /// The last packet error since it was asked for.
    pub(crate) fn take_trouble(&mut self) -> Option<MediaError> {
        self.trouble.take()
    }

    /// Ends the recording; returns when all of it is stored.
    ///
    /// # Errors
    /// When the last fragments are not on disk.
    pub(crate) async fn finish(mut self, why: Ended) -> Result<(), IngestError> {
        for index in 0..self.tracks.len() {
            if let Some(track) = self.tracks.get_mut(index) {
                track.inbound.finish(&mut self.events);
            }
            self.record(index).await?;
        }
        #[cfg(feature = "gstreamer")]
        if let Some(muxed) = self.muxed {
            muxed.close().await;
        }
        self.recorder.finish(why).await
    }

    async fn receive(
        &mut self,
        index: usize,
        rtcp: bool,
        payload: Bytes,
        arrival: Duration,
    ) -> Result<(), IngestError> {
        let Some(Track { inbound, .. }) = self.tracks.get_mut(index) else { return Ok(()) };
        if rtcp {
            let report = inbound.rtcp(&payload, arrival);
            // The timestamps of a transport stream are of its packets, not of its frames.
            #[cfg(feature = "gstreamer")]
            let report = report.filter(|_| self.muxed.is_none());
            if let Some(report) = report {
                self.recorder.sender_report(inbound.number, &report, arrival);
            }
            return Ok(());
        }
        if inbound.video || !self.has_video {
            self.heard = Some(arrival);
        }
        if let Err(error) = inbound.rtp(payload, arrival, &mut self.events) {
            self.trouble = Some(error);
        }
        if self.events.is_empty() { Ok(()) } else { self.record(index).await }
    }

    /// Hands the recorder what came out of a track.
    async fn record(&mut self, index: usize) -> Result<(), IngestError> {
        let Some(number) = self.tracks.get(index).map(|track| track.inbound.number) else { return Ok(()) };
        for event in self.events.drain(..) {
            match event {
                #[cfg(feature = "gstreamer")]
                Event::Unit(unit, arrival) if let Some(muxed) = &mut self.muxed => {
                    muxed.take(&mut self.recorder, unit.data, arrival).await?;
                }
                #[cfg(feature = "gstreamer")]
                Event::SourceChanged if self.muxed.is_some() => {}
                Event::Unit(unit, arrival) => self.recorder.access_unit(number, unit, arrival).await?,
                Event::Lost(count) => self.recorder.packets_lost(u64::from(count)),
                Event::SourceChanged => self.recorder.source_changed(number)?,
            }
        }
        Ok(())
    }
}
