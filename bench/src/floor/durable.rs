//! Durable writes without a catalog: a new file and its folder synchronised to disk, then one SQLite row in a transaction
//! with full durability. Waiting rows share a transaction, as in every fast store.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use rusqlite::Connection;

use crate::driver::{Pace, Window};
use crate::tally::Tally;

/// The most rows in one transaction.
const GROUP: usize = 256;

/// The steps of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// The file, then the row: the minimum of a commit to a catalog.
    FileAndRow,
    /// Only the file.
    File,
    /// Only the row.
    Row,
}

/// The size and place of the writes.
#[derive(Clone, Debug)]
pub struct Writes {
    /// A folder on the disk to measure. All files are created in a new folder below it, which is removed.
    pub folder: PathBuf,
    /// The number of threads, each with one write at a time.
    pub threads: usize,
    /// The size of a file.
    pub bytes: u64,
    /// The number of rows, and of folders for files, that writes alternate between: the tables of a catalog.
    pub tables: usize,
    /// The steps of one write.
    pub steps: Steps,
}

/// An update of a row.
struct Swap {
    row: i64,
    location: String,
    done: Sender<bool>,
}

/// Runs writes until the time is over.
///
/// # Errors
/// Fails if the folder or the database cannot be written.
pub fn measure(writes: &Writes, pace: &Pace) -> Result<Tally> {
    let folder = tempfile::Builder::new().prefix("tidewater-bench-").tempdir_in(&writes.folder);
    let folder = folder.with_context(|| format!("cannot create a folder in {}", writes.folder.display()))?;
    let tables = writes.tables.max(writes.threads).max(1);
    for table in 0..tables {
        fs::create_dir(folder.path().join(table.to_string()))?;
    }
    let database = open_database(&folder.path().join("pointers.db"), tables)?;
    let (sender, receiver) = mpsc::channel();
    let writer = thread::Builder::new().name("writer".into()).spawn(move || write_rows(database, &receiver))?;
    let window = Window::starting_at(Instant::now(), pace);
    let document = vec![b'x'; usize::try_from(writes.bytes)?];
    let tally = thread::scope(|scope| {
        let mut handles = Vec::with_capacity(writes.threads);
        for thread in 0..writes.threads {
            let one = OneThread {
                folder: folder.path(),
                document: &document,
                tables: (thread..tables).step_by(writes.threads).collect(),
                steps: writes.steps,
                rows: sender.clone(),
            };
            handles.push(scope.spawn(move || one.write_on(window, pace)));
        }
        let mut all = Tally::new()?;
        for handle in handles {
            all.merge(&handle.join().map_err(|_| anyhow!("a writing thread panicked"))??)?;
        }
        all.measured = window.passed(Instant::now());
        anyhow::Ok(all)
    });
    drop(sender);
    writer.join().map_err(|_| anyhow!("the database's thread panicked"))??;
    folder.close().context("cannot remove the folder")?;
    tally
}

struct OneThread<'a> {
    folder: &'a Path,
    document: &'a [u8],
    tables: Vec<usize>,
    steps: Steps,
    rows: Sender<Swap>,
}

impl OneThread<'_> {
    fn write_on(&self, window: Window, pace: &Pace) -> Result<Tally> {
        let mut tally = Tally::new()?;
        for (count, &table) in self.tables.iter().cycle().enumerate() {
            let started = Instant::now();
            if started >= window.end || pace.stop.requested() {
                break;
            }
            let name = format!("{table}/{count:09}.json");
            if self.steps != Steps::Row {
                write_file(&self.folder.join(&name), self.document)?;
            }
            if self.steps != Steps::File {
                self.update_row(table, name)?;
            }
            let now = Instant::now();
            if window.holds(now) {
                tally.complete(now - started, self.document.len() as u64);
            }
        }
        Ok(tally)
    }

    fn update_row(&self, row: usize, location: String) -> Result<()> {
        let (done, outcome) = mpsc::channel();
        self.rows
            .send(Swap { row: i64::try_from(row)?, location, done })
            .map_err(|_| anyhow!("the database's thread has ended"))?;
        match outcome.recv() {
            Ok(true) => Ok(()),
            _ => Err(anyhow!("a row was not written")),
        }
    }
}

/// Creates a file; its content and its name are on disk when this returns.
fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn open_database(path: &Path, rows: usize) -> Result<Connection> {
    let mut database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE pointer (id INTEGER PRIMARY KEY, location TEXT NOT NULL) STRICT")?;
    let transaction = database.transaction()?;
    for row in 0..i64::try_from(rows)? {
        transaction.execute("INSERT INTO pointer (id, location) VALUES (?1, '')", [row])?;
    }
    transaction.commit()?;
    Ok(database)
}

/// Commits all waiting rows together, until all senders are gone.
fn write_rows(mut database: Connection, rows: &Receiver<Swap>) -> Result<()> {
    while let Ok(first) = rows.recv() {
        let mut group = vec![first];
        group.extend(rows.try_iter().take(GROUP - 1));
        let transaction = database.transaction()?;
        let mut changed = Vec::with_capacity(group.len());
        {
            let mut update = transaction.prepare_cached("UPDATE pointer SET location = ?2 WHERE id = ?1")?;
            for swap in &group {
                changed.push(update.execute((swap.row, &swap.location))? == 1);
            }
        }
        transaction.commit()?;
        for (swap, changed) in group.into_iter().zip(changed) {
            // A thread that has given up ignores the result.
            let _ = swap.done.send(changed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_in_order_and_unknown_rows_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pointers.db");
        let database = open_database(&path, 2).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (done, outcomes) = mpsc::channel();
        for (row, location) in [(0, "a"), (1, "b"), (0, "c"), (9, "nowhere")] {
            sender.send(Swap { row, location: location.into(), done: done.clone() }).unwrap();
        }
        drop(sender);
        write_rows(database, &receiver).unwrap();
        assert_eq!(outcomes.try_iter().collect::<Vec<_>>(), [true, true, true, false]);
        let database = Connection::open(&path).unwrap();
        let location = |row: i64| -> String {
            database.query_row("SELECT location FROM pointer WHERE id = ?1", [row], |row| row.get(0)).unwrap()
        };
        assert_eq!((location(0), location(1)), ("c".into(), "b".into()));
        let mode: String = database.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn existing_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.json");
        write_file(&path, b"one").unwrap();
        assert!(write_file(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
