//! Every way to publish a document, with every fault of the store: lost and unreadable answers and refusals.

use tidewater_core::commit::RegisterTable;
use tidewater_core::view::RegisterView;

use super::*;

/// A way to publish. Each creates a new name, or sets a new property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    CreateTable,
    CreateView,
    CommitTable,
    CommitView,
    CommitStagedCreate,
    RegisterTable,
    RegisterOverTable,
    RegisterView,
    Transaction,
}

const WAYS: [Way; 9] = [
    Way::CreateTable,
    Way::CreateView,
    Way::CommitTable,
    Way::CommitView,
    Way::CommitStagedCreate,
    Way::RegisterTable,
    Way::RegisterOverTable,
    Way::RegisterView,
    Way::Transaction,
];

/// The caller's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Unavailable,
    Unknown,
    Conflict,
    Full,
}

/// Each fault of the store, with the caller's outcome, whether the change happened, and whether documents stay.
#[rustfmt::skip]
const FAULTS: [(Fault, Outcome, bool, bool); 6] = [
    (Fault::NotDone,        Outcome::Unavailable, false, true),
    (Fault::DoneUnheard,    Outcome::Done,        true,  true),
    (Fault::NotDoneAndDeaf, Outcome::Unknown,     false, true),
    (Fault::DoneAndDeaf,    Outcome::Unknown,     true,  true),
    (Fault::DoneUnreadable, Outcome::Done,        true,  true),
    (Fault::Full,           Outcome::Full,        false, false),
];

/// Returns the expectation if another change is faster: a commit and a registration with overwrite are repeated, others are refused.
#[rustfmt::skip]
const fn overtaken(way: Way) -> (Fault, Outcome, bool, bool) {
    match way {
        Way::CreateTable | Way::CreateView | Way::CommitStagedCreate | Way::RegisterTable | Way::RegisterView =>
            (Fault::Overtaken, Outcome::Conflict, false, false),
        Way::CommitTable | Way::CommitView | Way::RegisterOverTable | Way::Transaction =>
            (Fault::Overtaken, Outcome::Done, true, true),
    }
}

impl Way {
    /// Returns how many documents it writes.
    const fn documents(self) -> usize {
        match self {
            Self::CreateTable | Self::CreateView | Self::CommitTable | Self::CommitView | Self::CommitStagedCreate => 1,
            Self::RegisterTable | Self::RegisterOverTable | Self::RegisterView => 0,
            Self::Transaction => 2,
        }
    }

    /// Prepares a registration. Returns the location of its document.
    async fn prepare(self, fixture: &Fixture, name: &str) -> String {
        let source = format!("{name}-source");
        match self {
            Self::RegisterTable | Self::RegisterOverTable => {
                fixture.create_table(&source).await.unwrap();
                let change = Change::by_catalog(0);
                let unregistered =
                    fixture.catalog.table_unregister_as_admin(&fixture.warehouse, named(&source), &change).await;
                unregistered.unwrap().location.clone()
            }
            Self::RegisterView => {
                let location = fixture.create_view(&source).await.unwrap().location.clone();
                let change = Change::by_catalog(0);
                fixture.catalog.view_drop_as_admin(&fixture.warehouse, &named(&source), &change).await.unwrap();
                location
            }
            _ => String::new(),
        }
    }

    async fn publish(self, fixture: &Fixture, name: &str, location: &str) -> Result<(), CatalogError> {
        let (catalog, warehouse, change) = (&fixture.catalog, &fixture.warehouse, &Change::by_catalog(0));
        let body = |name: &str| {
            let overwrite = self == Self::RegisterOverTable;
            json!({ "name": name, "metadata-location": location, "overwrite": overwrite }).to_string()
        };
        match self {
            Self::CreateTable => fixture.create_table(name).await.map(drop),
            Self::CreateView => fixture.create_view(name).await.map(drop),
            Self::CommitTable => fixture.commit(name).await.map(drop),
            Self::CommitView => {
                let commit = views::set(name);
                catalog.view_commit_as_admin(warehouse, named("v"), commit, change).await.map(drop)
            }
            Self::CommitStagedCreate => {
                let commit = transactions::creation(name);
                catalog.table_commit_as_admin(warehouse, named(name), commit, change).await.map(drop)
            }
            Self::RegisterTable | Self::RegisterOverTable => {
                let request = RegisterTable::parse(body(self.object(name)).as_bytes()).unwrap();
                catalog.table_register_as_admin(warehouse, &namespace(), request, change).await.map(drop)
            }
            Self::RegisterView => {
                let request = RegisterView::parse(body(name).as_bytes()).unwrap();
                catalog.view_register_as_admin(warehouse, &namespace(), request, change).await.map(drop)
            }
            Self::Transaction => {
                let commits = vec![named_commit(name), transactions::creation(name)];
                catalog.transaction_commit_as_admin(warehouse, commits, change).await
            }
        }
    }

    /// Returns the name of the table or view that it changes.
    const fn object(self, name: &str) -> &str {
        match self {
            Self::CommitTable => "t",
            Self::CommitView => "v",
            Self::RegisterOverTable => "over",
            _ => name,
        }
    }

    /// Returns whether the change happened. Fails if only a part of it did.
    async fn has_happened(self, fixture: &Fixture, name: &str, location: &str) -> bool {
        let object = named(self.object(name));
        let record = fixture.store.table_get(fixture.warehouse.warehouse_ref, &object).await.unwrap();
        match self {
            Self::CommitTable => fixture.has(name).await,
            Self::CommitView => {
                let view = fixture.catalog.view_load_as_admin(&fixture.warehouse, &object).await.unwrap();
                view.metadata.properties().contains_key(name)
            }
            Self::RegisterTable | Self::RegisterOverTable | Self::RegisterView => {
                record.is_some_and(|record| record.metadata_location == location)
            }
            Self::Transaction => {
                assert_eq!(fixture.has(name).await, record.is_some(), "all or none");
                record.is_some()
            }
            Self::CreateTable | Self::CreateView | Self::CommitStagedCreate => record.is_some(),
        }
    }
}

fn outcome_of(result: &Result<(), CatalogError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(CatalogError::Store(StoreError::Unavailable(_))) => Outcome::Unavailable,
        Err(CatalogError::Store(StoreError::Full(_))) => Outcome::Full,
        Err(CatalogError::CommitStateUnknown(..)) => Outcome::Unknown,
        Err(CatalogError::TableExists(_) | CatalogError::NameTaken { .. } | CatalogError::CommitFailed(_)) => {
            Outcome::Conflict
        }
        Err(error) => panic!("{error:?}"),
    }
}

async fn publish_with_every_fault(way: Way) {
    let fixture = Fixture::new().await;
    fixture.create_view("v").await.unwrap();
    fixture.create_table("over").await.unwrap();
    for (number, (fault, expected, happens, stays)) in [&FAULTS[..], &[overtaken(way)]].concat().into_iter().enumerate()
    {
        // One read is lost, and the transaction's other table shows the outcome.
        let is_told = (way, fault) == (Way::Transaction, Fault::DoneAndDeaf);
        let expected = if is_told { Outcome::Done } else { expected };
        let name = format!("n{number}");
        let location = way.prepare(&fixture, &name).await;
        let before = fixture.metadata_files();
        fixture.store.fail_next(fault);
        let result = way.publish(&fixture, &name, &location).await;
        assert_eq!(outcome_of(&result), expected, "{way:?} {fault:?}: {result:?}");
        assert_eq!(way.has_happened(&fixture, &name, &location).await, happens, "{way:?} {fault:?}");
        let documents = if stays { way.documents() } else { 0 };
        assert_eq!(fixture.metadata_files() - before, documents, "{way:?} {fault:?}: documents");
        if !happens {
            way.publish(&fixture, &name, &location).await.unwrap();
            assert!(way.has_happened(&fixture, &name, &location).await, "{way:?} {fault:?}: made again");
        }
    }
}

#[tokio::test]
async fn every_publication_handles_every_store_fault() {
    for way in WAYS {
        publish_with_every_fault(way).await;
    }
}

#[tokio::test]
async fn transaction_with_an_unwritable_document_leaves_none() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    let codec = json!({ "table-changes": [{ "identifier": { "namespace": ["ns"], "name": "t" }, "requirements": [],
        "updates": [{ "action": "set-properties", "updates": { "write.metadata.compression-codec": "zstd" } }] }] });
    let mut commits = TableCommit::parse_transaction(codec.to_string().as_bytes()).unwrap();
    commits.push(transactions::creation("new"));
    let refused = fixture
        .catalog
        .transaction_commit_as_admin(&fixture.warehouse, commits, &Change::by_catalog(0))
        .await
        .unwrap_err();
    assert!(matches!(&refused, CatalogError::BadRequest(message) if message.contains("(table ns.t)")), "{refused:?}");
    assert_eq!(fixture.metadata_files(), before);
}

fn named(name: &str) -> TableIdent {
    TableIdent::new(namespace(), name).unwrap()
}

impl Fixture {
    async fn create_table(&self, name: &str) -> Result<CreatedTable, CatalogError> {
        self.catalog
            .table_create_as_admin(&self.warehouse, &namespace(), create_request(name), &Change::by_catalog(0))
            .await
    }
}

#[tokio::test]
async fn commit_with_an_unreadable_answer_keeps_its_document() {
    let fixture = Fixture::new().await;
    fixture.store.fail_next(Fault::DoneUnreadable);
    fixture.commit("a").await.unwrap();
    assert!(fixture.has("a").await);
}

#[tokio::test]
async fn creation_with_lost_answer_is_acknowledged_after_a_rename() {
    let fixture = Fixture::new().await;
    let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
    fixture.store.fail_next(Fault::DoneUnheard);
    fixture.store.after_next_change(async move {
        catalog
            .table_rename_as_admin(&warehouse, &named("new"), &named("renamed"), &Change::by_catalog(0))
            .await
            .unwrap();
    });
    fixture.create_table("new").await.unwrap();
    fixture.catalog.table_load_as_admin(&fixture.warehouse, &named("renamed")).await.unwrap();
}

#[tokio::test]
async fn commit_with_lost_answer_is_acknowledged_after_a_rename() {
    let fixture = Fixture::new().await;
    let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
    fixture.store.fail_next(Fault::DoneUnheard);
    fixture.store.after_next_change(async move {
        catalog.table_rename_as_admin(&warehouse, &table(), &named("renamed"), &Change::by_catalog(0)).await.unwrap();
    });
    fixture.commit("a").await.unwrap();
}

#[tokio::test]
async fn transaction_with_lost_answer_is_acknowledged_after_its_new_table_was_replaced() {
    let fixture = Fixture::new().await;
    let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
    fixture.store.fail_next(Fault::DoneUnheard);
    fixture.store.after_next_change(async move {
        let change = Change::by_catalog(0);
        catalog.table_drop_as_admin(&warehouse, &named("a"), false, &change).await.unwrap();
        catalog.table_create_as_admin(&warehouse, &namespace(), create_request("a"), &change).await.unwrap();
    });
    let commits = vec![transactions::creation("a"), named_commit("a")];
    fixture.catalog.transaction_commit_as_admin(&fixture.warehouse, commits, &Change::by_catalog(0)).await.unwrap();
    assert!(fixture.has("a").await);
}
