//! Organisations: create, show, list, change, suspend, delete and restore.

use tidewater_core::access::check_organisation_name;
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::{serving_tier, smallest_tier};
use uuid::Uuid;

use super::limits::GRACE_S;
use super::{Admin, AdminError};
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{Change, Deletion, Organisation, OrganisationUpdate, Page, PageRequest, Resource, StoreError};

/// The default time for which a deleted organisation can be restored, in seconds: 7 days.
const DEFAULT_GRACE_S: u64 = 604_800;

/// Options of a deletion. A field that is `None` keeps the value of an earlier request, or else the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// For how long it can be restored, in seconds.
    pub grace_s: Option<u64>,
    /// Whether the files of its tables are removed.
    pub purge: Option<bool>,
}

/// The contents of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganisationDetails {
    /// The names of its warehouses.
    pub warehouses: Vec<String>,
    /// The number of its keys that are not revoked.
    pub keys: usize,
    /// The number of its tables and views.
    pub tables: u64,
}

impl Admin {
    /// Creates an organisation. Without a tier, chooses the smallest one that includes the catalog.
    ///
    /// # Errors
    /// `Invalid`; `Exists`.
    pub async fn organisation_create(
        &self,
        name: &str,
        tier: Option<&str>,
        change: &Change,
    ) -> Result<Organisation, AdminError> {
        check_name(name)?;
        let tier = tier.or_else(|| smallest_tier(&self.config.tiers)).ok_or_else(|| {
            AdminError::Invalid("No configured tier includes the catalog: name one in `tier`".to_owned())
        })?;
        self.check_tier(tier)?;
        let new = Organisation::new(OrganisationId(fresh_ordered_uuid()), name, tier, change.at_ms);
        self.store.organisation_create(&new, change).await.map_err(|error| about(name, error))?;
        Ok(new)
    }

    /// Lists organisations by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn organisation_list(&self, page: &PageRequest) -> Result<Page<Organisation>, AdminError> {
        Ok(self.store.organisation_page(page).await?)
    }

    /// Returns the organisation of that id or name.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn organisation_find(&self, named: &str) -> Result<Organisation, AdminError> {
        let found = match named.parse() {
            Ok(id) => self.store.organisation_get(OrganisationId(id)).await?,
            Err(_) => self.store.organisation_by_name(named).await?,
        };
        found.ok_or_else(|| AdminError::no_such_organisation(named))
    }

    /// Returns the contents of an organisation.
    ///
    /// # Errors
    /// `Store`.
    pub async fn organisation_details(&self, id: OrganisationId) -> Result<OrganisationDetails, AdminError> {
        let warehouses = self.store.warehouse_list(id).await?;
        let keys = self.store.key_list(id).await?;
        Ok(OrganisationDetails {
            warehouses: warehouses.into_iter().map(|warehouse| warehouse.name).collect(),
            keys: keys.iter().filter(|key| key.revoked_ms.is_none()).count(),
            tables: self.store.table_count(id).await?,
        })
    }

    /// Returns the name of the tier that serves an organisation. It is another tier if its own is not configured, and `None`
    /// if no tier includes the catalog.
    #[must_use]
    pub fn serving_tier(&self, organisation: &Organisation) -> Option<&str> {
        serving_tier(&self.config.tiers, &organisation.tier)
    }

    /// Changes an organisation's name or tier, or suspends or resumes it. The keys of a suspended organisation are refused.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `Exists`.
    pub async fn organisation_update(
        &self,
        id: OrganisationId,
        update: &OrganisationUpdate,
        change: &Change,
    ) -> Result<Organisation, AdminError> {
        update.name.as_deref().map_or(Ok(()), check_name)?;
        update.tier.as_deref().map_or(Ok(()), |tier| self.check_tier(tier))?;
        let named = update.name.clone().unwrap_or_else(|| id.to_string());
        let updated = self.store.organisation_update(id, update, change).await;
        updated.map_err(|error| about(&named, error))
    }

    /// Marks an organisation as deleted. Its keys are refused from then on. After the grace time, a background task removes its
    /// rows. A second request without options changes nothing. A second request with `grace_s` starts the grace time again.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `Conflict` if its rows are being removed already.
    pub async fn organisation_delete(
        &self,
        organisation: &Organisation,
        request: DeleteRequest,
        change: &Change,
    ) -> Result<Deletion, AdminError> {
        // The first end stays, whatever grace time is asked for again: a repeated request does not put it off.
        let known = organisation.standing.deletion;
        if let Some(known) = known {
            if request.purge.is_none_or(|purge| purge == known.purge) {
                return Ok(known);
            }
            if known.after_ms <= change.at_ms {
                return Err(AdminError::Conflict(format!("Organisation '{}' is being removed", organisation.name)));
            }
        }
        if request.grace_s.is_some_and(|grace_s| grace_s > GRACE_S) {
            return Err(AdminError::Invalid(format!("`grace-s` must be at most {GRACE_S}")));
        }
        let grace_ms = millis(request.grace_s.unwrap_or(DEFAULT_GRACE_S));
        let after_ms = known.map_or_else(|| change.at_ms.saturating_add(grace_ms), |known| known.after_ms);
        let purge = request.purge.unwrap_or(known.is_some_and(|known| known.purge));
        let deletion = Deletion { after_ms, purge };
        let marked = self.store.organisation_delete(organisation.id, deletion, change).await;
        marked.map_err(|error| about(&organisation.name, error))?;
        Ok(deletion)
    }

    /// Restores an organisation that is marked as deleted.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if the grace time is over.
    pub async fn organisation_restore(
        &self,
        organisation: &Organisation,
        change: &Change,
    ) -> Result<Organisation, AdminError> {
        let restored = self.store.organisation_restore(organisation.id, change).await;
        restored.map_err(|error| about(&organisation.name, error))
    }

    pub(super) fn check_tier(&self, tier: &str) -> Result<(), AdminError> {
        if self.config.tiers.contains_key(tier) {
            return Ok(());
        }
        let known: Vec<&str> = self.config.tiers.keys().map(String::as_str).collect();
        let tier: String = tier.chars().take(64).collect();
        Err(AdminError::Invalid(format!(
            "There is no tier '{tier}': use one of {}, or define it in the server's configuration and reload that",
            known.join(", ")
        )))
    }
}

/// Converts seconds to milliseconds.
pub(super) fn millis(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

/// Checks an organisation's name. Refuses a UUID, because organisations are also found by their id.
fn check_name(name: &str) -> Result<(), AdminError> {
    check_organisation_name(name)?;
    if name.parse::<Uuid>().is_ok() {
        return Err(AdminError::Invalid(format!("'{name}' cannot be an organisation's name: it looks like an id")));
    }
    Ok(())
}

fn about(name: &str, error: StoreError) -> AdminError {
    match error {
        StoreError::NotFound(Resource::Organisation) => AdminError::no_such_organisation(name),
        StoreError::AlreadyExists(Resource::Organisation) => {
            AdminError::Exists(format!("Organisation '{name}' exists already"))
        }
        StoreError::NotRestorable(_) => AdminError::Conflict(format!(
            "Organisation '{name}' can no longer be restored: its grace time is over and it is being removed"
        )),
        error => AdminError::Store(error),
    }
}
