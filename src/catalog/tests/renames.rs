//! Commits to a table or view that is renamed after they have found it.

use tidewater_core::commit::RegisterTable;

use super::*;

fn named(name: &str) -> TableIdent {
    TableIdent::new(namespace(), name).unwrap()
}

/// What happens between the read of the pointer and its swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// The table is renamed.
    Rename,
    /// The table is renamed, and another gets its former name.
    RenameAndCreate,
    /// The table is renamed to and fro.
    ToAndFro,
}

impl Fixture {
    /// Lets it happen right after the next read of a pointer by name.
    fn after_next_read(&self, between: Between) {
        let (catalog, warehouse) = (Arc::clone(&self.catalog), Arc::clone(&self.warehouse));
        self.store.after_next_table_get(async move {
            let change = Change::by_catalog(0);
            catalog.table_rename_as_admin(&warehouse, &table(), &named("renamed"), &change).await.unwrap();
            match between {
                Between::Rename => {}
                Between::RenameAndCreate => {
                    let other = create_request("t");
                    catalog.table_create_as_admin(&warehouse, &namespace(), other, &change).await.unwrap();
                }
                Between::ToAndFro => {
                    catalog.table_rename_as_admin(&warehouse, &named("renamed"), &table(), &change).await.unwrap();
                }
            }
        });
    }

    async fn has_property(&self, name: &str, key: &str) -> bool {
        let loaded = self.catalog.table_load_as_admin(&self.warehouse, &named(name)).await.unwrap();
        loaded.document.metadata.properties().contains_key(key)
    }
}

#[tokio::test]
async fn commit_to_a_table_that_is_renamed_meanwhile_is_not_found() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.after_next_read(Between::Rename);
    let refused = fixture.commit("a").await;
    assert!(matches!(&refused, Err(CatalogError::NoSuchTable(ident)) if *ident == table()), "{refused:?}");
    assert!(!fixture.has_property("renamed", "a").await);
    assert_eq!(fixture.metadata_files(), before);
}

#[tokio::test]
async fn commit_to_a_name_that_another_table_gets_meanwhile_changes_the_other_table() {
    let fixture = Fixture::new().await;
    fixture.after_next_read(Between::RenameAndCreate);
    fixture.commit("a").await.unwrap();
    assert!(fixture.has("a").await);
    assert!(!fixture.has_property("renamed", "a").await);
}

#[tokio::test]
async fn commit_to_a_table_that_is_renamed_to_and_fro_is_made() {
    let fixture = Fixture::new().await;
    fixture.after_next_read(Between::ToAndFro);
    fixture.commit("a").await.unwrap();
    assert!(fixture.has("a").await);
}

#[tokio::test]
async fn requirement_of_the_renamed_table_refuses_the_other_table_of_its_name() {
    let fixture = Fixture::new().await;
    let table = fixture.catalog.table_load_as_admin(&fixture.warehouse, &table()).await.unwrap();
    let body = json!({ "requirements": [{ "type": "assert-table-uuid", "uuid": table.document.metadata.uuid() }],
        "updates": [{ "action": "set-properties", "updates": { "a": "v" } }] });
    let commit = TableCommit::parse(body.to_string().as_bytes()).unwrap();
    fixture.after_next_read(Between::RenameAndCreate);
    let refused =
        fixture.catalog.table_commit_as_admin(&fixture.warehouse, named("t"), commit, &Change::by_catalog(0)).await;
    assert!(matches!(refused, Err(CatalogError::CommitFailed(_))), "{refused:?}");
    assert!(!fixture.has("a").await && !fixture.has_property("renamed", "a").await);
}

#[tokio::test]
async fn transaction_over_a_table_that_is_renamed_meanwhile_changes_nothing() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.after_next_read(Between::Rename);
    let commits = vec![named_commit("a"), transactions::creation("new")];
    let refused =
        fixture.catalog.transaction_commit_as_admin(&fixture.warehouse, commits, &Change::by_catalog(0)).await;
    assert!(matches!(&refused, Err(CatalogError::NoSuchTable(ident)) if *ident == table()), "{refused:?}");
    assert!(!fixture.has_property("renamed", "a").await);
    assert_eq!(fixture.metadata_files(), before);
}

#[tokio::test]
async fn commit_to_a_view_that_is_renamed_meanwhile_is_not_found() {
    let fixture = Fixture::new().await;
    fixture.create_view("v").await.unwrap();
    let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
    fixture.store.after_next_table_get(async move {
        let change = Change::by_catalog(0);
        catalog.view_rename_as_admin(&warehouse, &named("v"), &named("renamed"), &change).await.unwrap();
    });
    let (change, set) = (Change::by_catalog(0), views::set("a"));
    let refused = fixture.catalog.view_commit_as_admin(&fixture.warehouse, named("v"), set, &change).await;
    assert!(matches!(&refused, Err(CatalogError::NoSuchView(ident)) if *ident == named("v")), "{refused:?}");
    let view = fixture.catalog.view_load_as_admin(&fixture.warehouse, &named("renamed")).await.unwrap();
    assert!(!view.metadata.properties().contains_key("a"));
}

#[tokio::test]
async fn registration_over_a_table_that_is_renamed_meanwhile_creates_its_own() {
    let fixture = Fixture::new().await;
    let change = Change::by_catalog(0);
    let (catalog, warehouse) = (&fixture.catalog, &fixture.warehouse);
    catalog.table_create_as_admin(warehouse, &namespace(), create_request("source"), &change).await.unwrap();
    let source = catalog.table_unregister_as_admin(warehouse, named("source"), &change).await.unwrap();
    let former = catalog.table_record_as_admin(warehouse, &table()).await.unwrap();
    let body = json!({ "name": "t", "metadata-location": source.location, "overwrite": true }).to_string();
    fixture.after_next_read(Between::Rename);
    let request = RegisterTable::parse(body.as_bytes()).unwrap();
    catalog.table_register_as_admin(warehouse, &namespace(), request, &change).await.unwrap();
    let (now, renamed) = (
        catalog.table_record_as_admin(warehouse, &table()).await.unwrap(),
        catalog.table_record_as_admin(warehouse, &named("renamed")).await.unwrap(),
    );
    assert_eq!((renamed.id, renamed.metadata_location), (former.id, former.metadata_location));
    assert_eq!(now.metadata_location, source.location);
    assert_ne!(now.id, former.id);
}

#[tokio::test]
async fn lost_answer_to_a_commit_that_a_rename_prevented_is_resolved() {
    let fixture = Fixture::new().await;
    fixture.after_next_read(Between::Rename);
    // The store makes the change as asked, which is none: its refusal is lost.
    fixture.store.fail_next(Fault::NotDone);
    let refused = fixture.commit("a").await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(!fixture.has_property("renamed", "a").await);
    let again = fixture.commit("a").await;
    assert!(matches!(again, Err(CatalogError::NoSuchTable(_))), "{again:?}");
}
