//! The snapshots of a table as a graph: each has a row, and each line of history a lane.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::committers::{Committer, Committers, MAX_EVENTS, MAX_NAMES};
use crate::format;
use crate::texts as t;

/// The most snapshots that are drawn: the newest ones.
pub const MAX_SNAPSHOTS: usize = 200;

/// The height of a row in pixels. The style sheet gives the rows of the table the same height.
pub const ROW_PX: usize = 48;

/// The width of a lane in pixels.
const LANE_PX: usize = 18;

/// The most lanes that are drawn apart. Further lines of history share the last one.
const MAX_LANES: usize = 12;

/// The branch that readers see.
pub const MAIN: &str = "main";

/// The number of colours of lanes.
const COLOURS: usize = 6;

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// `branch` or `tag`.
    pub kind: String,
    /// The snapshot to which it points.
    pub snapshot_id: i64,
    /// Its retention, for people.
    pub retention: String,
}

/// A snapshot with its place in the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: i64,
    /// The id of its parent.
    pub parent: Option<i64>,
    /// When it was made.
    pub time: String,
    /// The operation, such as `append`.
    pub operation: String,
    /// How many rows it added and removed, with signs.
    pub rows: String,
    /// How many files it added and removed, with signs.
    pub files: String,
    /// How many rows the table has then.
    pub total_rows: String,
    /// The size of the table's files then.
    pub total_size: String,
    /// The engine that wrote it.
    pub engine: String,
    /// The application of the engine that wrote it, such as Spark's id of one.
    pub application: String,
    /// The commit that added it, if its event is known.
    pub committer: Option<Committer>,
    /// The branches and tags that point to it.
    pub references: Vec<Reference>,
    /// Whether it is the table's current snapshot.
    pub is_current: bool,
    /// Whether it is an ancestor of the snapshot of the branch `main`, which can be rolled back to it.
    pub is_older_main: bool,
    /// Its lane in the graph.
    pub lane: usize,
    at_ms: i64,
    sequence: i64,
}

/// The history of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The newest snapshots, the newest first.
    pub snapshots: Vec<Snapshot>,
    /// How many older ones are not shown.
    pub hidden: usize,
    /// The branches and tags, by name.
    pub references: Vec<Reference>,
    /// The graph's width in pixels.
    pub width: usize,
    /// The graph's height in pixels.
    pub height: usize,
    /// The graph's lines and points.
    pub shapes: Vec<Shape>,
    /// Who committed them.
    pub commits: Commits,
}

/// What is known of the commits of the shown snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Commits {
    /// Nothing: the caller may not read the table's events.
    #[default]
    Hidden,
    /// Every snapshot has its commit.
    Complete,
    /// Some snapshots, or all, have none: the reason for people.
    Missing(String),
}

impl Commits {
    /// Returns whether the snapshots are shown with their commits.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        *self != Self::Hidden
    }
}

/// A part of the graph. It has only numbers, so it needs no escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A line from a snapshot to its parent: the path, and the number of its colour.
    Line(String, usize),
    /// A snapshot: its centre, the number of its colour, and whether it is the current one.
    Point(usize, usize, usize, bool),
}

impl Reference {
    /// Says what is lost if it is removed.
    #[must_use]
    pub fn loss(&self) -> &'static str {
        if self.kind == "tag" { t::REMOVE_TAG_HINT } else { t::REMOVE_BRANCH_HINT }
    }
}

impl History {
    /// Reads the history from a table's metadata.
    #[must_use]
    pub fn parse(metadata: &Value) -> Self {
        let references = references(metadata);
        let current = metadata["current-snapshot-id"].as_i64().filter(|id| *id >= 0);
        let all = metadata["snapshots"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut snapshots: Vec<Snapshot> = all.iter().map(|one| snapshot(one, current)).collect();
        snapshots.sort_by_key(|one| std::cmp::Reverse((one.sequence, one.at_ms)));
        let hidden = snapshots.len().saturating_sub(MAX_SNAPSHOTS);
        snapshots.truncate(MAX_SNAPSHOTS);
        for reference in &references {
            if let Some(one) = snapshots.iter_mut().find(|one| one.id == reference.snapshot_id) {
                one.references.push(reference.clone());
            }
        }
        let head = references.iter().find(|one| one.name == MAIN).map(|one| one.snapshot_id);
        mark_older_main(&mut snapshots, head);
        let lanes = give_lanes(&mut snapshots);
        let shapes = draw(&snapshots);
        let (width, height) = ((lanes.max(1) + 1) * LANE_PX, snapshots.len() * ROW_PX);
        Self { snapshots, hidden, references, width, height, shapes, commits: Commits::Hidden }
    }

    /// Says how many older snapshots are not shown.
    #[must_use]
    pub fn older(&self) -> String {
        t::older(self.hidden)
    }

    /// Adds the commits that are known, or the reason why none are. Says that some snapshots have none.
    #[must_use]
    pub fn with_committers(mut self, known: Result<Committers, String>) -> Self {
        self.commits = match known {
            Ok(mut known) => {
                for one in &mut self.snapshots {
                    one.committer = known.take(one.id);
                }
                match self.snapshots.iter().all(|one| one.committer.is_some()) {
                    true => Commits::Complete,
                    false => Commits::Missing(t::no_committer(MAX_EVENTS, MAX_NAMES)),
                }
            }
            Err(refusal) => Commits::Missing(refusal),
        };
        self
    }

    /// Finds a snapshot that is shown.
    #[must_use]
    pub fn find(&self, id: i64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|one| one.id == id)
    }

    /// Returns the snapshots that `id` does not have: those on the way from `from` back to it. `None` if `id` is not an ancestor of
    /// `from` among those shown.
    #[must_use]
    pub fn since(&self, from: i64, id: i64) -> Option<Vec<&Snapshot>> {
        let mut undone = Vec::new();
        let mut at = from;
        while at != id {
            let one = self.find(at)?;
            // A damaged history could have a circle.
            if undone.len() > self.snapshots.len() {
                return None;
            }
            undone.push(one);
            at = one.parent?;
        }
        Some(undone)
    }
}

fn references(metadata: &Value) -> Vec<Reference> {
    let refs = metadata["refs"].as_object().into_iter().flatten();
    let mut found: Vec<Reference> = refs
        .map(|(name, one)| Reference {
            name: name.clone(),
            kind: one["type"].as_str().unwrap_or_default().to_owned(),
            snapshot_id: one["snapshot-id"].as_i64().unwrap_or_default(),
            retention: retention(one),
        })
        .collect();
    found.sort_by(|a, b| (a.kind.as_str(), a.name.as_str()).cmp(&(b.kind.as_str(), b.name.as_str())));
    found
}

fn retention(reference: &Value) -> String {
    let field = |name: &str| reference[name].as_i64().map(|value| format!("{name}={value}"));
    let fields = ["max-ref-age-ms", "max-snapshot-age-ms", "min-snapshots-to-keep"].map(field);
    fields.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn snapshot(one: &Value, current: Option<i64>) -> Snapshot {
    let summary = &one["summary"];
    let number = |name: &str| summary[name].as_str().and_then(|text| text.parse::<i64>().ok());
    let signed = |added: &str, removed: &str| {
        let part = |sign: &str, value: Option<i64>| {
            value.filter(|value| *value > 0).map(|value| format!("{sign}{}", format::count(value)))
        };
        [part("+", number(added)), part("−", number(removed))].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let id = one["snapshot-id"].as_i64().unwrap_or_default();
    let at_ms = one["timestamp-ms"].as_i64().unwrap_or_default();
    Snapshot {
        id,
        parent: one["parent-snapshot-id"].as_i64(),
        time: format::time(at_ms),
        operation: format::cut(summary["operation"].as_str().unwrap_or_default(), 40),
        rows: signed("added-records", "deleted-records"),
        files: signed("added-data-files", "deleted-data-files"),
        total_rows: number("total-records").map(format::count).unwrap_or_default(),
        total_size: number("total-files-size").map(format::bytes).unwrap_or_default(),
        engine: engine(summary),
        application: application(summary),
        committer: None,
        references: Vec::new(),
        is_current: current == Some(id),
        is_older_main: false,
        lane: 0,
        at_ms,
        sequence: one["sequence-number"].as_i64().unwrap_or_default(),
    }
}

/// Returns the engine that a summary names.
fn engine(summary: &Value) -> String {
    let field = |name: &str| summary[name].as_str().filter(|text| !text.is_empty());
    let name = field("engine-name").map(|name| match field("engine-version") {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    });
    let other =
        || match (field("spark.app.id"), field("trino_query_id"), field("flink.job-id"), field("iceberg-version")) {
            (Some(_), ..) => Some("spark".to_owned()),
            (_, Some(_), ..) => Some("trino".to_owned()),
            (_, _, Some(_), _) => Some("flink".to_owned()),
            (_, _, _, version) => version.map(str::to_owned),
        };
    format::cut(&name.or_else(other).unwrap_or_default(), 40)
}

/// Returns the application that a summary names.
fn application(summary: &Value) -> String {
    let field = |name: &str| summary[name].as_str().filter(|text| !text.is_empty());
    let found = ["app-id", "spark.app.id", "trino_query_id", "flink.job-id"].into_iter().find_map(field);
    format::cut(found.unwrap_or_default(), 60)
}

/// Marks the ancestors of `head`, the snapshot of the branch `main`. Snapshots of other branches are none of them.
fn mark_older_main(snapshots: &mut [Snapshot], head: Option<i64>) {
    let rows: HashMap<i64, usize> = snapshots.iter().enumerate().map(|(row, one)| (one.id, row)).collect();
    let parent = |snapshots: &[Snapshot], id: i64| snapshots[*rows.get(&id)?].parent;
    let mut at = head.and_then(|head| parent(snapshots, head));
    while let Some(row) = at.and_then(|id| rows.get(&id)) {
        // A damaged history could have a circle.
        if snapshots[*row].is_older_main {
            return;
        }
        snapshots[*row].is_older_main = true;
        at = snapshots[*row].parent;
    }
}

/// Gives each snapshot a lane. A lane waits for the parent of its last snapshot. Returns the number of lanes.
fn give_lanes(snapshots: &mut [Snapshot]) -> usize {
    let mut waiting: Vec<Option<i64>> = Vec::new();
    for one in snapshots.iter_mut() {
        let lane = waiting.iter().position(|awaited| *awaited == Some(one.id));
        let lane = lane.or_else(|| waiting.iter().position(Option::is_none)).unwrap_or(waiting.len());
        if lane == waiting.len() {
            waiting.push(None);
        }
        // Other lanes that wait for this snapshot end here.
        for other in waiting.iter_mut().filter(|awaited| **awaited == Some(one.id)) {
            *other = None;
        }
        waiting[lane] = one.parent;
        one.lane = lane.min(MAX_LANES - 1);
    }
    waiting.len().min(MAX_LANES)
}

fn draw(snapshots: &[Snapshot]) -> Vec<Shape> {
    let rows: HashMap<i64, usize> = snapshots.iter().enumerate().map(|(row, one)| (one.id, row)).collect();
    let x = |lane: usize| LANE_PX + lane * LANE_PX - LANE_PX / 4;
    let y = |row: usize| row * ROW_PX + ROW_PX / 2;
    let mut shapes = Vec::new();
    for (row, one) in snapshots.iter().enumerate() {
        let Some(parent) = one.parent else { continue };
        let (from_x, from_y) = (x(one.lane), y(row));
        let mut path = format!("M{from_x} {from_y}");
        match rows.get(&parent).filter(|parent_row| **parent_row > row) {
            Some(parent_row) => {
                let (to_x, to_y) = (x(snapshots[*parent_row].lane), y(*parent_row));
                let bend = to_y - ROW_PX;
                let half = ROW_PX / 2;
                // Writing to a text does not fail.
                let _ = write!(path, "V{bend}C{from_x} {} {to_x} {} {to_x} {to_y}", bend + half, to_y - half);
            }
            // The parent is not shown, or no longer there.
            None => {
                let _ = write!(path, "V{}", from_y + ROW_PX / 2);
            }
        }
        shapes.push(Shape::Line(path, one.lane % COLOURS));
    }
    let points = snapshots.iter().enumerate();
    shapes.extend(points.map(|(row, one)| Shape::Point(x(one.lane), y(row), one.lane % COLOURS, one.is_current)));
    shapes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::committers::TableName;

    fn metadata(snapshots: &[(i64, Option<i64>)]) -> Value {
        let snapshots: Vec<Value> = snapshots
            .iter()
            .enumerate()
            .map(|(at, (id, parent))| {
                json!({ "snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": at, "timestamp-ms": at,
                        "summary": { "operation": "append", "added-records": "1200", "deleted-records": "0", "deleted-data-files": "3" } })
            })
            .collect();
        json!({ "snapshots": snapshots, "current-snapshot-id": 1,
                "refs": { "main": { "type": "branch", "snapshot-id": 1 }, "v1": { "type": "tag", "snapshot-id": 2, "max-ref-age-ms": 5 } } })
    }

    #[test]
    fn branches_have_lanes_and_meet_at_their_common_ancestor() {
        // 1 <- 2 <- 4, and 2 <- 3.
        let history = History::parse(&metadata(&[(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2))]));
        let lanes: Vec<(i64, usize)> = history.snapshots.iter().map(|one| (one.id, one.lane)).collect();
        assert_eq!(lanes, [(4, 0), (3, 1), (2, 0), (1, 0)]);
        let points = history.shapes.iter().filter(|shape| matches!(shape, Shape::Point(..))).count();
        let lines = history.shapes.iter().filter(|shape| matches!(shape, Shape::Line(..))).count();
        assert_eq!((points, lines, history.height), (4, 3, 4 * ROW_PX));
        assert_eq!(history.find(2).unwrap().references[0].name, "v1");
        assert!(history.find(1).unwrap().is_current);
    }

    #[test]
    fn summary_is_shown_with_signs_and_separators() {
        let history = History::parse(&metadata(&[(1, None)]));
        let one = history.find(1).unwrap();
        assert_eq!((one.rows.as_str(), one.files.as_str(), one.operation.as_str()), ("+1,200", "−3", "append"));
        let engines = [
            (json!({ "engine-name": "spark", "engine-version": "4.1" }), "spark 4.1"),
            (json!({ "spark.app.id": "x" }), "spark"),
            (json!({ "trino_query_id": "x" }), "trino"),
            (json!({ "iceberg-version": "Apache Iceberg 1.12" }), "Apache Iceberg 1.12"),
            (json!({}), ""),
        ];
        for (summary, expected) in engines {
            assert_eq!(engine(&summary), expected);
        }
    }

    #[test]
    fn snapshot_without_an_event_is_said_to_have_none() {
        let events = |ids: &[i64]| json!({ "events": [{ "object-type": "table", "actor": "etl", "details": { "snapshot-ids": ids } }] });
        let committers = |ids: &[i64]| {
            let mut committers = Committers::default();
            assert_eq!(committers.add(&events(ids), &TableName::new("a.b".to_owned())), None);
            Ok(committers)
        };
        let history = || History::parse(&metadata(&[(1, None), (2, Some(1))]));
        assert_eq!(history().commits, Commits::Hidden);
        assert_eq!(history().with_committers(committers(&[1, 2])).commits, Commits::Complete);
        let partly = history().with_committers(committers(&[2]));
        assert_eq!(partly.find(2).unwrap().committer.as_ref().unwrap().name, "etl");
        assert!(partly.find(1).unwrap().committer.is_none());
        assert!(matches!(partly.commits, Commits::Missing(reason) if reason.contains("no longer kept")));
        let refused = history().with_committers(Err("busy".to_owned()));
        assert_eq!(refused.commits, Commits::Missing("busy".to_owned()));
    }

    #[test]
    fn application_of_the_engine_is_shown() {
        assert_eq!(application(&json!({ "app-id": "", "spark.app.id": "local-1" })), "local-1");
        assert_eq!(application(&json!({})), "");
    }

    #[test]
    fn only_ancestors_of_main_can_be_rolled_back_to() {
        // main is at 3: 1 <- 2 <- 3, and another branch 2 <- 4 <- 5.
        let mut metadata = metadata(&[(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, Some(4))]);
        metadata["refs"]["main"]["snapshot-id"] = 3.into();
        let older = |metadata: &Value| {
            let mut ids: Vec<i64> =
                History::parse(metadata).snapshots.iter().filter(|one| one.is_older_main).map(|one| one.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(older(&metadata), [1, 2]);
        metadata["snapshots"][0]["parent-snapshot-id"] = 3.into();
        assert_eq!(older(&metadata), [1, 2, 3], "a circle ends");
        metadata["refs"] = json!({});
        assert!(older(&metadata).is_empty(), "a table without main has nothing to roll back");
    }

    #[test]
    fn removed_branch_and_tag_say_what_is_lost() {
        let reference = |kind: &str| Reference {
            name: "x".to_owned(),
            kind: kind.to_owned(),
            snapshot_id: 1,
            retention: String::new(),
        };
        assert!(reference("tag").loss().contains("tag") && reference("branch").loss().contains("branch"));
    }

    #[test]
    fn rollback_undoes_the_snapshots_after_its_target() {
        let history = History::parse(&metadata(&[(1, None), (2, Some(1)), (3, Some(2)), (9, None)]));
        let since =
            |from, id| history.since(from, id).map(|undone| undone.iter().map(|one| one.id).collect::<Vec<_>>());
        assert_eq!(since(3, 1), Some(vec![3, 2]));
        assert_eq!(since(3, 3), Some(vec![]));
        assert_eq!(since(3, 9), None);
        let circle = History::parse(&metadata(&[(1, Some(2)), (2, Some(1))]));
        assert_eq!(circle.since(1, 7), None);
    }

    #[test]
    fn rows_of_the_table_are_as_high_as_those_of_the_graph() {
        let style = include_str!("../assets/console.css");
        assert!(style.contains(&format!(".history tbody tr{{height:{ROW_PX}px}}")));
    }

    #[test]
    fn long_and_odd_histories_have_bounds() {
        let many: Vec<(i64, Option<i64>)> = (0..1_000).map(|id| (id, None)).collect();
        let history = History::parse(&metadata(&many));
        assert_eq!((history.snapshots.len(), history.hidden), (MAX_SNAPSHOTS, 800));
        let fan: Vec<(i64, Option<i64>)> = (0..100).map(|id| (id, Some(-1))).collect();
        assert!(History::parse(&metadata(&fan)).width <= (MAX_LANES + 1) * LANE_PX);
        for odd in [
            json!(null),
            json!({ "snapshots": 7, "refs": [] }),
            json!({ "snapshots": [null, {}], "refs": { "a": null } }),
        ] {
            let history = History::parse(&odd);
            assert_eq!(
                history.snapshots.len(),
                history.shapes.iter().filter(|one| matches!(one, Shape::Point(..))).count()
            );
        }
    }
}
