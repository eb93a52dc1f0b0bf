//! Boxes read back. Players' opinions are in `tests/real_media.rs`.

use base::Timestamp;
use bytes::Bytes;
use mp4_atom::{Codec, Decode, Ftyp, Header, Moof, Moov};
use proptest::prelude::*;

use super::*;
use crate::{CodecId, Frame, Track};

fn aac(number: u8) -> Track {
    Track::new(number, CodecId::Aac, 48_000, Bytes::from_static(b"\x2b\x11\x88\x00")).unwrap()
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let times = (0i64..1 << 40, -1_000_000i64..1_000_000, 1u32..100_000, any::<bool>(), 0usize..300);
    let frame = times.prop_map(|(dts, offset, duration, key, size)| Frame {
        track: 1,
        dts,
        pts: dts + offset,
        duration,
        key,
        data: vec![7; size].into(),
    });
    prop::collection::vec(frame, 0..20)
}

#[test]
fn the_init_segment_holds_the_private_data_as_they_are() {
    let init = init_segment(&[&aac(2)]).unwrap();
    let mut rest = &init[..];
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert_eq!((rest.len(), moov.trak[0].tkhd.track_id), (0, 2));
    let Codec::Mp4a(mp4a) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!("not mp4a") };
    let specific = mp4a.esds.es_desc.dec_config.dec_specific.as_ref().unwrap();
    assert_eq!(specific.raw, b"\x2b\x11\x88\x00");
}

#[test]
fn private_data_that_are_no_record_are_refused() {
    let track = Track { codec: CodecId::H264, private: Bytes::from_static(b"\x01\x64"), ..aac(1) };
    assert!(init_segment(&[&track]).is_err());
}

#[test]
fn decode_times_count_from_the_epoch() {
    let origin = Timestamp::from_millis(1_763_880_000_001);
    assert_eq!(base_decode_time(origin, 90_000, 45), 158_749_200_000_090 + 45);
    assert_eq!(base_decode_time(Timestamp::from_millis(-5), 90_000, 0), 0, "never before the epoch");
    assert_eq!(base_decode_time(Timestamp::MAX, u32::MAX, i64::MAX), i64::MAX.unsigned_abs());
}

proptest! {
    /// Sizes are as foreseen, times as given, and every sample lies where its run's offset says.
    #[test]
    fn segments_read_back(first in frames(), second in frames(), base_decode_time: u64) {
        let tracks = [aac(1), aac(2)];
        let part = |i: usize, frames| Part { track: &tracks[i], base_decode_time, frames };
        let parts = [part(0, &first[..]), part(1, &second[..])];
        let file = media_segment(9, &parts).unwrap().concat();
        let count = |part: &Part<'_>| {
            let bytes = part.frames.iter().map(|frame| frame.data.len() as u64).sum();
            (u32::try_from(part.frames.len()).unwrap(), bytes)
        };
        prop_assert_eq!(file.len() as u64, media_segment_size(&parts.map(|part| count(&part))));
        let mut rest = &file[..];
        let moof = Moof::decode(&mut rest).unwrap();
        let mdat = Header::decode(&mut rest).unwrap();
        prop_assert_eq!((moof.mfhd.sequence_number, mdat.size), (9, Some(rest.len())));
        let filled = parts.iter().filter(|part| !part.frames.is_empty());
        for (part, traf) in filled.zip(&moof.traf) {
            prop_assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, base_decode_time);
            let run = &traf.trun[0];
            let mut at = usize::try_from(run.data_offset.unwrap()).unwrap();
            prop_assert_eq!(run.samples.len(), part.frames.len());
            for (frame, sample) in part.frames.iter().zip(run.samples.iter()) {
                prop_assert_eq!(sample.duration, Some(frame.duration));
                prop_assert_eq!(sample.cts, Some(frame.pts - frame.dts));
                prop_assert_eq!(&file[at..at + sample.size.unwrap() as usize], &frame.data[..]);
                at += frame.data.len();
            }
        }
    }
}
