//! Transactions with lost answers, and transactions that other changes overtake.

use super::*;

fn other() -> TableIdent {
    TableIdent::new(namespace(), "u").unwrap()
}

fn part(ident: &TableIdent, key: &str) -> TableCommit {
    let identifier = json!({ "namespace": ["ns"], "name": ident.name() });
    let body = json!({ "table-changes": [{ "identifier": identifier, "requirements": [],
        "updates": [{ "action": "set-properties", "updates": { key: "v" } }] }] });
    TableCommit::parse_transaction(body.to_string().as_bytes()).unwrap().remove(0)
}

pub(super) fn creation(name: &str) -> TableCommit {
    let body = json!({ "table-changes": [{ "identifier": { "namespace": ["ns"], "name": name },
        "requirements": [{ "type": "assert-create" }],
        "updates": [{ "action": "add-schema", "schema": { "type": "struct", "fields": [
            { "id": 1, "name": "x", "required": false, "type": "long" }] } },
            { "action": "set-current-schema", "schema-id": -1 }] }] });
    TableCommit::parse_transaction(body.to_string().as_bytes()).unwrap().remove(0)
}

impl Fixture {
    /// Creates a fixture with the tables `ns.t` and `ns.u`.
    async fn with_two_tables() -> Self {
        let fixture = Self::new().await;
        fixture
            .catalog
            .table_create_as_admin(&fixture.warehouse, &namespace(), create_request("u"), &Change::by_catalog(0))
            .await
            .unwrap();
        fixture
    }

    /// Sets a property of both tables, and creates a third.
    async fn transact(&self, key: &str) -> Result<(), CatalogError> {
        let commits = vec![part(&table(), key), creation(key), part(&other(), key)];
        self.catalog.transaction_commit_as_admin(&self.warehouse, commits, &Change::by_catalog(0)).await
    }

    /// Returns whether [`Self::transact`] happened. Fails if only a part of it did.
    async fn transacted(&self, key: &str) -> bool {
        let mut seen = Vec::new();
        for ident in [table(), other()] {
            let loaded = self.catalog.table_load_as_admin(&self.warehouse, &ident).await.unwrap();
            seen.push(loaded.document.metadata.properties().contains_key(key));
        }
        let created = TableIdent::new(namespace(), key).unwrap();
        seen.push(self.catalog.table_load_as_admin(&self.warehouse, &created).await.is_ok());
        assert!(seen.iter().all(|one| *one == seen[0]), "all or none: {seen:?}");
        seen[0]
    }
}

#[tokio::test]
async fn transaction_with_lost_answer_is_acknowledged_if_it_happened() {
    let fixture = Fixture::with_two_tables().await;
    fixture.store.fail_next(Fault::DoneUnheard);
    fixture.transact("a").await.unwrap();
    assert!(fixture.transacted("a").await);
}

#[tokio::test]
async fn transaction_with_lost_answer_is_refused_if_it_did_not_happen() {
    let fixture = Fixture::with_two_tables().await;
    fixture.store.fail_next(Fault::NotDone);
    let refused = fixture.transact("a").await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(!fixture.transacted("a").await);
    fixture.transact("a").await.unwrap();
    assert!(fixture.transacted("a").await);
}

#[tokio::test]
async fn transaction_with_unknown_outcome_is_reported_and_keeps_its_documents() {
    let fixture = Fixture::with_two_tables().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::NotDoneAndDeaf);
    let unknown = fixture.transact("a").await;
    let Err(CatalogError::CommitStateUnknown(tables, _)) = &unknown else { panic!("{unknown:?}") };
    assert_eq!(tables, "ns.a, ns.t, ns.u");
    assert_eq!(fixture.metadata_files(), before + 3);
}

#[tokio::test]
async fn overtaken_transaction_is_reapplied_and_leaves_no_other_document() {
    let fixture = Fixture::with_two_tables().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Overtaken);
    fixture.transact("a").await.unwrap();
    assert!(fixture.transacted("a").await);
    assert_eq!(fixture.metadata_files(), before + 3);
}

#[tokio::test]
async fn transaction_of_a_disconnected_caller_runs_to_its_end() {
    let fixture = Fixture::with_two_tables().await;
    {
        let mut abandoned = Box::pin(fixture.transact("a"));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
    }
    fixture.catalog.finish().await;
    assert!(fixture.transacted("a").await);
}

#[tokio::test]
async fn commit_with_lost_answer_is_found_in_the_later_history() {
    let fixture = Fixture::new().await;
    let before = fixture.catalog.table_record(&fixture.warehouse, &table()).await.unwrap();
    let mine = fixture.commit("mine").await.unwrap().document.location.clone();
    let fate_of = async |location: &str| fixture.catalog.fate_of_swap(&fixture.warehouse, &before, location).await;
    assert_eq!(fate_of(&mine).await, fate::Fate::Happened);
    fixture.commit("theirs").await.unwrap();
    assert_eq!(fate_of(&mine).await, fate::Fate::Happened);
    assert_eq!(fate_of("file:///never").await, fate::Fate::Overtaken);
    assert_eq!(fate_of(&before.metadata_location).await, fate::Fate::Happened);

    // A history that is too short leaves the outcome unknown.
    let short = json!({ "requirements": [], "updates": [{ "action": "set-properties",
        "updates": { "write.metadata.previous-versions-max": "1" } }] });
    let short = TableCommit::parse(short.to_string().as_bytes()).unwrap();
    fixture.catalog.table_commit_as_admin(&fixture.warehouse, table(), short, &Change::by_catalog(0)).await.unwrap();
    assert_eq!(fate_of(&mine).await, fate::Fate::Unknown);
    fixture.catalog.table_drop_as_admin(&fixture.warehouse, &table(), false, &Change::by_catalog(0)).await.unwrap();
    assert_eq!(fate_of(&mine).await, fate::Fate::Unknown);
}

/// Returns the parts of a transaction that names these tables and changes nothing.
fn unchanged(names: &[String]) -> Vec<TableCommit> {
    let parts: Vec<_> = names
        .iter()
        .map(|name| json!({ "identifier": { "namespace": ["ns"], "name": name }, "requirements": [], "updates": [] }))
        .collect();
    TableCommit::parse_transaction(json!({ "table-changes": parts }).to_string().as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_that_races_a_rename_between_its_names_ends() {
    const ROUNDS: usize = 300;
    let fixture = Fixture::new().await;
    // The tables between the two names give the rename time to happen between their lookups.
    let mut names: Vec<String> = (0..40).map(|number| format!("m{number:02}")).collect();
    names.push("a".to_owned());
    for name in &names {
        fixture
            .catalog
            .table_create_as_admin(&fixture.warehouse, &namespace(), create_request(name), &Change::by_catalog(0))
            .await
            .unwrap();
    }
    names.push("z".to_owned());
    let named = |name: &str| TableIdent::new(namespace(), name).unwrap();
    let (catalog, warehouse, to_and_fro) =
        (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse), [named("a"), named("z")]);
    let renames = tokio::spawn(async move {
        let [a, z] = to_and_fro;
        for _ in 0..ROUNDS {
            catalog.table_rename_as_admin(&warehouse, &a, &z, &Change::by_catalog(0)).await.unwrap();
            catalog.table_rename_as_admin(&warehouse, &z, &a, &Change::by_catalog(0)).await.unwrap();
        }
    });
    let race = async {
        while !renames.is_finished() {
            match fixture
                .catalog
                .transaction_commit_as_admin(&fixture.warehouse, unchanged(&names), &Change::by_catalog(0))
                .await
            {
                Ok(()) | Err(CatalogError::NoSuchTable(_) | CatalogError::CommitFailed(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        renames.await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), race).await.expect("the transaction waits for itself");
}

#[tokio::test]
async fn transaction_over_many_missing_tables_makes_one_store_call() {
    let fixture = Fixture::new().await;
    let names: Vec<String> = (0..1_000).map(|number| format!("missing{number}")).collect();
    let before = fixture.store.total_call_count();
    let refused = fixture
        .catalog
        .transaction_commit_as_admin(&fixture.warehouse, unchanged(&names), &Change::by_catalog(0))
        .await;
    assert!(matches!(&refused, Err(CatalogError::NoSuchTable(ident)) if ident.name() == "missing0"), "{refused:?}");
    assert_eq!(fixture.store.total_call_count() - before, 1);
}

#[tokio::test]
async fn commit_that_creates_a_table_of_a_taken_name_is_a_conflict() {
    let fixture = Fixture::with_two_tables().await;
    let create = TableCommit::parse(
        json!({ "requirements": [{ "type": "assert-create" }],
            "updates": [{ "action": "add-schema", "schema": { "type": "struct", "fields": [
                { "id": 1, "name": "x", "required": false, "type": "long" }] } },
                { "action": "set-current-schema", "schema-id": -1 }] })
        .to_string()
        .as_bytes(),
    );
    let create = create.unwrap();
    let commit = async |name: &str| {
        let ident = TableIdent::new(namespace(), name).unwrap();
        fixture.catalog.table_commit_as_admin(&fixture.warehouse, ident, create.clone(), &Change::by_catalog(0)).await
    };
    let is_conflict = |result: &CatalogError, expected: &str| matches!(result, CatalogError::CommitFailed(message) if message.starts_with(expected));
    // Taken when the store adds the table, and at the second lookup of the name.
    fixture.store.fail_next(Fault::Overtaken);
    let refused = commit("new").await.unwrap_err();
    assert!(is_conflict(&refused, "Requirement failed: table already exists"), "{refused:?}");
    let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
    fixture.store.after_next_table_get(async move {
        catalog
            .table_create_as_admin(&warehouse, &namespace(), create_request("late"), &Change::by_catalog(0))
            .await
            .unwrap();
    });
    let refused = commit("late").await.unwrap_err();
    assert!(is_conflict(&refused, "Requirement failed: table already exists"), "{refused:?}");
}
