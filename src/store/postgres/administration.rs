//! The methods of administration. Each is written where its rows are.

use async_trait::async_trait;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::PostgresStore;
use crate::store::{
    AdministrationStore, ApiKey, Change, Deletion, Forgotten, KeyUpdate, KeyUsage, Organisation, OrganisationUpdate,
    Page, PageRequest, Result,
};

#[async_trait]
impl AdministrationStore for PostgresStore {
    async fn organisation_get(&self, id: OrganisationId) -> Result<Option<Organisation>> {
        self.get_organisation(id).await
    }

    async fn organisation_page(&self, page: &PageRequest) -> Result<Page<Organisation>> {
        self.list_organisations(page).await
    }

    async fn organisation_update(
        &self,
        id: OrganisationId,
        update: &OrganisationUpdate,
        change: &Change,
    ) -> Result<Organisation> {
        self.update_organisation(id, update, change).await
    }

    async fn organisation_delete(&self, id: OrganisationId, deletion: Deletion, change: &Change) -> Result<()> {
        self.delete_organisation(id, deletion, change).await
    }

    async fn organisation_restore(&self, id: OrganisationId, change: &Change) -> Result<Organisation> {
        self.restore_organisation(id, change).await
    }

    async fn organisation_due(&self, now_ms: i64, at_most: u32) -> Result<Vec<Organisation>> {
        self.list_due_organisations(now_ms, at_most).await
    }

    async fn organisation_forget(&self, id: OrganisationId, at_most: u32, change: &Change) -> Result<Forgotten> {
        self.forget_organisation(id, at_most, change).await
    }

    async fn key_update(
        &self,
        organisation: OrganisationId,
        id: KeyId,
        update: &KeyUpdate,
        change: &Change,
    ) -> Result<ApiKey> {
        self.update_key(organisation, id, update, change).await
    }

    async fn key_rotate(&self, old: KeyId, ends_ms: i64, new: &ApiKey, change: &Change) -> Result<()> {
        self.rotate_key(old, ends_ms, new, change).await
    }

    async fn key_usage_add(&self, usage: &[KeyUsage]) -> Result<()> {
        self.add_key_usage(usage).await
    }

    async fn key_usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<KeyUsage>> {
        self.list_key_usage(organisation, from, to).await
    }

    async fn usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<(i64, u64)>> {
        self.list_usage(organisation, from, to).await
    }
}
