//! Inputs that random bytes never come to: the corpus with a few bytes changed.

use std::fmt;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// Edited inputs of each target.
const CASES: u32 = 200;

#[derive(Clone, Debug)]
enum Edit {
    /// Some bytes replaced by others.
    Splice(Index, usize, Vec<u8>),
    /// One bit turned.
    Flip(Index, u8),
    /// Bytes of the input put once more into it.
    Repeat(Index, usize, Index),
}

impl Edit {
    fn any() -> impl Strategy<Value = Self> {
        let short = prop::collection::vec(any::<u8>(), 0..5);
        let extreme = prop::sample::select(vec![vec![0; 4], vec![0xff; 4], vec![0x7f, 0xff], vec![0x80, 0]]);
        let inserted = prop_oneof![3 => short, 1 => extreme];
        let removed = prop_oneof![4 => 0usize..5, 1 => 0usize..2000];
        prop_oneof![
            (any::<Index>(), removed, inserted).prop_map(|(at, gone, new)| Self::Splice(at, gone, new)),
            (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Self::Flip(at, bit)),
            (any::<Index>(), 1usize..400, any::<Index>())
                .prop_map(|(at, length, to)| Self::Repeat(at, length, to)),
        ]
    }

    fn apply(&self, input: &mut Vec<u8>) {
        let place = |at: &Index, input: &Vec<u8>| at.index(input.len() + 1);
        match self {
            Self::Splice(at, gone, new) => {
                let at = place(at, input);
                input.splice(at..(at + gone).min(input.len()), new.iter().copied());
            }
            Self::Flip(at, bit) => {
                let at = place(at, input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Repeat(at, length, to) => {
                let (at, to) = (place(at, input), place(to, input));
                let copy = input[at..(at + length).min(input.len())].to_vec();
                input.splice(to..to, copy);
            }
        }
    }
}

/// An edited input, told in hexadecimal digits when it fails.
#[derive(Clone)]
struct Edited(Vec<u8>);

impl fmt::Debug for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Runs `check` on edits of the corpus of `target`.
pub(crate) fn check(target: &str, check: fn(&[u8])) {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/__fuzz__").join(target).join("corpus");
    let mut seeds: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    let seeds: Vec<_> = seeds.into_iter().map(|path| fs::read(path).unwrap()).collect();
    let edits = prop::collection::vec(Edit::any(), 1..5);
    let inputs = (prop::sample::select(seeds), edits).prop_map(|(mut input, edits)| {
        edits.iter().for_each(|edit| edit.apply(&mut input));
        Edited(input)
    });
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        check(&input.0);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{target}: {failure}"));
}
