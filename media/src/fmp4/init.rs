//! ftyp and moov.

use bytes::Bytes;
use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Atom, Audio, Av01, Avc1, Codec, Dinf, Dops, Dref, Esds, FixedPoint, FourCC, Ftyp, Hdlr, Hvc1, Mdhd, Mdia,
    Mehd, Minf, Moov, Mp4a, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
    Vp09, VpcC,
};

use super::{BRAND, encode};
use crate::codec::opus::Head;
use crate::codec::vp9::Features;
use crate::{CodecId, MediaError, Track};

/// The init segment (ftyp, moov) of a set of tracks.
pub fn init_segment(tracks: &[&Track]) -> Result<Bytes, MediaError> {
    let boxes = tracks.iter().map(|track| TrackBox { timescale: track.timescale, entries: vec![*track] });
    let boxes: Vec<_> = boxes.collect();
    movie(&boxes.iter().collect::<Vec<_>>(), None).map(Bytes::from)
}

/// One track of a movie: the same picture or sound, whose codec data may change over time.
pub(crate) struct TrackBox<'a> {
    pub(crate) timescale: u32,
    /// The sample entries, by sample description index - 1. Never empty.
    pub(crate) entries: Vec<&'a Track>,
}

/// Ticks per second of the movie's own times.
const MOVIE_TIMESCALE: u32 = 1000;

/// ftyp and moov of a movie whose samples come in fragments, `duration_ms` long where that is known.
pub(crate) fn movie(tracks: &[&TrackBox<'_>], duration_ms: Option<u64>) -> Result<Vec<u8>, MediaError> {
    let mut out = Vec::with_capacity(1024);
    let compatible_brands = vec![BRAND, FourCC::new(b"cmfc"), FourCC::new(b"mp41")];
    encode(&mut out, &Ftyp { major_brand: BRAND, minor_version: 1, compatible_brands })?;
    let ids = || tracks.iter().map(|track| u32::from(track.entries[0].number));
    let moov = Moov {
        mvhd: Mvhd {
            timescale: MOVIE_TIMESCALE,
            next_track_id: ids().max().unwrap_or(0) + 1,
            rate: 1.into(),
            volume: 1.into(),
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: duration_ms.map(|fragment_duration| Mehd { fragment_duration }),
            trex: ids()
                .map(|track_id| Trex { track_id, default_sample_description_index: 1, ..Trex::default() })
                .collect(),
        }),
        trak: tracks.iter().map(|track| trak(track)).collect::<Result<_, _>>()?,
        ..Moov::default()
    };
    encode(&mut out, &moov)?;
    Ok(out)
}

fn trak(track: &TrackBox<'_>) -> Result<Trak, MediaError> {
    let first = track.entries[0];
    let codecs = track.entries.iter().map(|entry| sample_entry(entry)).collect::<Result<_, _>>()?;
    let video = first.is_video();
    let (handler, name) = if video { (b"vide", "Video") } else { (b"soun", "Sound") };
    Ok(Trak {
        tkhd: Tkhd {
            track_id: first.number.into(),
            enabled: true,
            in_movie: true,
            volume: FixedPoint::from(u8::from(!video)),
            width: pixels(first.width).into(),
            height: pixels(first.height).into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: track.timescale, language: "und".into(), ..Mdhd::default() },
            hdlr: Hdlr { handler: FourCC::new(handler), name: name.into() },
            minf: Minf {
                vmhd: video.then(Vmhd::default),
                smhd: (!video).then(Smhd::default),
                dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                stbl: Stbl { stsd: Stsd { codecs }, stco: Some(Stco::default()), ..Stbl::default() },
                ..Minf::default()
            },
        },
        ..Trak::default()
    })
}

fn sample_entry(track: &Track) -> Result<Codec, MediaError> {
    let visual = || Visual {
        data_reference_index: 1,
        width: pixels(track.width),
        height: pixels(track.height),
        ..Visual::default()
    };
    let audio = || Audio {
        data_reference_index: 1,
        channel_count: track.channels.into(),
        sample_size: 16,
        // The field ends at 65535; players go by the codec's own configuration.
        sample_rate: u16::try_from(track.sample_rate).unwrap_or(0).into(),
    };
    Ok(match track.codec {
        CodecId::H264 => Avc1 { visual: visual(), avcc: private(track)?, ..Avc1::default() }.into(),
        CodecId::H265 => Hvc1 { visual: visual(), hvcc: private(track)?, ..Hvc1::default() }.into(),
        CodecId::Av1 => Av01 { visual: visual(), av1c: private(track)?, ..Av01::default() }.into(),
        CodecId::Vp9 => Vp09 { visual: visual(), vpcc: vpcc(track)?, ..Vp09::default() }.into(),
        CodecId::Aac => {
            Mp4a { audio: audio(), esds: Esds { es_desc: elementary_stream(track) }, btrt: None, taic: None }
                .into()
        }
        CodecId::Opus => Opus { audio: audio(), dops: dops(track)?, btrt: None }.into(),
        codec @ (CodecId::Vp8
        | CodecId::Mjpeg
        | CodecId::Pcmu
        | CodecId::Pcma
        | CodecId::L16
        | CodecId::Other) => {
            return Err(MediaError::NotInMp4 { codec });
        }
    })
}

/// VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding) of WebM's codec private data.
fn vpcc(track: &Track) -> Result<VpcC, MediaError> {
    let Features { profile, level, bit_depth, chroma_subsampling } =
        Features::parse(&track.private).ok_or_else(no_record)?;
    Ok(VpcC { profile, level, bit_depth, chroma_subsampling, ..VpcC::default() })
}

/// OpusSpecificBox (Encapsulation of Opus in ISO Base Media File Format §4.3.2) of the identification header.
fn dops(track: &Track) -> Result<Dops, MediaError> {
    let Head { channels, pre_skip, input_rate, gain } = Head::parse(&track.private).ok_or_else(no_record)?;
    Ok(Dops {
        output_channel_count: channels,
        pre_skip,
        input_sample_rate: input_rate,
        output_gain: gain,
        channel_mapping: None,
    })
}

/// The configuration record in the track's private data.
fn private<Record: Atom>(track: &Track) -> Result<Record, MediaError> {
    Record::decode_body(&mut &track.private[..]).map_err(|_| no_record())
}

fn no_record() -> MediaError {
    MediaError::Malformed { what: "codec private data", why: "not a decoder configuration record" }
}

/// ES_Descriptor of MPEG-4 audio (ISO/IEC 14496-1 §7.2.6.5).
fn elementary_stream(track: &Track) -> EsDescriptor {
    EsDescriptor {
        es_id: track.number.into(),
        dec_config: DecoderConfig {
            object_type_indication: 0x40, // ISO/IEC 14496-3
            stream_type: 0x05,            // audio
            dec_specific: Some(DecoderSpecific { raw: track.private.to_vec(), ..DecoderSpecific::default() }),
            ..DecoderConfig::default()
        },
        sl_config: SLConfig::default(),
        ..EsDescriptor::default()
    }
}

fn pixels(pixels: u32) -> u16 {
    u16::try_from(pixels).unwrap_or(u16::MAX)
}
