//! Fragment selectors: a time range on one of the two clocks.

use playback::{ClockKind, Window};
use serde::Deserialize;

use crate::aws::values::{Choice, Closed, Epoch};

/// `FragmentSelectorType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorType {
    /// By the time the producer gave.
    Producer,
    /// By the time of arrival.
    Server,
}

impl Closed for SelectorType {
    const VALUES: &'static [(&'static str, Self)] =
        &[("PRODUCER_TIMESTAMP", Self::Producer), ("SERVER_TIMESTAMP", Self::Server)];
}

impl SelectorType {
    /// The clock that playback compares.
    pub fn clock(self) -> ClockKind {
        match self {
            Self::Producer => ClockKind::Producer,
            Self::Server => ClockKind::Server,
        }
    }
}

/// `FragmentSelector` and `HLSFragmentSelector`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Selector {
    /// Which clock.
    pub fragment_selector_type: Option<Choice<SelectorType>>,
    /// From when to when.
    pub timestamp_range: Option<Range>,
}

/// `TimestampRange`: both ends inclusive, compared with the start of fragments.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Range {
    /// The earliest start.
    pub start_timestamp: Option<Epoch>,
    /// The latest start.
    pub end_timestamp: Option<Epoch>,
}

impl Selector {
    /// The window that the selector means; without a type it compares server timestamps.
    pub fn window(&self) -> Window {
        let kind = self.fragment_selector_type.as_ref().and_then(Choice::known);
        let range = self.timestamp_range.as_ref();
        Window {
            clock: kind.unwrap_or(SelectorType::Server).clock(),
            start: range.and_then(|range| range.start_timestamp).map(|at| at.0),
            end: range.and_then(|range| range.end_timestamp).map(|at| at.0),
        }
    }
}
