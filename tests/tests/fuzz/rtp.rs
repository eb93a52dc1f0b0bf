//! RTP and RTCP: from the packets of a connection to fragments.
//!
//! The input is what a publisher sends after RECORD: interleaved packets (`$`, channel, length). Those
//! on even channels are RTP, the others RTCP.

use std::sync::Arc;

use base::{Limits, Timestamp};
use bytes::Bytes;
use media::fmp4::{Part, media_segment, media_segment_size};
use media::mkv::{read_fragment, write_fragment};
use media::rtp::{AccessUnit, Depayloader, Format, Packet, ReorderBuffer, SenderReport, sender_report};
use media::{CodecId, DecodeOrder, Frame, Track, Unwrapper};

use crate::{codec, memory};

/// Small, so that inputs reach it.
const FRAME_LIMIT: usize = 16 * 1024;
/// What parameter sets that change in mid-stream may add to a frame.
const SETS_IN_BAND: usize = 16 * (4 + 2048);

pub(crate) fn h264(input: &[u8]) {
    let sets = "packetization-mode=1;sprop-parameter-sets=Z0LAC9kHgA==,aMuDyw==";
    receive(&format("H264", 90_000, sets), 0, input);
    receive(&format("H264", 90_000, ""), 64, input);
}

pub(crate) fn h265(input: &[u8]) {
    let sets = "sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwAelZAJ; sprop-pps=RAHBcrQiQA==; \
                sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoBAgYWWVkkkyvAWgIAAAAwAgAAADAUE=";
    receive(&format("H265", 90_000, sets), 0, input);
    receive(&format("H265", 90_000, ""), 64, input);
}

pub(crate) fn aac(input: &[u8]) {
    let widths = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1208";
    receive(&format("MPEG4-GENERIC", 44_100, widths), 0, input);
    receive(&format("MPEG4-GENERIC", 44_100, "mode=AAC-lbr;config=1208"), 64, input);
}

pub(crate) fn latm(input: &[u8]) {
    receive(&format("MP4A-LATM", 44_100, "cpresent=0;config=40002410"), 0, input);
    // Three access units in an element.
    receive(&format("MP4A-LATM", 44_100, "cpresent=0;config=42002410"), 64, input);
}

pub(crate) fn av1(input: &[u8]) {
    receive(&format("AV1", 90_000, ""), 0, input);
    receive(&format("AV1", 90_000, ""), 64, input);
}

pub(crate) fn vp8(input: &[u8]) {
    receive(&format("VP8", 90_000, ""), 0, input);
    receive(&format("VP8", 90_000, ""), 64, input);
}

pub(crate) fn vp9(input: &[u8]) {
    receive(&format("VP9", 90_000, ""), 0, input);
    receive(&format("VP9", 90_000, ""), 64, input);
}

pub(crate) fn jpeg(input: &[u8]) {
    receive(&format("JPEG", 90_000, ""), 0, input);
    receive(&format("JPEG", 90_000, ""), 64, input);
}

/// Opus and samples as they are.
pub(crate) fn plain_audio(input: &[u8]) {
    receive(&format("opus", 48_000, "sprop-stereo=1"), 0, input);
    receive(&format("PCMU", 8000, ""), 0, input);
    receive(&format("PCMA", 8000, ""), 64, input);
    receive(&format("L16", 44_100, ""), 0, input);
}

/// RTCP packets alone: a sender report that is found is the one that its own bytes say.
pub(crate) fn rtcp(input: &[u8]) {
    let Some(SenderReport { ssrc, ntp, rtp_timestamp }) = sender_report(input) else { return };
    let mut alone = vec![0x80, 200, 0, 6];
    alone.extend(ssrc.to_be_bytes());
    alone.extend(ntp.to_be_bytes());
    alone.extend(rtp_timestamp.to_be_bytes());
    alone.extend([0; 8]);
    assert!(input.windows(16).any(|window| window == &alone[4..20]));
    assert_eq!(sender_report(&alone), Some(SenderReport { ssrc, ntp, rtp_timestamp }));
}

fn format(encoding: &str, clock_rate: u32, fmtp: &str) -> Format {
    Format { encoding: encoding.into(), clock_rate, channels: 1, fmtp: fmtp.into() }
}

/// The channel and bytes of each interleaved packet; the last one may be cut off.
fn packets(mut stream: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[_, channel, high, low], rest) = stream.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (packet, rest) = rest.split_at(length);
        stream = rest;
        Some((channel, packet))
    })
}

/// One track of a publisher, from its packets to files.
fn receive(format: &Format, reorder: usize, input: &[u8]) {
    let units = memory::in_proportion(input.len(), || depayload(format, reorder, input));
    let mut current: Option<Arc<Track>> = None;
    let mut runs: Vec<(Arc<Track>, Vec<Frame>)> = Vec::new();
    let (mut unwrapper, mut order) = (Unwrapper::new(format.clock_rate, true), DecodeOrder::new(1, 0));
    for unit in &units {
        let unwrapped = unwrapper.unwrap(unit.rtp_timestamp);
        if unit.track.is_some() || unwrapped.jump.is_some() {
            if let Some((_, frames)) = runs.last_mut() {
                order.finish(frames);
            }
            current = unit.track.clone().or(current);
            let track = current.clone().expect("the first unit brings its track");
            order = DecodeOrder::new(1, track.reorder_depth);
            runs.push((track, Vec::new()));
        }
        let (track, frames) = runs.last_mut().expect("the first unit brings its track");
        check_unit(track, unit);
        order.push(unwrapped.ticks, unit.key, unit.data.clone(), frames);
    }
    if let Some((_, frames)) = runs.last_mut() {
        order.finish(frames);
    }
    assert_eq!(runs.iter().map(|(_, frames)| frames.len()).sum::<usize>(), units.len());
    for (track, frames) in runs {
        check_run(&track, &frames);
    }
}

fn depayload(format: &Format, reorder: usize, input: &[u8]) -> Vec<AccessUnit> {
    let limits = Limits { frame_bytes: FRAME_LIMIT, ..Limits::default() };
    let mut depayloader = Depayloader::new(1, format, &limits).unwrap();
    let (mut buffer, mut sequenced, mut units) = (ReorderBuffer::new(reorder), Vec::new(), Vec::new());
    for (channel, packet) in packets(input) {
        if channel % 2 == 1 {
            rtcp(packet);
        } else if let Ok(packet) = Packet::parse(Bytes::copy_from_slice(packet)) {
            assert!(packet.payload_type < 128);
            buffer.push(packet, &mut sequenced);
        }
        for sequenced in sequenced.drain(..) {
            // What is wrong with a packet is told; the next ones are taken as usual.
            let _ = depayloader.push(&sequenced.packet, sequenced.lost, &mut units);
        }
    }
    buffer.finish(&mut sequenced);
    for sequenced in sequenced.drain(..) {
        let _ = depayloader.push(&sequenced.packet, sequenced.lost, &mut units);
    }
    depayloader.finish(&mut units);
    units
}

fn check_unit(track: &Track, unit: &AccessUnit) {
    assert!(!unit.data.is_empty() && unit.data.len() <= unit_limit(track.codec));
    if !matches!(track.codec, CodecId::H264 | CodecId::H265) {
        return;
    }
    let mut rest = &unit.data[..];
    while let Some((length, nal)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        assert!((1..=nal.len()).contains(&length), "a NAL unit that leaves its sample");
        rest = &nal[length..];
    }
    assert!(rest.is_empty());
}

/// What a sample may hold: an audio packet is a sample, and has no limit but its own length.
fn unit_limit(codec: CodecId) -> usize {
    match codec {
        CodecId::Opus | CodecId::Pcmu | CodecId::Pcma | CodecId::L16 => usize::from(u16::MAX),
        _ => FRAME_LIMIT + SETS_IN_BAND,
    }
}

/// One run of a track: it can be stored, read back and played.
fn check_run(track: &Arc<Track>, frames: &[Frame]) {
    codec::check(track);
    for pair in frames.windows(2) {
        assert!(pair[0].dts < pair[1].dts);
        assert_eq!(pair[0].dts + i64::from(pair[0].duration), pair[1].dts);
    }
    let file = Bytes::from(write_fragment(&[Arc::clone(track)], frames, Timestamp::default()).concat());
    let read = read_fragment(&file).unwrap();
    assert_eq!((read.tracks.as_slice(), read.frames.as_slice()), (&[Arc::clone(track)][..], frames));
    let part = Part { track, base_decode_time: 0, frames };
    let bytes = frames.iter().map(|frame| frame.data.len() as u64).sum();
    let segment = media_segment(1, &[part]).unwrap().concat();
    assert_eq!(segment.len() as u64, media_segment_size(&[(u32::try_from(frames.len()).unwrap(), bytes)]));
}
