//! Administration: changes of organisations and keys, their deletion, and usage by day.

use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::{ApiKey, Change, Deletion, Organisation, Page, PageRequest, Result};

/// Changes of an organisation. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganisationUpdate {
    /// Its new name.
    pub name: Option<String>,
    /// Its new tier.
    pub tier: Option<String>,
    /// Whether it is suspended.
    pub suspended: Option<bool>,
}

/// Changes of an API key. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyUpdate {
    /// Its new name.
    pub name: Option<String>,
    /// Its new role.
    pub role: Option<Role>,
    /// Its new expiry, in milliseconds since 1970; `Some(None)` for a key that never expires.
    pub expires_ms: Option<Option<i64>>,
    /// Whether credentials vended for it cannot delete files.
    pub no_delete: Option<bool>,
    /// Whether its holder is an engine that may act for users.
    pub acts_for_users: Option<bool>,
}

/// The number of requests that a key sent on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key's organisation.
    pub organisation: OrganisationId,
    /// The day (UTC), counted from 1970-01-01.
    pub day: i64,
    /// The key.
    pub key: KeyId,
    /// The number of requests.
    pub requests: u64,
}

/// Updates, deletes and restores organisations, updates and rotates keys, and counts their usage by day.
#[async_trait]
pub trait AdministrationStore: Send + Sync + 'static {
    /// Returns the organisation with the id.
    async fn organisation_get(&self, id: OrganisationId) -> Result<Option<Organisation>>;

    /// Lists organisations by name.
    async fn organisation_page(&self, page: &PageRequest) -> Result<Page<Organisation>>;

    /// Changes an organisation, and writes an event for each field that differs afterwards. Returns the changed organisation.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` when the name is taken.
    async fn organisation_update(
        &self,
        id: OrganisationId,
        update: &OrganisationUpdate,
        change: &Change,
    ) -> Result<Organisation>;

    /// Schedules the deletion of an organisation, in place of an earlier schedule.
    ///
    /// # Errors
    /// `NotFound`.
    async fn organisation_delete(&self, id: OrganisationId, deletion: Deletion, change: &Change) -> Result<()>;

    /// Cancels the deletion of an organisation. Returns the organisation after the change.
    ///
    /// # Errors
    /// `NotFound`; `NotRestorable` when its grace time has ended at the time of the change.
    async fn organisation_restore(&self, id: OrganisationId, change: &Change) -> Result<Organisation>;

    /// Lists organisations whose grace time has ended at `now_ms`, the longest overdue first.
    async fn organisation_due(&self, now_ms: i64, at_most: u32) -> Result<Vec<Organisation>>;

    /// Removes up to `at_most` rows of an organisation whose grace time has ended at the time of the change. When no rows are
    /// left, removes the organisation itself and writes the event, which belongs to the server. If its files are to be purged,
    /// drops its tables with a purge first, and removes nothing else until the purges have ended. Returns how far it came.
    async fn organisation_forget(&self, id: OrganisationId, at_most: u32, change: &Change) -> Result<Forgotten>;

    /// Changes a key. Returns the changed key.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no key with the id, or the key is revoked; `AlreadyExists` when the key gets a new name or
    /// becomes usable again, and another key that is usable at the time of the change has the name.
    async fn key_update(
        &self,
        organisation: OrganisationId,
        id: KeyId,
        update: &KeyUpdate,
        change: &Change,
    ) -> Result<ApiKey>;

    /// Adds a key as the successor of `old`, which expires at `ends_ms` unless it expires earlier.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no key with the id, or the key is revoked; `AlreadyExists` when it was rotated before,
    /// or when the new key's id or digest is taken. The new key may have the old one's name.
    async fn key_rotate(&self, old: KeyId, ends_ms: i64, new: &ApiKey, change: &Change) -> Result<()>;

    /// Adds to the counts of requests that keys sent. Ignores keys that no longer exist.
    async fn key_usage_add(&self, usage: &[KeyUsage]) -> Result<()>;

    /// Lists the requests that an organisation's keys sent from day `from` to day `to`, both included, by day and key.
    async fn key_usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<KeyUsage>>;

    /// Lists the days from `from` to `to`, both included, on which an organisation sent requests, with the number of requests.
    async fn usage_list(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<(i64, u64)>>;
}

/// The progress of an organisation's removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// There are more rows to remove.
    More,
    /// The purges of its tables have to end first.
    Waiting,
    /// The organisation is removed, or its deletion was cancelled.
    All,
}
