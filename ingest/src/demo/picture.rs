//! The moving test picture: colour bars, things that move, the time in digits and in a bar that
//! programs read.
//!
//! # The bar
//! The top 32 of the 720 rows hold 80 cells, each a 1/80 of the width (16 pixels): white is 1, black
//! is 0. From the left, each number with its highest bit first:
//!
//! ```text
//! cells  0..48  milliseconds since the Unix epoch, UTC, when the frame was drawn
//! cells 48..72  number of the frame since the camera started, modulo 2^24
//! cells 72..80  exclusive or of those nine bytes and 0xA5
//! ```
//!
//! To read it from a picture of any size, sample the luma at `((cell + 0.5) * width / 80,
//! height / 45)` and compare with 128; take the numbers only where the last byte is right.

use base::Timestamp;

use super::font::{self, glyph};

/// Pixels of a row.
pub(super) const WIDTH: usize = 1280;
/// Rows.
pub(super) const HEIGHT: usize = 720;
/// Bytes of a frame in I420: luma, then both chromas at half size.
pub(super) const FRAME_BYTES: usize = LUMA_BYTES + LUMA_BYTES / 2;

const LUMA_BYTES: usize = WIDTH * HEIGHT;
const BAR_ROWS: usize = 32;
const CELLS: usize = 80;
const CELL: usize = WIDTH / CELLS;
const CHECK_SEED: u8 = 0xa5;

const BLACK: u8 = 16;
const WHITE: u8 = 235;
const NEUTRAL: u8 = 128;
/// 75 % colour bars (ITU-R BT.709, limited range): luma, blue and red difference.
const COLOURS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [168, 44, 136],
    [145, 147, 44],
    [133, 63, 52],
    [63, 193, 204],
    [51, 109, 212],
    [28, 212, 120],
    [BLACK, NEUTRAL, NEUTRAL],
];
/// Where the colour bars end and the grey ramp begins.
const RAMP_TOP: usize = 400;
const BALL: usize = 64;

/// A rectangle, in pixels; all even.
#[derive(Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// Draws the frames.
pub(super) struct Painter {
    background: Vec<u8>,
}

impl Painter {
    pub(super) fn new() -> Self {
        let mut background = vec![NEUTRAL; FRAME_BYTES];
        let width = WIDTH / COLOURS.len();
        for (index, colour) in COLOURS.into_iter().enumerate() {
            let area = Area { left: index * width, top: 0, width, height: RAMP_TOP };
            fill(&mut background, area, colour);
        }
        for left in (0..WIDTH).step_by(20) {
            let level = u8::try_from(usize::from(BLACK) + left * 219 / WIDTH).unwrap_or(WHITE);
            let area = Area { left, top: RAMP_TOP, width: 20, height: HEIGHT - RAMP_TOP };
            fill(&mut background, area, [level, NEUTRAL, NEUTRAL]);
        }
        let title = Area { left: 488, top: 60, width: 304, height: 60 };
        fill(&mut background, title, [BLACK, NEUTRAL, NEUTRAL]);
        write(&mut background, "MILLRACE", title.left + 10, title.top + 9, 6);
        Self { background }
    }

    /// Draws frame `number`, of the moment `now`, into `frame` of [`FRAME_BYTES`].
    pub(super) fn draw(&self, frame: &mut [u8], number: u64, now: Timestamp) {
        if frame.len() != FRAME_BYTES {
            return;
        }
        frame.copy_from_slice(&self.background);
        let step = usize::try_from(number % (1 << 24)).unwrap_or(0);
        let sweep = Area { left: step * 16 % WIDTH, top: BAR_ROWS, width: 4, height: RAMP_TOP - BAR_ROWS };
        fill(frame, sweep, [WHITE, NEUTRAL, NEUTRAL]);
        let ball = Area {
            left: bounce(step * 6, WIDTH - BALL),
            top: RAMP_TOP + bounce(step * 4, HEIGHT - RAMP_TOP - BALL),
            width: BALL,
            height: BALL,
        };
        fill(frame, ball, [63, 193, 204]);

        let plate = Area { left: 120, top: 200, width: 1040, height: 160 };
        fill(frame, plate, [BLACK, NEUTRAL, NEUTRAL]);
        let clock = now.to_string().replace('T', " ").replace('Z', " UTC");
        write(frame, &clock, plate.left + 34, plate.top + 20, 6);
        write(frame, &format!("FRAME {number:09}"), plate.left + 250, plate.top + 96, 6);
        draw_bar(frame, number, now);
    }
}

/// Back and forth between 0 and `range`, in even steps.
fn bounce(step: usize, range: usize) -> usize {
    let place = step % (2 * range);
    place.min(2 * range - place) & !1
}

/// The 80 cells, from the left.
fn cells(number: u64, now: Timestamp) -> [bool; CELLS] {
    let [_, _, millis @ ..] = now.millis().to_be_bytes();
    let [_, _, _, _, _, count @ ..] = number.to_be_bytes();
    let mut bytes = [0; CELLS / 8];
    let (payload, check) = bytes.split_at_mut(9);
    payload.copy_from_slice(&[millis.as_slice(), &count].concat());
    check.fill(payload.iter().fold(CHECK_SEED, |sum, byte| sum ^ byte));
    std::array::from_fn(|cell| bytes.get(cell / 8).is_some_and(|byte| byte & (0x80 >> (cell % 8)) != 0))
}

fn draw_bar(frame: &mut [u8], number: u64, now: Timestamp) {
    for (cell, white) in cells(number, now).into_iter().enumerate() {
        let area = Area { left: cell * CELL, top: 0, width: CELL, height: BAR_ROWS };
        fill(frame, area, [if white { WHITE } else { BLACK }, NEUTRAL, NEUTRAL]);
    }
}

fn write(frame: &mut [u8], text: &str, left: usize, top: usize, scale: usize) {
    for (index, letter) in text.chars().enumerate() {
        let left = left + index * (font::COLUMNS + 1) * scale;
        for (row, dots) in glyph(letter).into_iter().enumerate() {
            for column in (0..font::COLUMNS).filter(|column| dots & (0x10 >> column) != 0) {
                let (left, top) = (left + column * scale, top + row * scale);
                fill_plane(frame, WIDTH, Area { left, top, width: scale, height: scale }, WHITE);
            }
        }
    }
}

/// Fills a rectangle of all three planes.
fn fill(frame: &mut [u8], area: Area, [luma, blue, red]: [u8; 3]) {
    let half =
        Area { left: area.left / 2, top: area.top / 2, width: area.width / 2, height: area.height / 2 };
    let Some((y, chroma)) = frame.split_at_mut_checked(LUMA_BYTES) else { return };
    let Some((u, v)) = chroma.split_at_mut_checked(LUMA_BYTES / 4) else { return };
    fill_plane(y, WIDTH, area, luma);
    fill_plane(u, WIDTH / 2, half, blue);
    fill_plane(v, WIDTH / 2, half, red);
}

fn fill_plane(plane: &mut [u8], stride: usize, area: Area, value: u8) {
    let right = (area.left + area.width).min(stride);
    for row in plane.chunks_exact_mut(stride).skip(area.top).take(area.height) {
        if let Some(part) = row.get_mut(area.left..right) {
            part.fill(value);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads the bar as the module's documentation says.
    pub(in crate::demo) fn read_bar(frame: &[u8]) -> Option<(u64, u64)> {
        let mut bytes = [0_u8; 10];
        for cell in 0..80 {
            let (x, y) = ((2 * cell + 1) * WIDTH / 160, HEIGHT / 45);
            bytes[cell / 8] |= u8::from(frame[y * WIDTH + x] >= 128) << (7 - cell % 8);
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let sum = bytes[..9].iter().fold(0xa5, |sum, byte| sum ^ byte);
        (sum == bytes[9]).then(|| (number(&bytes[..6]), number(&bytes[6..9])))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_bar_tells_time_and_number(number: u64, millis in 0_i64..4_000_000_000_000) {
            let mut frame = vec![0; FRAME_BYTES];
            Painter::new().draw(&mut frame, number, Timestamp::from_millis(millis));
            prop_assert_eq!(read_bar(&frame), Some((millis.unsigned_abs(), number % (1 << 24))));
        }
    }

    #[test]
    fn a_blank_picture_has_no_time() {
        assert_eq!(read_bar(&vec![0; FRAME_BYTES]), None);
        assert_eq!(read_bar(&vec![255; FRAME_BYTES]), None);
    }

    #[test]
    fn things_move_and_stay_inside() {
        let painter = Painter::new();
        let (mut a, mut b) = (vec![0; FRAME_BYTES], vec![0; FRAME_BYTES]);
        painter.draw(&mut a, 1, Timestamp::from_millis(0));
        painter.draw(&mut b, 2, Timestamp::from_millis(33));
        assert_ne!(a, b);
        assert!((0..5000).all(|step| bounce(step, 256) <= 256));
    }
}
