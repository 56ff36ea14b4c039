//! Locations of tables and views.

use tidewater_core::view::{CreateView, ViewCommit};

use super::*;

impl Fixture {
    fn place(&self, name: &str) -> String {
        format!("file://{}/warehouse/{name}", self.folder.path().display())
    }

    pub(super) async fn create(
        &self,
        name: &str,
        location: Option<&str>,
        data: Option<&str>,
    ) -> Result<CreatedTable, CatalogError> {
        self.create_staged(name, location, data, false).await
    }

    async fn create_staged(
        &self,
        name: &str,
        location: Option<&str>,
        data: Option<&str>,
        stage: bool,
    ) -> Result<CreatedTable, CatalogError> {
        let mut request = create_request(name);
        request.location = location.map(|name| self.place(name));
        request.stage_create = stage;
        request.properties.extend(data.map(|name| ("write.data.path".to_owned(), self.place(name))));
        self.catalog.table_create_as_admin(&self.warehouse, &namespace(), request, &Change::by_catalog(0)).await
    }

    async fn set_place(&self, table: &str, key: &str, place: &str) -> Result<LoadedTable, CatalogError> {
        let body = json!({ "requirements": [],
            "updates": [{ "action": "set-properties", "updates": { key: self.place(place) } }] });
        let commit = TableCommit::parse(body.to_string().as_bytes()).unwrap();
        let ident = TableIdent::new(namespace(), table).unwrap();
        self.catalog.table_commit_as_admin(&self.warehouse, ident, commit, &Change::by_catalog(0)).await
    }
}

fn is_taken(result: &Result<impl Sized, CatalogError>) -> bool {
    matches!(result, Err(CatalogError::LocationTaken { .. }))
}

#[tokio::test]
async fn change_with_a_refused_location_leaves_no_document() {
    let fixture = Fixture::new().await;
    fixture.create("u", None, Some("data")).await.unwrap();
    let files = fixture.metadata_files();
    for key in ["write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"] {
        assert!(is_taken(&fixture.set_place("t", key, "data/inside").await), "{key}");
    }
    assert!(is_taken(&fixture.create("v", None, Some("data")).await));
    assert_eq!(fixture.metadata_files(), files);
}

#[tokio::test]
async fn commit_without_new_locations_makes_two_store_calls() {
    let fixture = Fixture::new().await;
    fixture.set_place("t", "write.data.path", "data").await.unwrap();
    let before = fixture.store.total_call_count();
    fixture.commit("a").await.unwrap();
    assert_eq!(fixture.store.total_call_count() - before, 2, "one read and one move of the pointer");
}

#[tokio::test]
async fn staged_table_at_an_overlapping_location_is_refused() {
    let fixture = Fixture::new().await;
    fixture.create("u", Some("u"), Some("data")).await.unwrap();
    for (location, data) in [(Some("u/inside"), None), (None, Some("data")), (Some("data"), None), (None, Some("u"))] {
        assert!(is_taken(&fixture.create_staged("v", location, data, true).await), "{location:?} {data:?}");
    }
    // Many callers can stage a table at a free location. The first to commit gets it.
    for _ in 0..2 {
        let staged = fixture.create_staged("v", Some("v"), Some("v-data"), true).await.unwrap();
        assert!(matches!(staged, CreatedTable::Staged(..)));
    }
    fixture.create("w", None, Some("v-data")).await.unwrap();
}

#[tokio::test]
async fn overlapping_location_is_refused_in_every_change() {
    let fixture = Fixture::new().await;
    let view = |name: &str, place: &str| {
        let body = json!({ "name": name, "schema": { "type": "struct", "schema-id": 0, "fields": [] },
            "properties": { "write.metadata.path": fixture.place(place) },
            "view-version": { "version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "default-namespace": ["ns"],
                "representations": [{ "type": "sql", "sql": "select 1", "dialect": "spark" }] } });
        CreateView::parse(body.to_string().as_bytes()).unwrap()
    };
    fixture.create("u", None, Some("data")).await.unwrap();
    fixture.create("d", None, Some("dropped")).await.unwrap();
    let ident = |name: &str| TableIdent::new(namespace(), name).unwrap();
    fixture
        .catalog
        .view_create_as_admin(&fixture.warehouse, &namespace(), view("v", "meta"), &Change::by_catalog(0))
        .await
        .unwrap();
    fixture.catalog.table_drop_as_admin(&fixture.warehouse, &ident("d"), false, &Change::by_catalog(0)).await.unwrap();

    for taken in ["data", "dropped", "meta"] {
        let refused = fixture.create("new", None, Some(taken)).await;
        let is_refused = is_taken(&refused) || matches!(refused, Err(CatalogError::LocationHeld { .. }));
        assert!(is_refused, "{taken}: {refused:?}");
    }
    assert!(is_taken(&fixture.set_place("t", "write.metadata.path", "data").await));
    assert!(is_taken(&fixture.create_staged("new", Some("data"), None, true).await));
    let view = fixture
        .catalog
        .view_create_as_admin(&fixture.warehouse, &namespace(), view("v2", "data"), &Change::by_catalog(0))
        .await;
    assert!(is_taken(&view));
    let update = json!({ "updates": [{ "action": "set-properties", "updates": { "write.metadata.path": fixture.place("data/x") } }] });
    let update = ViewCommit::parse(update.to_string().as_bytes()).unwrap();
    assert!(is_taken(
        &fixture.catalog.view_commit_as_admin(&fixture.warehouse, ident("v"), update, &Change::by_catalog(0)).await
    ));
    let part = json!({ "identifier": { "namespace": ["ns"], "name": "t" }, "requirements": [],
        "updates": [{ "action": "set-location", "location": fixture.place("data") }] });
    let part = TableCommit::parse(part.to_string().as_bytes()).unwrap();
    assert!(is_taken(
        &fixture.catalog.transaction_commit_as_admin(&fixture.warehouse, vec![part], &Change::by_catalog(0)).await
    ));
}
