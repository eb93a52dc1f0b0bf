//! Motion JPEG payloads (RFC 2435): scans without the headers of their files, which are made here.

use bytes::{BufMut, Bytes, BytesMut};

use super::Packet;
use super::whole::Join;
use crate::codec::mjpeg::{HUFFMAN, marker, quantization};
use crate::{CodecId, MediaError};

/// Quantization tables of 8 or 16 bits, luminance first.
type Tables = Bytes;

/// One picture, and the tables that later ones may refer to.
#[derive(Debug, Default)]
pub(super) struct Jpeg {
    /// Bytes of the scan so far.
    scanned: usize,
    /// The tables of the Q values from 128 to 254 that have come, with the precision of each.
    tables: Vec<(u8, u8, Tables)>,
}

/// A stream uses one or two; a new one takes the oldest one's place.
const MAX_TABLES: usize = 8;

/// The main header (RFC 2435 §3.1), and the restart interval behind it.
struct Header {
    /// Where in the scan the packet's data belong.
    offset: usize,
    /// 0 for 4:2:2, 1 for 4:2:0.
    sampling: u8,
    q: u8,
    /// In pixels.
    width: u16,
    height: u16,
    restart_interval: Option<u16>,
}

fn malformed(why: &'static str) -> MediaError {
    MediaError::Malformed { what: "JPEG payload (RFC 2435 §3.1)", why }
}

impl Header {
    /// Takes the header off the payload.
    fn read(payload: &mut &[u8]) -> Result<Self, MediaError> {
        let cut_off = || malformed("cut off in its header");
        let head = payload.split_off(..8).and_then(<[u8]>::first_chunk).ok_or_else(cut_off)?;
        let [_, o0, o1, o2, kind, q, width, height] = *head;
        if width == 0 || height == 0 {
            return Err(MediaError::Unsupported {
                what: "JPEG over RTP of more than 2040 pixels a side".into(),
            });
        }
        if kind & 0x3f > 1 || kind > 127 {
            return Err(MediaError::Unsupported { what: format!("JPEG over RTP of type {kind}") });
        }
        let restart_interval = if kind >= 64 {
            let restart = payload.split_off(..4).ok_or_else(cut_off)?;
            Some(u16::from_be_bytes([restart[0], restart[1]]))
        } else {
            None
        };
        Ok(Self {
            offset: u32::from_be_bytes([0, o0, o1, o2]) as usize,
            sampling: kind & 1,
            q,
            width: u16::from(width) * 8,
            height: u16::from(height) * 8,
            restart_interval,
        })
    }
}

impl Jpeg {
    /// The tables of a picture (RFC 2435 §3.1.8), which its first packet carries, names or leaves to the
    /// quality; with a bit for each that says whether its values have 16 bits.
    fn tables(&mut self, q: u8, payload: &mut &[u8]) -> Result<(u8, Tables), MediaError> {
        if matches!(q, 0 | 100..=127) {
            return Err(malformed("a reserved Q"));
        }
        if q < 128 {
            return Ok((0, Bytes::copy_from_slice(&quantization(q))));
        }
        let cut_off = || malformed("cut off in its quantization tables");
        let head = payload.split_off(..4).ok_or_else(cut_off)?;
        let (precision, length) = (head[1], u16::from_be_bytes([head[2], head[3]]));
        let tables = payload.split_off(..length.into()).ok_or_else(cut_off)?;
        if tables.is_empty() {
            let known = self.tables.iter().find(|(known, ..)| *known == q && q < 255);
            let (_, precision, tables) = known.ok_or_else(|| malformed("tables that have not come yet"))?;
            return Ok((*precision, tables.clone()));
        }
        // More than two come of files with a table for each colour; nothing refers to the third.
        let expected: usize = (0..2).map(|table| table_bytes(precision, table)).sum();
        let tables = tables.get(..expected).ok_or_else(|| malformed("not two quantization tables"))?;
        let tables = Bytes::copy_from_slice(tables);
        self.tables.retain(|(known, ..)| *known != q);
        if self.tables.len() == MAX_TABLES {
            self.tables.remove(0);
        }
        self.tables.push((q, precision, tables.clone()));
        Ok((precision, tables))
    }
}

const fn table_bytes(precision: u8, table: u8) -> usize {
    if precision >> table & 1 == 1 { 128 } else { 64 }
}

impl Join for Jpeg {
    const CODEC: CodecId = CodecId::Mjpeg;

    fn part(&mut self, packet: &Packet, file: &mut BytesMut) -> Result<bool, MediaError> {
        let mut payload = &packet.payload[..];
        let header = Header::read(&mut payload)?;
        if header.offset != self.scanned {
            return Ok(false);
        }
        if header.offset == 0 {
            file.clear(); // nothing but a header came before
            let (precision, tables) = self.tables(header.q, &mut payload)?;
            put_head(file, &header, precision, &tables);
        }
        self.scanned += payload.len();
        file.put_slice(payload);
        Ok(true)
    }

    fn whole(&mut self, mut file: BytesMut) -> Option<(Bytes, bool)> {
        if self.scanned == 0 {
            return None;
        }
        if !file.ends_with(&[0xff, marker::END_OF_IMAGE]) {
            file.put_slice(&[0xff, marker::END_OF_IMAGE]);
        }
        Some((file.freeze(), true))
    }

    fn reset(&mut self) {
        self.scanned = 0;
    }
}

/// The file up to its scan (RFC 2435 appendix B).
fn put_head(file: &mut BytesMut, header: &Header, precision: u8, tables: &[u8]) {
    file.put_slice(&[0xff, marker::START_OF_IMAGE]);
    let mut rest = tables;
    for table in 0..2 {
        let (values, others) = rest.split_at(table_bytes(precision, table));
        rest = others;
        put_segment(file, marker::QUANTIZATION_TABLES, &[&[(precision >> table & 1) << 4 | table], values]);
    }
    if let Some(interval) = header.restart_interval {
        put_segment(file, marker::RESTART_INTERVAL, &[&interval.to_be_bytes()]);
    }
    let luma_sampling = if header.sampling == 0 { 0x21 } else { 0x22 };
    let (height, width) = (header.height.to_be_bytes(), header.width.to_be_bytes());
    let components = [3, 1, luma_sampling, 0, 2, 0x11, 1, 3, 0x11, 1];
    put_segment(file, marker::START_OF_FRAME, &[&[8], &height, &width, &components]);
    for table in &HUFFMAN {
        put_segment(file, marker::HUFFMAN_TABLES, &[&[table.class_and_id], &table.counts, table.symbols]);
    }
    put_segment(file, marker::START_OF_SCAN, &[&[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]]);
}

/// A marker segment: the marker, the length of all that follows it, and the parts.
fn put_segment(file: &mut BytesMut, marker: u8, parts: &[&[u8]]) {
    let length: usize = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    file.put_slice(&[0xff, marker]);
    file.put_uint(length as u64, 2);
    parts.iter().for_each(|part| file.put_slice(part));
}
