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
    clock_rate: u32,
}

impl Unwrapper {
    /// For timestamps of `clock_rate` ticks per second. Frames may go back by up to a second where
    /// `reorders` (video with B-frames); without it any step back is a jump.
    pub fn new(clock_rate: u32, reorders: bool) -> Self {
        let _ = reorders;
        Self { clock_rate }
    }

    /// Unwraps the next timestamp. The first one is zero ticks. After a jump the following
    /// timestamps are measured from the jump's target.
    pub fn unwrap(&mut self, timestamp: u32) -> Unwrapped {
        let _ = (self.clock_rate, timestamp);
        todo!("land the public face")
    }
}
