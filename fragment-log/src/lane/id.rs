//! Names of lanes.

use std::fmt;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One ordered sequence of segments. Its name is its folder under `DATA/log/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneId {
    /// What exists and who may: commands of the catalog.
    Control,
    /// Records of data streams that are kept about as long.
    Records(RetentionClass),
    /// Fragments of video streams that are kept about as long.
    Bulk(RetentionClass),
}

/// How long the data of a lane is kept, roughly, so that whole segments become dead together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetentionClass {
    /// Up to one day.
    Day,
    /// Up to seven days.
    Week,
    /// Up to 31 days.
    Month,
    /// Up to 366 days.
    Year,
    /// For longer.
    Longer,
}

impl RetentionClass {
    /// Every class, shortest first.
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Year, Self::Longer];

    /// The class of data that is kept for `retention`.
    pub fn class_for(retention: Duration) -> Self {
        match retention {
            r if r <= DAY => Self::Day,
            r if r <= 7 * DAY => Self::Week,
            r if r <= 31 * DAY => Self::Month,
            r if r <= 366 * DAY => Self::Year,
            _ => Self::Longer,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Longer => "longer",
        }
    }
}

impl LaneId {
    /// Every lane there can be, in the order of [`Self::index`].
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Control)
            .chain(RetentionClass::ALL.map(Self::Records))
            .chain(RetentionClass::ALL.map(Self::Bulk))
    }

    /// Its place in [`Self::all`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Records(class) => 1 + class as usize,
            Self::Bulk(class) => 6 + class as usize,
        }
    }

    /// The byte by which stored forms name the lane. Persisted: never renumber.
    pub const fn code(self) -> u8 {
        match self {
            Self::Control => 0,
            Self::Records(class) => 0x10 + class as u8,
            Self::Bulk(class) => 0x20 + class as u8,
        }
    }

    /// The lane that a stored byte names.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::all().find(|lane| lane.code() == code)
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Records(class) => write!(f, "records-{}", class.name()),
            Self::Bulk(class) => write!(f, "bulk-{}", class.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_places_lead_back_to_the_lane() {
        for (place, lane) in LaneId::all().enumerate() {
            assert_eq!(lane.index(), place);
            assert_eq!(LaneId::from_code(lane.code()), Some(lane));
        }
        assert_eq!(LaneId::from_code(0x15), None);
    }

    #[test]
    fn a_class_covers_its_retention() {
        assert_eq!(RetentionClass::class_for(Duration::ZERO), RetentionClass::Day);
        assert_eq!(RetentionClass::class_for(DAY), RetentionClass::Day);
        assert_eq!(RetentionClass::class_for(7 * DAY), RetentionClass::Week);
        assert_eq!(RetentionClass::class_for(8 * DAY), RetentionClass::Month);
        assert_eq!(RetentionClass::class_for(365 * DAY), RetentionClass::Year);
        assert_eq!(RetentionClass::class_for(3650 * DAY), RetentionClass::Longer);
    }
}
