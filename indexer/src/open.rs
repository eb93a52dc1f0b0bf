//! Opening the views, and building again what cannot be used.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use catalog::Catalog;
use fragment_log::{LaneId, Log, Lsn};
use rusqlite::Connection;

use crate::assemble::has_fragments;
use crate::forward::Forward;
use crate::intake::{Intake, Position};
use crate::kept::Floors;
use crate::overlay::Overlay;
use crate::owner::{Owner, Waiting};
use crate::search::{self, Blinder, Search};
use crate::space::HeldSpace;
use crate::view::{self, Applied, Tracks, Unusable, Writer};
use crate::{IndexError, IndexerOptions, Rebuilt, damage};

/// Fragments that may wait for the index's thread.
const QUEUED: usize = 20_000;
/// For [`fragment_log::Keyring::derive`].
const BLINDING: &[u8] = b"indexer: words of tags";

/// Both views, up to date with the log and ready to follow it.
pub(crate) struct Opened {
    pub owner: Owner,
    pub tracks: Arc<Tracks>,
}

/// Opens the views and reads from the log what they lack.
pub(crate) fn open(
    log: Arc<Log>,
    catalog: Arc<Catalog>,
    options: &IndexerOptions,
    progress: &mut dyn FnMut(Rebuilt),
) -> Result<Opened, IndexError> {
    let dir = options.dir.as_path();
    std::fs::create_dir_all(dir).map_err(at(dir))?;
    if damage::found(dir) {
        tracing::warn!("the index was found damaged while it was in use: building it again");
        remove(dir)?;
    }
    let Sorted { connection, tracks, new } = sorted_view(dir, &log)?;
    let tracks = Arc::new(tracks);
    let blinder = || Blinder::new(&log.keys().derive(BLINDING));
    let writer = Writer::new(connection, Arc::clone(&tracks), blinder(), new)?;
    let search = search_view(dir, &blinder, &writer)?;
    let overlay = Arc::new(Overlay::default());
    let intake = Arc::new(Intake::new(Arc::clone(&overlay), &catalog, QUEUED));
    let applied = writer.applied()?;
    let floors = catalog.floors();
    let mut owner = Owner {
        dir: dir.to_owned(),
        clock: Arc::clone(&options.clock),
        log,
        catalog,
        overlay,
        intake,
        writer,
        search,
        waiting: Waiting::after(&applied),
        oldest: HashMap::new(),
        floors: Arc::new(Floors::from(floors)),
        space: Arc::default(),
        held: HeldSpace::default(),
        holes: true,
        forward: Forward::default(),
        serving: false,
        rebuilt: Rebuilt::default(),
    };
    read_log(&mut owner, &applied, progress)?;
    for entry in view::newest_of_all(owner.writer.connection(), &tracks)? {
        owner.overlay.seen(entry);
    }
    owner.raise_floors()?;
    owner.tell_space()?;
    Ok(Opened { owner, tracks })
}

/// Deletes both views.
pub(crate) fn remove(dir: &Path) -> Result<(), IndexError> {
    remove_sorted_view(dir)?;
    remove_search_view(dir)?;
    damage::forget(dir).map_err(at(dir))
}

fn read_log(
    owner: &mut Owner,
    applied: &BTreeMap<LaneId, Applied>,
    progress: &mut dyn FnMut(Rebuilt),
) -> Result<(), IndexError> {
    let lanes: Vec<_> = owner.log.lanes().into_iter().filter(|lane| has_fragments(*lane)).collect();
    for lane in lanes {
        let Applied { sorted, searched, .. } = applied.get(&lane).copied().unwrap_or_default();
        let next = sorted.min(searched);
        owner.catch_up(lane, Position { next, after: next }, progress)?;
    }
    owner.commit_search()?;
    owner.serve()
}

/// The sorted view as it was found.
struct Sorted {
    connection: Connection,
    tracks: Tracks,
    /// Whether it was just made, and is empty.
    new: bool,
}

fn sorted_view(dir: &Path, log: &Log) -> Result<Sorted, IndexError> {
    if !dir.join(view::FILE).exists() {
        // A write-ahead file that a killed process left must not end up in a new file.
        remove_sorted_view(dir)?;
    }
    match try_sorted_view(dir, log) {
        Ok(opened) => Ok(opened),
        Err(Unusable(why)) => {
            tracing::warn!(%why, "{} cannot be used: building it again", view::FILE);
            // The search view follows the same places of the log: it is built again with it.
            remove(dir)?;
            let (connection, new) = view::open(&dir.join(view::FILE)).map_err(|Unusable(why)| {
                let source = io::Error::other(why);
                IndexError::Io { path: dir.join(view::FILE), source }
            })?;
            Ok(Sorted { connection, tracks: Tracks::default(), new })
        }
    }
}

fn try_sorted_view(dir: &Path, log: &Log) -> Result<Sorted, Unusable> {
    let (connection, new) = view::open(&dir.join(view::FILE))?;
    let tracks = Tracks::load(&connection).map_err(|error| Unusable(error.to_string()))?;
    for (lane, Applied { sorted, .. }) in view::applied(&connection)? {
        if sorted > Lsn(log.durable(lane).0.saturating_add(1)) {
            return Err(Unusable(format!("it is ahead of lane {lane}: it belongs to another log")));
        }
    }
    Ok(Sorted { connection, tracks, new })
}

fn search_view(dir: &Path, blinder: &dyn Fn() -> Blinder, writer: &Writer) -> Result<Search, IndexError> {
    let folder = dir.join(search::FOLDER);
    let missing = !folder.exists();
    match Search::open(&folder, blinder()) {
        Ok(search) => {
            if missing {
                writer.unsearched()?;
            }
            Ok(search)
        }
        Err(error) => {
            tracing::warn!(%error, "the search view cannot be used: building it again");
            remove_search_view(dir)?;
            writer.unsearched()?;
            Ok(Search::open(&folder, blinder())?)
        }
    }
}

fn remove_sorted_view(dir: &Path) -> Result<(), IndexError> {
    for suffix in ["", "-wal", "-shm"] {
        let file = dir.join(format!("{}{suffix}", view::FILE));
        missing_is_fine(std::fs::remove_file(&file)).map_err(at(&file))?;
    }
    Ok(())
}

fn remove_search_view(dir: &Path) -> Result<(), IndexError> {
    let folder = dir.join(search::FOLDER);
    missing_is_fine(std::fs::remove_dir_all(&folder)).map_err(at(&folder))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    move |source| IndexError::Io { path: path.to_owned(), source }
}
