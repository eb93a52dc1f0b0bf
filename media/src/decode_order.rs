//! Decode times from presentation times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;

use crate::Frame;

/// Gives the frames of one track, which arrive in decoding order with presentation times only
/// (RTP), their decode times and durations.
///
/// The i-th frame's decode time is the i-th smallest presentation time of the run, found by looking
/// ahead as many frames as the codec may reorder: a frame that is decoded later than that many
/// frames after the i-th cannot be shown as early as i-th. Decode times are strictly increasing
/// whatever the sender does; where it reorders deeper than it declared, the look-ahead grows.
#[derive(Clone, Debug)]
pub struct DecodeOrder {
    track: u8,
    depth: usize,
    /// Frames without a decode time, in decoding order.
    queue: VecDeque<Coded>,
    /// Presentation times that no frame has taken as its decode time; as many as `queue` holds.
    times: BinaryHeap<Reverse<i64>>,
    /// The frame that has a decode time but waits for its successor's to know its duration.
    last: Option<Frame>,
    last_duration: u32,
    /// Presentation times of the newest frames, to notice deeper reordering than declared.
    recent: VecDeque<i64>,
}

#[derive(Clone, Debug)]
struct Coded {
    pts: i64,
    key: bool,
    data: Bytes,
}

/// The deepest reordering either codec allows (H.264 §E.2.1 max_num_reorder_frames, H.265 §A.4.2).
const MAX_DEPTH: usize = 16;

impl DecodeOrder {
    /// For a run of track `track` whose parameter sets declare `reorder_depth`.
    pub fn new(track: u8, reorder_depth: u8) -> Self {
        Self {
            track,
            depth: usize::from(reorder_depth).min(MAX_DEPTH),
            queue: VecDeque::new(),
            times: BinaryHeap::new(),
            last: None,
            last_duration: 0,
            recent: VecDeque::with_capacity(MAX_DEPTH),
        }
    }

    /// Takes a frame and appends the frames whose decode time and duration are now known: this one
    /// comes out after `reorder_depth + 1` more.
    pub fn push(&mut self, pts: i64, key: bool, data: Bytes, out: &mut Vec<Frame>) {
        let overtaken = self.recent.iter().filter(|earlier| **earlier > pts).count();
        self.depth = self.depth.max(overtaken);
        if self.recent.len() == MAX_DEPTH {
            self.recent.pop_front();
        }
        self.recent.push_back(pts);
        self.times.push(Reverse(pts));
        self.queue.push_back(Coded { pts, key, data });
        while self.queue.len() > self.depth {
            self.release(out);
        }
    }

    /// Ends the run: appends the frames still waiting. The last one takes its predecessor's duration.
    pub fn finish(&mut self, out: &mut Vec<Frame>) {
        while !self.queue.is_empty() {
            self.release(out);
        }
        if let Some(mut last) = self.last.take() {
            last.duration = self.last_duration;
            out.push(last);
        }
    }

    /// Frames taken that have not come out yet.
    pub fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.last.is_some())
    }

    /// Gives the first frame of the queue its decode time, which completes the frame before it.
    fn release(&mut self, out: &mut Vec<Frame>) {
        let (Some(Coded { pts, key, data }), Some(Reverse(time))) =
            (self.queue.pop_front(), self.times.pop())
        else {
            return;
        };
        let mut dts = time;
        if let Some(mut last) = self.last.take() {
            dts = time.max(last.dts.saturating_add(1));
            last.duration = u32::try_from(dts.saturating_sub(last.dts)).unwrap_or(u32::MAX);
            self.last_duration = last.duration;
            out.push(last);
        }
        self.last = Some(Frame { track: self.track, dts, pts, duration: 0, key, data });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(depth: u8, times: &[i64]) -> Vec<Frame> {
        let (mut order, mut out) = (DecodeOrder::new(1, depth), Vec::new());
        for pts in times {
            order.push(*pts, false, Bytes::new(), &mut out);
        }
        order.finish(&mut out);
        out
    }

    fn decode_times(frames: &[Frame]) -> Vec<i64> {
        frames.iter().map(|frame| frame.dts).collect()
    }

    #[test]
    fn b_frames_take_the_sorted_times() {
        let frames = order(2, &[0, 40, 20, 10, 30, 80, 60, 50, 70]);
        assert_eq!(decode_times(&frames), [0, 10, 20, 30, 40, 50, 60, 70, 80]);
        assert!(frames.iter().all(|frame| frame.duration == 10));
    }

    #[test]
    fn open_gop_leading_pictures_lie_before_their_cra() {
        // CRA at 60 with leading pictures at 40 and 50, twice.
        let frames = order(2, &[0, 30, 10, 20, 60, 40, 50, 90, 70, 80]);
        assert_eq!(decode_times(&frames), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!((frames[4].pts, frames[4].dts), (60, 40));
    }

    #[test]
    fn learns_a_depth_that_was_not_declared() {
        let mut times = vec![0];
        for group in 0..10 {
            times.extend([3, 1, 2].map(|offset| (group * 3 + offset) * 3000));
        }
        let frames = order(0, &times);
        let decode = decode_times(&frames);
        assert!(decode.is_sorted_by(|a, b| a < b));
        let sorted: Vec<i64> = (0..=30).map(|i| i * 3000).collect();
        assert_eq!(decode[8..], sorted[8..], "right again after the first groups");
    }

    #[test]
    fn without_reordering_nothing_waits_but_the_duration() {
        let (mut order, mut out) = (DecodeOrder::new(1, 0), Vec::new());
        order.push(0, true, Bytes::new(), &mut out);
        order.push(3000, false, Bytes::new(), &mut out);
        assert_eq!((out.len(), out[0].duration, order.waiting()), (1, 3000, 1));
    }

    proptest! {
        /// A stream that reorders no deeper than declared: decode times are the sorted times.
        #[test]
        fn declared_depth_gives_sorted_times(depth in 0u8..5, keys in prop::collection::vec(any::<u8>(), 1..80)) {
            // Shuffle within blocks of depth + 1: nobody overtakes more than `depth` others.
            let block = usize::from(depth) + 1;
            let mut times: Vec<(usize, u8, i64)> =
                keys.iter().enumerate().map(|(i, key)| (i / block, *key, i64::try_from(i).unwrap() * 10)).collect();
            times.sort();
            let times: Vec<i64> = times.into_iter().map(|(_, _, time)| time).collect();
            let mut sorted = times.clone();
            sorted.sort_unstable();
            prop_assert_eq!(decode_times(&order(depth, &times)), sorted);
        }

        /// Whatever comes: every frame comes out, in order, at strictly increasing decode times that
        /// its durations add up to.
        #[test]
        fn decode_times_always_increase(depth: u8, times in prop::collection::vec(-1_000_000i64..1_000_000, 0..100)) {
            let frames = order(depth, &times);
            prop_assert_eq!(frames.iter().map(|frame| frame.pts).collect::<Vec<_>>(), times);
            for pair in frames.windows(2) {
                prop_assert!(pair[0].dts < pair[1].dts);
                prop_assert_eq!(pair[0].dts + i64::from(pair[0].duration), pair[1].dts);
            }
        }
    }
}
