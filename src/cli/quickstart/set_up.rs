//! Creates the quickstart's organisation, warehouse, key and sample table. Each step first checks whether it is done, so a
//! start completes the work of a start that was killed.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use tidewater_core::access::Role;
use tidewater_core::commit::{CreateTable, TableCommit};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::memory::Memory;
use super::moved;
use tidewater::access::{Authorizer, Namespace, Principal, action};
use tidewater::auth::entropy;
use tidewater::auth::key::{digest, key_text};
use tidewater::base::clock::{Clock, fresh_ordered_uuid};
use tidewater::catalog::{Catalog, CatalogError};
use tidewater::sample;
use tidewater::store::{
    Actor, ApiKey, Change, Organisation, Properties, Store, Warehouse, WarehouseOptions, WarehouseStorage,
};
use tidewater::warehouse::OpenWarehouse;

/// The name of the organisation, the warehouse and the key.
pub(super) const NAME: &str = "quickstart";

const TIER: &str = "enterprise";

/// Creates all missing objects. Returns the key's text.
pub(super) async fn complete(store: &dyn Store, catalog: &Arc<Catalog>, data_dir: &Path) -> Result<String> {
    let change = Change::by(Actor::CommandLine(None), Clock::System.now_ms());
    let organisation = ensure_organisation(store, &change).await?;
    ensure_warehouse(store, organisation, data_dir, &change).await?;
    let mut memory = ensure_key(store, organisation, data_dir, &change).await?;
    if !memory.sample_complete {
        let warehouse = catalog.warehouse(organisation, Some(NAME)).await?;
        ensure_sample(catalog, &warehouse, &change).await.context("cannot create the sample table")?;
        memory.sample_complete = true;
        memory.write(data_dir)?;
    }
    Ok(memory.api_key)
}

async fn ensure_organisation(store: &dyn Store, change: &Change) -> Result<OrganisationId> {
    if let Some(found) = store.organisation_by_name(NAME).await? {
        return Ok(found.id);
    }
    let id = OrganisationId(fresh_ordered_uuid());
    let new = Organisation::new(id, NAME, TIER, change.at_ms);
    store.organisation_create(&new, change).await?;
    Ok(id)
}

async fn ensure_warehouse(
    store: &dyn Store,
    organisation: OrganisationId,
    data_dir: &Path,
    change: &Change,
) -> Result<()> {
    if let Some(found) = store.warehouse_list(organisation).await?.iter().find(|warehouse| warehouse.name == NAME) {
        return Ok(moved::check(&found.root, data_dir)?);
    }
    let folder = data_dir.join(moved::WAREHOUSE);
    let folder = folder.to_str().ok_or_else(|| anyhow!("the data folder's name is not Unicode: choose another"))?;
    let root =
        Location::parse(folder).context("tables cannot be put into the data folder: choose another --data-dir")?;
    let new = Warehouse {
        id: WarehouseId(fresh_ordered_uuid()),
        organisation,
        name: NAME.to_owned(),
        root: root.to_string(),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: true,
        created_ms: change.at_ms,
    };
    Ok(store.warehouse_create(&new, change).await?)
}

/// Creates the key, or returns the existing one. Writes the file before the store: if the process is killed in between, the
/// next start adds the key to the store.
async fn ensure_key(
    store: &dyn Store,
    organisation: OrganisationId,
    data_dir: &Path,
    change: &Change,
) -> Result<Memory> {
    let remembered = Memory::read(data_dir)?;
    let known = match &remembered {
        Some(memory) => store.key_by_digest(&digest(memory.api_key.as_bytes())).await?.map(|(key, _)| key),
        None => None,
    };
    let memory = match (remembered, &known) {
        (Some(memory), Some(key)) if key.revoked_ms.is_none() => return Ok(memory),
        (Some(memory), None) => memory,
        (revoked, _) => {
            let sample_complete = revoked.is_some_and(|memory| memory.sample_complete);
            let memory = Memory { api_key: key_text(&entropy()?).expose().clone(), sample_complete };
            memory.write(data_dir)?;
            memory
        }
    };
    // A quickstart key whose text is lost would stay valid for ever, and nobody could use it.
    for lost in store.key_list(organisation).await? {
        if lost.name == NAME && lost.revoked_ms.is_none() {
            store.key_revoke(organisation, lost.id, change).await?;
        }
    }
    let id = fresh_ordered_uuid();
    let new = ApiKey {
        id: KeyId(id),
        organisation,
        principal: PrincipalId(id),
        name: NAME.to_owned(),
        role: Role::Admin,
        no_delete: false,
        acts_for_users: false,
        digest: digest(memory.api_key.as_bytes()),
        created_ms: change.at_ms,
        expires_ms: None,
        last_used_ms: None,
        revoked_ms: None,
    };
    store.key_create(&new, change).await?;
    Ok(memory)
}

/// Creates and fills the sample table with a client's requests, which pass the same checks of access.
async fn ensure_sample(catalog: &Arc<Catalog>, warehouse: &Arc<OpenWarehouse>, change: &Change) -> Result<()> {
    let machine = Principal::administrator(warehouse.warehouse_ref.organisation, change.actor.clone(), None);
    let namespace = NamespaceIdent::new(&[sample::NAMESPACE])?;
    let object = Namespace { warehouse: Arc::clone(warehouse), ident: namespace.clone() };
    let new = Authorizer::<action::CreateNamespace>::new(machine.clone())?.permit(object.clone())?;
    match catalog.namespace_create(&new, &Properties::new(), change).await {
        Ok(()) | Err(CatalogError::NamespaceExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let request = CreateTable::parse(&serde_json::to_vec(&sample::create_request())?)?;
    let parent = Authorizer::<action::CreateTable>::new(machine.clone())?.permit(object)?;
    match catalog.table_create(&parent, request, change).await {
        Ok(_) | Err(CatalogError::TableExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let ident = TableIdent::new(namespace, sample::TABLE)?;
    loop {
        let load = Authorizer::<action::LoadTable>::new(machine.clone())?;
        let table = catalog.table_find(load, Arc::clone(warehouse), ident.clone()).await?;
        let json = catalog.table_load(&table).await?.document.json.clone();
        let batch = snapshot_count(&json)?;
        let last = batch >= sample::BATCHES;
        let body = if last {
            sample::finish(&json).await?
        } else {
            sample::append(&json, batch, Clock::System.now_ms()).await?
        };
        let commit = Authorizer::<action::CommitTable>::new(machine.clone())?;
        let table = catalog.commit_find(commit, Arc::clone(warehouse), ident.clone(), false).await?;
        catalog.table_commit(table, TableCommit::parse(&body)?, change).await?;
        if last {
            return Ok(());
        }
    }
}

/// Counts the snapshots in a metadata document. Each batch of the sample is one snapshot.
fn snapshot_count(metadata_json: &[u8]) -> Result<usize> {
    let metadata: serde_json::Value = serde_json::from_slice(metadata_json)?;
    Ok(metadata["snapshots"].as_array().map_or(0, Vec::len))
}
