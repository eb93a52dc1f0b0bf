//! Read-only connections, kept open between queries.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{FILE, Tracks, open_reader};
use crate::{IndexError, damage};

/// Queries that may run at the same time; more wait.
const READERS: usize = 8;

/// Runs queries on threads that may block.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    tracks: Arc<Tracks>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(dir: PathBuf, tracks: Arc<Tracks>) -> Self {
        let permits = Arc::new(Semaphore::new(READERS));
        Self(Arc::new(Shared { dir, tracks, idle: Mutex::default(), permits }))
    }

    /// Runs `query` with a connection of its own.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, &Tracks) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let shared = Arc::clone(&self.0);
        let permit = Arc::clone(&shared.permits).acquire_owned().await.map_err(|_| IndexError::Stopped)?;
        let task = tokio::task::spawn_blocking(move || {
            // Moved in: the permit is kept even when the caller stops waiting.
            let _permit = permit;
            let idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = idle.map_or_else(|| open_reader(&shared.dir.join(FILE)), Ok)?;
            let result = query(&connection, &shared.tracks);
            match &result {
                Ok(_) => shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection),
                Err(error) => damage::note(&shared.dir, error),
            }
            result
        });
        task.await.map_err(|_| IndexError::Stopped)?
    }
}
