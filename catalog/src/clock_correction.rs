//! Corrections of clocks, noted after the fact: by how much the times of a run are wrong. What is stored stays as
//! it is; who reads may add them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{RunId, StreamId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Catalog, CatalogError};

/// Corrections that one stream may have; the oldest runs' give way.
const MAX_CLOCK_CORRECTIONS: usize = 1000;
/// Bytes of a correction's reason.
const REASON_BYTES: usize = 1024;
/// A hundred years, in milliseconds: no clock is wrong by more.
const MOST_MS: u64 = 100 * 366 * 86_400_000;

/// By how much the producer times of a run are wrong. The last one of a run counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockCorrection {
    /// The stream.
    pub stream: StreamId,
    /// The run, all of it.
    pub run: RunId,
    /// What has to be added to its producer times, milliseconds. Zero takes an earlier correction back.
    pub delta_ms: i64,
    /// Why.
    pub reason: String,
    /// Who noted it: an access key's id, or `millrace`.
    pub set_by: String,
    /// When.
    pub set: Timestamp,
}

/// A correction to be noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClockCorrection {
    /// See [`ClockCorrection::run`].
    pub run: RunId,
    /// See [`ClockCorrection::delta_ms`]: at most a hundred years either way.
    pub delta_ms: i64,
    /// See [`ClockCorrection::reason`]: 1 to 1024 bytes.
    pub reason: String,
}

impl NewClockCorrection {
    /// Whether everything is within its limits.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        if self.delta_ms.unsigned_abs() > MOST_MS {
            return Err(CatalogError::Invalid { what: "delta_ms", why: "at most a hundred years".into() });
        }
        if !(1..=REASON_BYTES).contains(&self.reason.len()) {
            return Err(CatalogError::Invalid { what: "reason", why: format!("1 to {REASON_BYTES} bytes") });
        }
        Ok(())
    }
}

/// The corrections of all streams, in memory.
#[derive(Debug, Default)]
pub(crate) struct ClockCorrections(HashMap<StreamId, BTreeMap<RunId, Arc<ClockCorrection>>>);

impl ClockCorrections {
    /// Takes a correction, and answers with the runs of its stream that have another one now, or none: beyond what
    /// one stream may have, the oldest run's goes. Most likely its fragments have gone before.
    pub(crate) fn put(&mut self, correction: ClockCorrection) -> impl Iterator<Item = RunId> + use<> {
        let run = correction.run;
        let all = self.0.entry(correction.stream).or_default();
        all.insert(run, Arc::new(correction));
        let oldest = if all.len() > MAX_CLOCK_CORRECTIONS { all.pop_first() } else { None };
        [Some(run), oldest.map(|(run, _)| run)].into_iter().flatten()
    }

    /// Of a stream, by run.
    pub(crate) fn of(&self, stream: StreamId) -> Vec<Arc<ClockCorrection>> {
        self.0.get(&stream).map_or_else(Vec::new, |all| all.values().cloned().collect())
    }

    pub(crate) fn get(&self, stream: StreamId, run: RunId) -> Option<ClockCorrection> {
        Some(self.0.get(&stream)?.get(&run)?.as_ref().clone())
    }

    /// Forgets those of a stream, and answers with their runs.
    pub(crate) fn remove(&mut self, stream: StreamId) -> impl Iterator<Item = RunId> + use<> {
        self.0.remove(&stream).unwrap_or_default().into_keys()
    }
}

impl Catalog {
    /// The corrections of a stream's clocks, by run.
    pub fn clock_corrections(&self, stream: StreamId) -> Vec<Arc<ClockCorrection>> {
        self.state.read().clock_corrections(stream)
    }

    /// Notes by how much a run's times are wrong, in place of what was noted of it before. Whether there is such a
    /// run is not looked at.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn correct_clock(
        &self,
        stream: StreamId,
        correction: NewClockCorrection,
        by: &str,
    ) -> Result<Arc<ClockCorrection>, CatalogError> {
        let by = by.to_owned();
        self.writer.run(move |writer| writer.correct_clock(stream, correction, by)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::FragmentNumber;

    #[test]
    fn the_oldest_run_gives_way() {
        let mut all = ClockCorrections::default();
        let run = |n: usize| RunId(FragmentNumber::from_u64(n as u64));
        let correction = |n| ClockCorrection {
            stream: StreamId(1),
            run: run(n),
            delta_ms: 1,
            reason: "r".into(),
            set_by: "s".into(),
            set: Timestamp::from_millis(0),
        };
        for n in 0..MAX_CLOCK_CORRECTIONS {
            assert_eq!(all.put(correction(n)).collect::<Vec<_>>(), [run(n)]);
        }
        let last = MAX_CLOCK_CORRECTIONS;
        assert_eq!(all.put(correction(last)).collect::<Vec<_>>(), [run(last), run(0)]);
        assert_eq!(all.of(StreamId(1)).len(), MAX_CLOCK_CORRECTIONS);
    }
}
