//! Applies the updates of a commit to a view.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::metadata::check_view_schema;
use super::{VIEW_FORMAT_VERSION, VersionLogEntry, ViewMetadata, ViewUpdate, ViewVersion};
use crate::commit::{CommitError, MAX_ADDED_DEFINITIONS};
use crate::document::Schema;
use crate::stop::Stop;

/// Stands for the schema or version added last, in place of an id.
pub(super) const LAST_ADDED: i32 = -1;

/// The property that sets the number of kept versions, and its default (view specification, note 1 on its fields).
const HISTORY_SIZE: (&str, usize) = ("version.history.num-entries", 10);

/// The property that allows a new version to drop a dialect of the previous one (reference implementation,
/// `ViewProperties`).
const DROP_DIALECT_ALLOWED: &str = "replace.drop-dialect.allowed";

/// Applies `updates` to `base` and returns the new document, or `None` if they change nothing. `base` stays unchanged.
///
/// # Errors
/// [`CommitError::IllegalArgument`] if an update, or the new document, breaks a rule; [`CommitError::Stopped`].
pub fn apply_view_updates(
    base: &ViewMetadata,
    updates: &[ViewUpdate],
    now_ms: i64,
    stop: Stop<'_>,
) -> Result<Option<ViewMetadata>, CommitError> {
    let mut draft = Draft::new(base.clone(), now_ms);
    for update in updates {
        stop.check()?;
        draft.apply(update)?;
    }
    if draft.changed { draft.finish(base.current_version()).map(Some) } else { Ok(None) }
}

/// A document during the application of updates.
pub(super) struct Draft {
    document: ViewMetadata,
    now_ms: i64,
    changed: bool,
    last_added_schema: Option<i32>,
    last_added_version: Option<i32>,
    /// The number of schemas and versions that the commit adds.
    definitions: usize,
    added_versions: HashSet<i32>,
    /// The new entry of the version log. A commit adds one at most: its last current version.
    log_entry: Option<VersionLogEntry>,
}

impl Draft {
    pub(super) fn new(document: ViewMetadata, now_ms: i64) -> Self {
        Self {
            document,
            now_ms,
            changed: false,
            last_added_schema: None,
            last_added_version: None,
            definitions: 0,
            added_versions: HashSet::new(),
            log_entry: None,
        }
    }

    fn apply(&mut self, update: &ViewUpdate) -> Result<(), CommitError> {
        match update {
            ViewUpdate::AssignUuid(uuid) => self.assign_uuid(*uuid),
            ViewUpdate::UpgradeFormatVersion(version) => upgrade_format_version(*version),
            ViewUpdate::AddSchema(schema) => self.add_schema(schema),
            ViewUpdate::SetLocation(location) => self.set_location(location),
            ViewUpdate::SetProperties(updates) => {
                let updates = updates.iter().map(|(key, value)| (key.clone(), value.clone()));
                self.changed |= updates.len() > 0;
                Arc::make_mut(&mut self.document.properties).extend(updates);
                Ok(())
            }
            ViewUpdate::RemoveProperties(removals) => {
                self.changed |= !removals.is_empty();
                let properties = Arc::make_mut(&mut self.document.properties);
                for key in removals {
                    properties.remove(key);
                }
                Ok(())
            }
            ViewUpdate::AddViewVersion(version) => self.add_version(version),
            ViewUpdate::SetCurrentViewVersion(id) => self.set_current_version(*id),
        }
    }

    fn assign_uuid(&self, uuid: Uuid) -> Result<(), CommitError> {
        let (current, asked) = (self.document.uuid(), uuid.to_string());
        if current.eq_ignore_ascii_case(&asked) {
            Ok(())
        } else {
            Err(refused(format!("Cannot reassign view UUID: {current} to {asked}")))
        }
    }

    fn set_location(&mut self, location: &str) -> Result<(), CommitError> {
        if location.is_empty() {
            return Err(refused("View location must not be empty"));
        }
        if self.document.location() != location {
            self.document.location = location.into();
            self.changed = true;
        }
        Ok(())
    }

    /// Adds a schema under the next id, unless a schema with the same columns exists.
    ///
    /// Both count as the last added schema. (The reference implementation counts only a new schema, and refuses -1 otherwise.
    /// Of two clients that replace a view with the same columns at once, one would then fail without need.)
    pub(super) fn add_schema(&mut self, schema: &Schema) -> Result<(), CommitError> {
        self.count_definition()?;
        check_view_schema(schema).map_err(|error| refused(error.to_string()))?;
        let document = &mut self.document;
        if let Some(known) = document.schemas.iter().find(|known| known.same_columns(schema)) {
            self.last_added_schema = Some(known.id());
            return Ok(());
        }
        let id = next_id(document.schemas().map(Schema::id), 0, "schema")?;
        document.schemas.push(Arc::new(schema.with_id(id)?));
        self.last_added_schema = Some(id);
        self.changed = true;
        Ok(())
    }

    fn count_definition(&mut self) -> Result<(), CommitError> {
        self.definitions += 1;
        if self.definitions <= MAX_ADDED_DEFINITIONS {
            return Ok(());
        }
        Err(refused(format!(
            "A commit can add at most {MAX_ADDED_DEFINITIONS} schemas and versions: use several commits"
        )))
    }

    /// Adds a version, unless a version with the same definition exists. It keeps its id if that is higher than all others;
    /// otherwise it gets the next id. So a replacement made from an older document follows the versions added since. Both
    /// the new and the existing version count as the last added one.
    pub(super) fn add_version(&mut self, version: &ViewVersion) -> Result<(), CommitError> {
        self.count_definition()?;
        let schema_id = resolve(version.schema_id(), self.last_added_schema, "schema")?;
        let version = version.with_ids(version.id(), schema_id)?;
        if let Some(known) = self.document.versions().find(|known| known.same_definition(&version)) {
            self.last_added_version = Some(known.id());
            return Ok(());
        }
        if self.document.schema(schema_id).is_none() {
            return Err(refused(format!("Cannot add version with unknown schema: {schema_id}")));
        }
        version.check_representations().map_err(|error| refused(error.to_string()))?;
        let id = next_id(self.document.versions().map(ViewVersion::id), version.id().max(1), "view version")?;
        self.document.versions.push(Arc::new(version.with_ids(id, schema_id)?));
        self.last_added_version = Some(id);
        self.added_versions.insert(id);
        self.changed = true;
        Ok(())
    }

    pub(super) fn set_current_version(&mut self, id: i32) -> Result<(), CommitError> {
        let id = resolve(id, self.last_added_version, "view version")?;
        if self.document.current_version_id == id {
            return Ok(());
        }
        let found = self.document.versions().find(|version| version.id() == id);
        let version = found.ok_or_else(|| refused(format!("Cannot set current version to unknown version: {id}")))?;
        // An existing version becomes current now, whenever it was made.
        let timestamp_ms = if self.added_versions.contains(&id) { version.timestamp_ms() } else { self.now_ms };
        self.log_entry = Some(VersionLogEntry { timestamp_ms, version_id: id });
        self.document.current_version_id = id;
        self.changed = true;
        Ok(())
    }

    /// Checks the document as a whole and trims its history. `before` is the previously current version.
    pub(super) fn finish(mut self, before: Option<&ViewVersion>) -> Result<ViewMetadata, CommitError> {
        if let Some(entry) = self.log_entry {
            self.document.version_log.push(entry, &entry.json());
        }
        if let (Some(before), Some(now)) = (before, self.document.current_version()) {
            self.check_dialects(before, now)?;
        }
        self.trim_history()?;
        Ok(self.document.measured())
    }

    /// Fails if a dialect of the previous version is missing. Otherwise a replacement by one engine would take the view away
    /// from another engine.
    fn check_dialects(&self, before: &ViewVersion, now: &ViewVersion) -> Result<(), CommitError> {
        let allowed = self.document.properties.get(DROP_DIALECT_ALLOWED);
        if allowed.is_some_and(|allowed| allowed.eq_ignore_ascii_case("true")) {
            return Ok(());
        }
        let now = dialects(now);
        let lost: Vec<String> = dialects(before).into_iter().filter(|dialect| !now.contains(dialect)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(refused(format!(
            "Cannot replace view: its new version has no query for {}, which the current one has (the view property \
             {DROP_DIALECT_ALLOWED}=true allows this)",
            lost.join(", ")
        )))
    }

    /// Keeps the newest versions, the versions that the commit added, and the current one. Removes all log entries up to the
    /// last one whose version is gone, so that the log has no gaps.
    ///
    /// (The reference implementation also reorders the versions when it trims them; this keeps their order.)
    fn trim_history(&mut self) -> Result<(), CommitError> {
        let document = &mut self.document;
        let (property, default) = HISTORY_SIZE;
        let wanted = document.properties.get(property).map(|value| {
            let wanted = value.parse::<i32>().ok().and_then(|wanted| usize::try_from(wanted).ok());
            wanted
                .filter(|wanted| *wanted > 0)
                .ok_or_else(|| refused(format!("{property} must be a positive number but was {value}")))
        });
        let current = document.current_version_id;
        let needed = self.added_versions.len() + usize::from(!self.added_versions.contains(&current));
        let keep = wanted.transpose()?.unwrap_or(default).max(needed);
        if document.versions.len() <= keep {
            return Ok(());
        }
        let mut ids: Vec<i32> = document.versions().map(ViewVersion::id).filter(|id| *id != current).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        let kept: HashSet<i32> = ids.into_iter().take(keep - 1).chain([current]).collect();
        document.versions.retain(|version| kept.contains(&version.id()));
        let last_gap = document.version_log.iter().rev().position(|entry| !kept.contains(&entry.version_id));
        let mut before_gap = last_gap.map_or(0, |from_end| document.version_log.len() - from_end);
        document.version_log.retain(|_| {
            let keep = before_gap == 0;
            before_gap = before_gap.saturating_sub(1);
            keep
        });
        Ok(())
    }
}

fn refused(message: impl Into<String>) -> CommitError {
    CommitError::IllegalArgument(message.into())
}

fn upgrade_format_version(version: i32) -> Result<(), CommitError> {
    match version {
        VIEW_FORMAT_VERSION => Ok(()),
        older if older < VIEW_FORMAT_VERSION => {
            Err(refused(format!("Cannot downgrade v{VIEW_FORMAT_VERSION} view to v{older}")))
        }
        newer => Err(refused(format!("Unsupported format version: v{newer} (supported: v{VIEW_FORMAT_VERSION})"))),
    }
}

fn dialects(version: &ViewVersion) -> BTreeSet<String> {
    version.queries().map(|(dialect, _)| dialect.to_lowercase()).collect()
}

/// Returns `wanted` if it is above all ids, otherwise the id after the highest.
fn next_id(ids: impl Iterator<Item = i32>, wanted: i32, what: &str) -> Result<i32, CommitError> {
    match ids.max() {
        Some(highest) if highest >= wanted => {
            highest.checked_add(1).ok_or_else(|| refused(format!("Cannot add {what}: no id is left")))
        }
        _ => Ok(wanted),
    }
}

/// Returns the id that an update refers to.
fn resolve(id: i32, last_added: Option<i32>, what: &str) -> Result<i32, CommitError> {
    if id != LAST_ADDED {
        return Ok(id);
    }
    last_added.ok_or_else(|| refused(format!("Cannot set last added {what}: no {what} has been added")))
}
