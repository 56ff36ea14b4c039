//! The methods of administration: each clones its arguments and runs on a connection.

use async_trait::async_trait;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::{SqliteStore, forget, keys, organisations, usage};
use crate::store::{
    AdministrationStore, ApiKey, Change, Deletion, Forgotten, KeyUpdate, KeyUsage, Organisation, OrganisationUpdate,
    Page, PageRequest, Result,
};

#[async_trait]
impl AdministrationStore for SqliteStore {
    async fn organisation_get(&self, id: OrganisationId) -> Result<Option<Organisation>> {
        self.read(|connection| organisations::organisation_get(connection, id))
    }

    async fn organisation_page(&self, page: &PageRequest) -> Result<Page<Organisation>> {
        let page = page.clone();
        self.read_list(None, move |connection| organisations::organisation_page(connection, &page)).await
    }

    async fn organisation_update(
        &self,
        id: OrganisationId,
        update: &OrganisationUpdate,
        change: &Change,
    ) -> Result<Organisation> {
        let (update, change) = (update.clone(), change.clone());
        self.write(move |connection| organisations::organisation_update(connection, id, &update, &change)).await
    }

    async fn organisation_delete(&self, id: OrganisationId, deletion: Deletion, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| organisations::organisation_delete(connection, id, deletion, &change)).await
    }

    async fn organisation_restore(&self, id: OrganisationId, change: &Change) -> Result<Organisation> {
        let change = change.clone();
        self.write(move |connection| organisations::organisation_restore(connection, id, &change)).await
    }

    async fn organisation_due(&self, now_ms: i64, at_most: u32) -> Result<Vec<Organisation>> {
        self.read_list(None, move |connection| organisations::organisation_due(connection, now_ms, at_most)).await
    }

    async fn organisation_forget(&self, id: OrganisationId, at_most: u32, change: &Change) -> Result<Forgotten> {
        let change = change.clone();
        self.write(move |connection| forget::organisation_forget(connection, id, at_most, &change)).await
    }

    async fn key_update(
        &self,
        organisation: OrganisationId,
        id: KeyId,
        update: &KeyUpdate,
        change: &Change,
    ) -> Result<ApiKey> {
        let (update, change) = (update.clone(), change.clone());
        self.write(move |connection| keys::key_update(connection, organisation, id, &update, &change)).await
    }

    async fn key_rotate(&self, old: KeyId, ends_ms: i64, new: &ApiKey, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| keys::key_rotate(connection, old, ends_ms, &new, &change)).await
    }

    async fn key_usage_add(&self, usage: &[KeyUsage]) -> Result<()> {
        let usage = usage.to_vec();
        self.write(move |connection| usage::key_usage_add(connection, &usage)).await
    }

    async fn key_usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<KeyUsage>> {
        self.read_list(Some(organisation), move |connection| usage::key_usage_list(connection, organisation, from, to))
            .await
    }

    async fn usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<(i64, u64)>> {
        self.read_list(Some(organisation), move |connection| usage::usage_list(connection, organisation, from, to))
            .await
    }
}
