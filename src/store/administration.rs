//! What administration asks of a store beside the basics: changes of organisations and keys, their end, and usage over days.

use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::{ApiKey, Change, Deletion, Organisation, Page, PageRequest, Result};

/// What is changed of an organisation. What is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganisationUpdate {
    /// Its new name.
    pub name: Option<String>,
    /// Its new tier.
    pub tier: Option<String>,
    /// Whether it is suspended.
    pub suspended: Option<bool>,
}

/// What is changed of an API key. What is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyUpdate {
    /// Its new name.
    pub name: Option<String>,
    /// Its new role.
    pub role: Option<Role>,
    /// From when it is refused, in milliseconds since 1970, or that it never is.
    pub expires_ms: Option<Option<i64>>,
    /// Whether what is vended for it removes no files.
    pub no_delete: Option<bool>,
}

/// How many requests a key sent on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key's organisation.
    pub organisation: OrganisationId,
    /// The day (UTC), counted from 1970-01-01.
    pub day: i64,
    /// The key.
    pub key: KeyId,
    /// How many requests.
    pub requests: u64,
}

/// Organisations and keys over their life, and usage over days.
#[async_trait]
pub trait AdministrationStore: Send + Sync + 'static {
    /// Returns the organisation of that id.
    async fn organisation_get(&self, id: OrganisationId) -> Result<Option<Organisation>>;

    /// Lists organisations by name.
    async fn organisation_page(&self, page: &PageRequest) -> Result<Page<Organisation>>;

    /// Changes an organisation, and writes an event for each thing that becomes different. Returns it as it is then.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` when the name is taken.
    async fn organisation_update(
        &self,
        id: OrganisationId,
        update: &OrganisationUpdate,
        change: &Change,
    ) -> Result<Organisation>;

    /// Marks an organisation to be deleted, in place of an earlier mark.
    ///
    /// # Errors
    /// `NotFound`.
    async fn organisation_delete(&self, id: OrganisationId, deletion: Deletion, change: &Change) -> Result<()>;

    /// Takes back that an organisation is to be deleted. Returns it as it is then.
    ///
    /// # Errors
    /// `NotFound`; `NotRestorable` when its time is over at the time of the change.
    async fn organisation_restore(&self, id: OrganisationId, change: &Change) -> Result<Organisation>;

    /// Lists organisations whose rows are to be removed at `now_ms`, those that wait longest first.
    async fn organisation_due(&self, now_ms: i64, at_most: u32) -> Result<Vec<Organisation>>;

    /// Removes up to `at_most` rows of an organisation that is due at the time of the change, or with the last of them the
    /// organisation itself, and then writes the event of it, which belongs to the server. If its files are to be purged,
    /// tables are dropped with a purge first, and nothing else is removed until that has ended. Returns how far it came.
    async fn organisation_forget(&self, id: OrganisationId, at_most: u32, change: &Change) -> Result<Forgotten>;

    /// Changes a key. Returns it as it is then.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no such key, or it is revoked.
    async fn key_update(
        &self,
        organisation: OrganisationId,
        id: KeyId,
        update: &KeyUpdate,
        change: &Change,
    ) -> Result<ApiKey>;

    /// Adds a key in the place of another, which ends at `ends_ms` unless it ends before.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no such key, or it is revoked; `AlreadyExists` when it was rotated before, and as for a
    /// key that is created.
    async fn key_rotate(&self, old: KeyId, ends_ms: i64, new: &ApiKey, change: &Change) -> Result<()>;

    /// Adds to how many requests keys sent. Keys that do not exist any more are passed over.
    async fn key_usage_add(&self, usage: &[KeyUsage]) -> Result<()>;

    /// Lists how many requests an organisation's keys sent on the days from `from` to `to`, both included, by day and key.
    async fn key_usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<KeyUsage>>;

    /// Lists the days from `from` to `to`, both included, on which an organisation took requests, with how many.
    async fn usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<(i64, u64)>>;
}

/// How far the removal of an organisation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// There is more to remove now.
    More,
    /// The files of its tables are being purged first.
    Waiting,
    /// It is gone, or is not to be deleted any more.
    All,
}
