//! What is made of samples, as ffmpeg hears it.

#![cfg(feature = "gstreamer")]

use std::process::Command;
use std::sync::Arc;

use base::{Timestamp, TrackMeta};
use bytes::Bytes;
use media::fmp4::{Part, base_decode_time, init_segment, media_segment};
use media::mkv::StoredFragment;
use media::{CodecId, Frame, Track};

use super::convert::convert;
use super::*;

const RATE: u32 = 8000;
/// Samples in a packet: 20 ms.
const PACKET: usize = 160;

/// Packets of L16 from sample `start` on.
fn fragment(start: usize, samples: &[i16]) -> (StoredFragment, TrackMeta) {
    let track = Arc::new(Track::of_samples(2, CodecId::L16, RATE, 1).unwrap());
    let packet = |(index, packet): (usize, &[i16])| {
        let dts = (start + index * PACKET) as i64;
        let data: Bytes = packet.iter().flat_map(|sample| sample.to_be_bytes()).collect();
        Frame { track: 2, dts, pts: dts, duration: packet.len() as u32, key: true, data }
    };
    let frames: Vec<Frame> = samples.chunks(PACKET).enumerate().map(packet).collect();
    let meta = track.meta(start as i64, &frames);
    (StoredFragment { tracks: vec![track], frames }, meta)
}

/// A sweep of a second and a half that never repeats.
fn sweep(count: usize) -> Vec<i16> {
    let value = |i: usize| {
        let seconds = i as f64 / f64::from(RATE);
        (8000.0 * (std::f64::consts::TAU * (200.0 + 150.0 * seconds) * seconds).sin()) as i16
    };
    (0..count).map(value).collect()
}

/// The samples cut into fragments of so many packets each, every one converted on its own.
fn converted(samples: &[i16], packets: &[usize]) -> Vec<(TrackMeta, StoredFragment)> {
    let (mut at, mut before, mut made) = (0, None, Vec::new());
    for count in packets {
        let (stored, meta) = fragment(at, &samples[at..at + count * PACKET]);
        let aac = convert(before.as_ref(), &stored, std::slice::from_ref(&meta)).unwrap();
        let again = convert(before.as_ref(), &stored, std::slice::from_ref(&meta)).unwrap();
        assert_eq!(aac, again, "the same bytes every time");
        made.push((as_aac(&meta), aac));
        (at, before) = (at + count * PACKET, Some(stored));
    }
    made
}

/// What ffmpeg decodes of the segments, from the first frame on.
fn heard(made: &[(TrackMeta, StoredFragment)]) -> Vec<i16> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sound.mp4");
    let mut pieces = vec![init_segment(&[&made[0].1.tracks[0]]).unwrap()];
    for (meta, fragment) in made {
        let track = &*fragment.tracks[0];
        let origin = Timestamp::from_millis(1_763_880_000_000);
        let base_decode_time = base_decode_time(origin, track.timescale, meta.start);
        pieces
            .extend(media_segment(1, &[Part { track, base_decode_time, frames: &fragment.frames }]).unwrap());
    }
    std::fs::write(&file, pieces.concat()).unwrap();
    let decode = ["-f", "s16le", "-ac", "1", "-"];
    let output =
        Command::new("ffmpeg").args(["-v", "warning", "-i"]).arg(&file).args(decode).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.stdout.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

/// Each frame's samples are heard where they were recorded, over all borders of fragments.
#[test]
fn fragments_join_without_gap_or_overlap() {
    let packets = [100, 37, 104, 61, 95];
    let samples = sweep(packets.iter().sum::<usize>() * PACKET);
    let made = converted(&samples, &packets);
    for (meta, fragment) in &made {
        let bytes: usize = fragment.frames.iter().map(|frame| frame.data.len()).sum();
        assert_eq!((fragment.frames.len(), bytes as u64), (meta.frames as usize, meta.bytes), "as foreseen");
        assert_eq!(fragment.tracks[0].init_id(), meta.init_id);
    }
    let heard = heard(&made);
    // The first frame is the silence before the run; the second one has no predecessor to decode from.
    let first = usize::try_from(made[0].0.start + 1024).unwrap();
    assert_eq!(first, 0);
    let power = |samples: &mut dyn Iterator<Item = f64>| samples.map(|value| value * value).sum::<f64>();
    for (index, (heard, made)) in heard[1024..].chunks(256).zip(samples.chunks(256)).enumerate().skip(4) {
        let error = power(&mut heard.iter().zip(made).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let signal = power(&mut made.iter().map(|value| f64::from(*value)));
        assert!(error < signal / 1000.0, "samples from {}: {error:.0} of {signal:.0}", index * 256);
    }
    assert!(samples.len() - (heard.len() - 1024) < 2048, "all but the last frames are heard");
}

#[test]
fn nothing_outgrows_its_frame() {
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if seed >> 31 == 0 { i16::MAX } else { i16::MIN }
    };
    let samples: Vec<i16> = (0..100 * PACKET).map(|_| noise()).collect();
    let made = converted(&samples, &[100]);
    assert!(made[0].1.frames.iter().all(|frame| frame.data.len() == FRAME_BYTES));
}

/// Packets that were lost are silence; what follows them stays at its place.
#[test]
fn lost_packets_are_silence() {
    let samples = sweep(200 * PACKET);
    let (mut stored, meta) = fragment(0, &samples);
    stored.frames.drain(50..100);
    let whole = convert(None, &fragment(0, &samples).0, std::slice::from_ref(&meta)).unwrap();
    let holed = convert(None, &stored, std::slice::from_ref(&meta)).unwrap();
    assert_eq!(whole.frames.len(), holed.frames.len());
    let heard = heard(&[(as_aac(&meta), holed)]);
    let loudest = |range: std::ops::Range<usize>| heard[range].iter().map(|value| value.unsigned_abs()).max();
    assert!(loudest(1024 + 60 * PACKET..1024 + 90 * PACKET).unwrap() < 100);
    assert!(loudest(1024 + 120 * PACKET..1024 + 150 * PACKET).unwrap() > 7000);
}

#[test]
fn what_aac_cannot_hold_is_named() {
    let (_, meta) = fragment(0, &[0; PACKET]);
    assert_eq!(obstacle(&meta), None);
    for odd in [TrackMeta { sample_rate: 9000, ..meta.clone() }, TrackMeta { channels: 3, ..meta }] {
        assert!(obstacle(&odd).unwrap().contains("Matroska"));
    }
}
