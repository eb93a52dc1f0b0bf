//! The live window of a stream: fragments whose frames still come, for those who watch. Sans-I/O.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{FragmentNumber, Tags, Timestamp};
use bytes::Bytes;

/// One fragment as it comes in: what stands before its blocks, and those that are there. A reader that holds
/// one may take its time: the fragment stays whole for it, whatever becomes of the window.
#[derive(Debug)]
pub struct LiveFragment {
    /// Its number.
    pub number: FragmentNumber,
    /// When it began to arrive.
    pub server_timestamp: Timestamp,
    /// All before the first block, as [`crate::mkv::Live::head`] gives it.
    pub head: Bytes,
    state: Mutex<(Vec<Bytes>, LiveState)>,
}

/// How far a fragment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// More frames may come.
    Open,
    /// It is whole, and on disk where its stream keeps anything; with tags of its own that came last.
    Complete(Tags),
    /// The rest never came, or could not be stored.
    Abandoned,
}

impl LiveFragment {
    /// A fragment without frames yet.
    pub fn new(number: FragmentNumber, server_timestamp: Timestamp, head: Bytes) -> Self {
        Self { number, server_timestamp, head, state: Mutex::new((Vec::new(), LiveState::Open)) }
    }

    /// Adds a block: a whole Matroska element.
    pub fn push(&self, block: Bytes) {
        self.state().0.push(block);
    }

    /// Ends it; what it was ended as first stays.
    pub fn end(&self, how: LiveState) {
        let mut state = self.state();
        if state.1 == LiveState::Open {
            state.1 = how;
        }
    }

    /// The blocks from the index `from` on, and how far the fragment has come with them.
    pub fn read(&self, from: usize) -> (Vec<Bytes>, LiveState) {
        let state = self.state();
        (state.0.get(from..).unwrap_or_default().to_vec(), state.1.clone())
    }

    fn bytes(&self) -> usize {
        self.state().0.iter().map(Bytes::len).sum()
    }

    fn state(&self) -> MutexGuard<'_, (Vec<Bytes>, LiveState)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fragments of a stream that are open, and of a stream that keeps nothing the last whole ones.
#[derive(Debug, Default)]
pub struct LiveWindow {
    fragments: BTreeMap<FragmentNumber, Arc<LiveFragment>>,
}

impl LiveWindow {
    /// Adds a fragment that begins.
    pub fn begin(&mut self, fragment: Arc<LiveFragment>) {
        self.fragments.insert(fragment.number, fragment);
    }

    /// Forgets a fragment: it is found elsewhere, or nowhere any more.
    pub fn forget(&mut self, number: FragmentNumber) {
        self.fragments.remove(&number);
    }

    /// Forgets the oldest whole fragments, until those that are left have at most so many bytes.
    pub fn trim(&mut self, most_bytes: usize) {
        let whole = self.fragments.values().filter(|one| one.read(usize::MAX).1 != LiveState::Open);
        let mut sizes: Vec<_> = whole.map(|one| (one.number, one.bytes())).collect();
        let mut left: usize = sizes.iter().map(|(_, bytes)| bytes).sum();
        for (number, bytes) in sizes.drain(..) {
            if left <= most_bytes {
                return;
            }
            left -= bytes;
            self.fragments.remove(&number);
        }
    }

    /// The oldest fragment after `number`; the very oldest for `None`.
    pub fn after(&self, number: Option<FragmentNumber>) -> Option<Arc<LiveFragment>> {
        let later = |one: &&Arc<LiveFragment>| number.is_none_or(|number| one.number > number);
        self.fragments.values().find(later).cloned()
    }

    /// The newest fragment.
    pub fn newest(&self) -> Option<Arc<LiveFragment>> {
        self.fragments.values().next_back().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(number: u64) -> Arc<LiveFragment> {
        Arc::new(LiveFragment::new(
            FragmentNumber::from_u64(number),
            Timestamp::from_millis(0),
            Bytes::from_static(b"head"),
        ))
    }

    #[test]
    fn blocks_are_read_from_where_a_reader_is() {
        let live = fragment(1);
        live.push(Bytes::from_static(b"a"));
        live.push(Bytes::from_static(b"b"));
        assert_eq!(live.read(1), (vec![Bytes::from_static(b"b")], LiveState::Open));
        live.end(LiveState::Abandoned);
        live.end(LiveState::Complete(Tags::new()));
        assert_eq!(live.read(2), (Vec::new(), LiveState::Abandoned), "it ends once");
        assert_eq!(live.read(9).0, Vec::<Bytes>::new());
    }

    #[test]
    fn the_window_keeps_what_is_open_and_the_last_of_what_is_whole() {
        let mut window = LiveWindow::default();
        for number in 1..=4 {
            let live = fragment(number);
            live.push(Bytes::from(vec![0; 10]));
            if number > 1 {
                live.end(LiveState::Complete(Tags::new()));
            }
            window.begin(live);
        }
        window.trim(20);
        let mut found = Vec::new();
        let mut last = None;
        while let Some(next) = window.after(last) {
            last = Some(next.number);
            found.push(next.number.to_u64());
        }
        assert_eq!(found, [1, 3, 4]);
        window.forget(FragmentNumber::from_u64(4));
        assert_eq!(window.newest().map(|one| one.number.to_u64()), Some(3));
    }
}
