//! 32-bit RTP timestamps to 64-bit media time.

/// A timestamp that does not follow its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// Further back than reordered frames can be: the sender restarted or its clock stepped.
    Backward,
    /// More than 10 s ahead.
    Forward,
}

/// An unwrapped timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwrapped {
    /// Ticks since the first timestamp, by the shortest way around the 32-bit circle.
    pub ticks: i64,
    /// Whether the media timeline breaks here.
    pub jump: Option<Jump>,
}

/// Turns the RTP timestamps of one track (32 bits, wrapping, RFC 3550 §5.1) into media time.
#[derive(Clone, Debug)]
pub struct Unwrapper {
    /// Ticks that a timestamp may lie behind the furthest one.
    backward: i64,
    /// Ticks that a timestamp may lie ahead of the furthest one.
    forward: i64,
    /// The timestamp furthest ahead since the last jump, wrapped and unwrapped.
    furthest: Option<(u32, i64)>,
}

/// Longer than any camera holds a frame back for reordering.
const MAX_BACKWARD_SECONDS: i64 = 1;
/// Longer than any pause between frames that belongs to the same timeline.
const MAX_FORWARD_SECONDS: i64 = 10;

impl Unwrapper {
    /// For timestamps of `clock_rate` ticks per second. Frames may go back by up to a second where
    /// `reorders` (video with B-frames); without it any step back is a jump.
    pub fn new(clock_rate: u32, reorders: bool) -> Self {
        let second = i64::from(clock_rate);
        Self {
            backward: if reorders { second * MAX_BACKWARD_SECONDS } else { 0 },
            forward: second * MAX_FORWARD_SECONDS,
            furthest: None,
        }
    }

    /// Unwraps the next timestamp. The first one is zero ticks. After a jump the following
    /// timestamps are measured from the jump's target.
    pub fn unwrap(&mut self, timestamp: u32) -> Unwrapped {
        let Some((wrapped, unwrapped)) = self.furthest else {
            self.furthest = Some((timestamp, 0));
            return Unwrapped { ticks: 0, jump: None };
        };
        let step = i64::from(timestamp.wrapping_sub(wrapped).cast_signed());
        let ticks = unwrapped + step;
        let jump = if step < -self.backward {
            Some(Jump::Backward)
        } else if step > self.forward {
            Some(Jump::Forward)
        } else {
            None
        };
        if step > 0 || jump.is_some() {
            self.furthest = Some((timestamp, ticks));
        }
        Unwrapped { ticks, jump }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_jumps_from_reordering() {
        let mut video = Unwrapper::new(90_000, true);
        video.unwrap(u32::MAX);
        assert_eq!(video.unwrap(8999), Unwrapped { ticks: 9000, jump: None });
        assert_eq!(video.unwrap(2999), Unwrapped { ticks: 3000, jump: None });
        assert_eq!(video.unwrap(8999 + 900_001).jump, Some(Jump::Forward));
        assert_eq!(video.unwrap(8999), Unwrapped { ticks: 9000, jump: Some(Jump::Backward) });
        assert_eq!(video.unwrap(11_999), Unwrapped { ticks: 12_000, jump: None });
        let mut audio = Unwrapper::new(48_000, false);
        audio.unwrap(5000);
        assert_eq!(audio.unwrap(4999).jump, Some(Jump::Backward));
    }

    proptest! {
        /// Any walk of legal steps comes out as it went in, through any number of wraps.
        #[test]
        fn follows_a_walk(start: u32, steps in prop::collection::vec(0i64..900_000, 1..200)) {
            let mut unwrapper = Unwrapper::new(90_000, true);
            let mut time = 0i64;
            unwrapper.unwrap(start);
            for step in steps {
                time += step;
                let wrapped = start.wrapping_add(u32::try_from(time % (1 << 32)).unwrap());
                prop_assert_eq!(unwrapper.unwrap(wrapped), Unwrapped { ticks: time, jump: None });
            }
        }

        #[test]
        fn never_panics(rate: u32, reorders: bool, timestamps: Vec<u32>) {
            let mut unwrapper = Unwrapper::new(rate, reorders);
            for timestamp in timestamps {
                unwrapper.unwrap(timestamp);
            }
        }
    }
}
