//! RTP packets of the codecs that are not made of NAL units, as their payload formats want them.

use std::process::Command;

use crate::recording::{PACKET_BYTES, Recording, Sender, Source, cut, run, text};

/// The whole way from RTP packets to fragments.
pub fn record(source: &Source, [video, audio]: [&str; 2], rate: u32) -> Recording {
    let mut pictures = Sender::new(1, video, 90_000, "");
    for (time, sample) in samples(source, "v") {
        let payloads = match video {
            "AV1" => av1(&sample),
            "VP9" => vp9(&sample),
            _ => jpeg(&sample),
        };
        send(&mut pictures, time, payloads);
    }
    let mut sounds = Sender::new(2, audio, rate, "");
    for (time, sample) in samples(source, "a") {
        send(&mut sounds, time, vec![sample]);
    }
    let ((video_track, video), (audio_track, audio)) = (pictures.frames(), sounds.frames());
    Recording { tracks: vec![video_track, audio_track], fragments: cut(video, audio, rate) }
}

fn send(sender: &mut Sender, time: u32, payloads: Vec<Vec<u8>>) {
    let last = payloads.len() - 1;
    for (index, payload) in payloads.into_iter().enumerate() {
        sender.send(time, index == last, payload);
    }
}

/// Decode times of a stream's samples, in its ticks from zero, and their bytes.
fn samples(source: &Source, stream: &str) -> Vec<(u32, Vec<u8>)> {
    let file = std::fs::read(&source.file).unwrap();
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts,size,pos"]);
    let output = text(&run(probe.args(["-of", "csv=p=0"]).arg(&source.file)));
    let mut first = None;
    let sample = |line: &str| {
        // Side data follow, on this line or the next.
        let fields: Vec<i64> = line.split(',').take(3).map(|field| field.parse().unwrap()).collect();
        let [pts, size, position] = fields[..] else { panic!("{line}") };
        let time = u32::try_from(pts - *first.get_or_insert(pts)).unwrap();
        let (size, position) = (usize::try_from(size).unwrap(), usize::try_from(position).unwrap());
        (time, file[position..position + size].to_vec())
    };
    output.lines().filter(|line| !line.is_empty()).map(sample).collect()
}

/// Bytes in pieces, and whether each is the first or the last.
fn pieces(data: &[u8]) -> impl Iterator<Item = (bool, bool, &[u8])> {
    let last = data.len().div_ceil(PACKET_BYTES) - 1;
    data.chunks(PACKET_BYTES).enumerate().map(move |(index, piece)| (index == 0, index == last, piece))
}

/// The units without their sizes, each in packets of its own.
fn av1(mut unit: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let Some((&header, mut rest)) = unit.split_first() {
        assert_eq!(header & 0x86, 2, "no extension, a size");
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = *rest.split_off_first().unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (payload, others) = rest.split_at(length);
        unit = others;
        let bare = [&[header & !2], payload].concat();
        payloads.extend(pieces(&bare).map(|(first, last, piece)| {
            let header = if first { 0x10 } else { 0x90 } | if last { 0 } else { 0x40 };
            [&[header], piece].concat()
        }));
    }
    payloads
}

/// Frames behind a picture id of 15 bits.
fn vp9(frame: &[u8]) -> Vec<Vec<u8>> {
    let descriptor = |first, last| 0x80 | if first { 0x08 } else { 0 } | if last { 0x04 } else { 0 };
    pieces(frame)
        .map(|(first, last, piece)| [&[descriptor(first, last), 0x81, 0x02], piece].concat())
        .collect()
}

/// The scan, and the quantization table that ffmpeg uses for luminance and chrominance alike.
fn jpeg(file: &[u8]) -> Vec<Vec<u8>> {
    let segment = |marker: u8| file.windows(2).position(|pair| pair == [0xff, marker]).unwrap();
    let table = &file[segment(0xdb) + 5..][..64];
    let scan_header = segment(0xda);
    let length = usize::from(u16::from_be_bytes([file[scan_header + 2], file[scan_header + 3]]));
    let scan = &file[scan_header + 2 + length..];
    let mut offset = 0;
    pieces(scan)
        .map(|(first, _, piece)| {
            let place = u32::try_from(offset).unwrap().to_be_bytes();
            offset += piece.len();
            let tables = if first { [&[0, 0, 0, 128], table, table].concat() } else { Vec::new() };
            [&place[..], &[1, 255, 40, 30], &tables, piece].concat()
        })
        .collect()
}
