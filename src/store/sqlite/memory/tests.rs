use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use uuid::Uuid;

use super::*;

const PLACE: WarehouseRef =
    WarehouseRef { organisation: OrganisationId(Uuid::nil()), warehouse: WarehouseId(Uuid::nil()) };

fn ident(name: &str) -> TableIdent {
    TableIdent::new(NamespaceIdent::new(&["sales"]).unwrap(), name).unwrap()
}

fn record(location: &str) -> TableRecord {
    TableRecord {
        id: TableId(Uuid::nil()),
        kind: TableKind::Table,
        metadata_location: location.to_owned(),
        owner: None,
        labels: None,
    }
}

fn stamp(memory: &Memory, name: &str) -> Option<u64> {
    match memory.table(PLACE, &ident(name)) {
        Found::Kept(record) => panic!("{name} is kept: {record:?}"),
        Found::Missing(stamp) => stamp,
    }
}

fn kept(memory: &Memory, name: &str) -> Option<TableRecord> {
    match memory.table(PLACE, &ident(name)) {
        Found::Kept(record) => record,
        Found::Missing(_) => panic!("{name} is not kept"),
    }
}

fn key(name: &str) -> Key {
    KeyRef::table(PLACE, &ident(name)).to_key()
}

#[test]
fn record_is_cached_after_a_read() {
    let memory = Memory::new(1 << 20);
    let read = stamp(&memory, "t");
    memory.keep_table(PLACE, &ident("t"), read, Some(&record("one")));
    assert_eq!(kept(&memory, "t"), Some(record("one")));
    let free = stamp(&memory, "free");
    memory.keep_table(PLACE, &ident("free"), free, None);
    assert_eq!(kept(&memory, "free"), None);
}

#[test]
fn result_of_a_read_before_a_change_is_not_cached() {
    let memory = Memory::new(1 << 20);
    for begun_by_mark in [false, true] {
        let name = format!("t{begun_by_mark}");
        let before = stamp(&memory, &name);
        memory.begin_change(&key(&name));
        assert_eq!(stamp(&memory, &name), None, "a read during a change gets no stamp");
        memory.keep_table(PLACE, &ident(&name), before, Some(&record("old")));
        memory.end_change(&key(&name), begun_by_mark.then(|| Value::Table(Some(record("new")))));
        memory.keep_table(PLACE, &ident(&name), before, Some(&record("old")));
        if begun_by_mark {
            assert_eq!(kept(&memory, &name), Some(record("new")));
        } else {
            assert!(stamp(&memory, &name).is_some());
        }
    }
}

#[test]
fn result_of_a_read_before_a_change_of_all_is_not_cached() {
    let memory = Memory::new(1 << 20);
    let before = stamp(&memory, "t");
    memory.begin_change_of_all();
    memory.keep_table(PLACE, &ident("t"), before, Some(&record("old")));
    assert_eq!(stamp(&memory, "t"), None);
    memory.end_change_of_all();
    memory.keep_table(PLACE, &ident("t"), before, Some(&record("old")));
    assert!(stamp(&memory, "t").is_some());
}

#[test]
fn cache_stays_within_its_bytes_and_keeps_entries_in_use() {
    let memory = Memory::new(400_000);
    let read = stamp(&memory, "used");
    memory.keep_table(PLACE, &ident("used"), read, Some(&record("one")));
    for number in 0..20_000 {
        let name = format!("t{number}");
        let read = stamp(&memory, &name);
        memory.keep_table(PLACE, &ident(&name), read, Some(&record(&"x".repeat(number % 300))));
        assert_eq!(kept(&memory, "used"), Some(record("one")), "after {number}");
        assert!(memory.bytes() <= 400_000, "{} bytes after {number}", memory.bytes());
    }
}

#[test]
fn entry_that_is_changing_is_never_evicted() {
    let memory = Memory::new(100_000);
    let before = stamp(&memory, "t");
    memory.begin_change(&key("t"));
    for number in 0..5_000 {
        let name = format!("t{number}");
        let read = stamp(&memory, &name);
        memory.keep_table(PLACE, &ident(&name), read, None);
    }
    memory.keep_table(PLACE, &ident("t"), before, Some(&record("old")));
    assert_eq!(stamp(&memory, "t"), None);
}

#[test]
fn page_larger_than_half_a_shard_is_not_cached() {
    let memory = Memory::new(80_000);
    let (namespace, request) = (NamespaceIdent::new(&["sales"]).unwrap(), PageRequest::default());
    let Found::Missing(read) = memory.tables(PLACE, &namespace, TableKind::Table, &request) else { panic!() };
    let page = Page { items: vec!["x".repeat(6_000)], more: false };
    let kept = memory.keep_tables(PLACE, &namespace, TableKind::Table, request.clone(), read, page);
    assert_eq!(kept.items.len(), 1);
    assert!(matches!(memory.tables(PLACE, &namespace, TableKind::Table, &request), Found::Missing(_)));
    assert!(memory.bytes() < 2_000);
}

#[test]
fn requests_for_a_cached_page_share_its_answer() {
    let memory = Memory::new(8 << 20);
    let (namespace, request) = (NamespaceIdent::new(&["sales"]).unwrap(), PageRequest::default());
    let list = || memory.tables(PLACE, &namespace, TableKind::Table, &request);
    let Found::Missing(read) = list() else { panic!() };
    let page = Page { items: vec!["t".to_owned()], more: false };
    let first = memory.keep_tables(PLACE, &namespace, TableKind::Table, request.clone(), read, page);
    assert_eq!(first.answer(|page| page.items.concat().into_bytes()), "t");
    let Found::Kept(second) = list() else { panic!() };
    assert_eq!(second.answer(|_| unreachable!("the answer was written")), "t");
}

#[test]
fn room_for_answers_counts_as_memory() {
    let memory = Memory::new(8 << 20);
    let (namespace, request) = (NamespaceIdent::new(&["sales"]).unwrap(), PageRequest::default());
    let Found::Missing(read) = memory.tables(PLACE, &namespace, TableKind::Table, &request) else { panic!() };
    let page = Page { items: vec!["t".to_owned(); 1_000], more: false };
    let kept = memory.keep_tables(PLACE, &namespace, TableKind::Table, request, read, page);
    assert!(kept.room_bytes() > 50_000);
    assert!(memory.bytes() > kept.room_bytes() + 1_000 * size_of::<String>());
}
