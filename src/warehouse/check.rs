//! Tests a warehouse's storage as the catalog and its clients use it, and reports the outcome of each step.

use bytes::Bytes;
use tidewater_core::location::Location;
use tidewater_core::storage::{Access, Wanted};

use super::OpenWarehouse;
use crate::base::clock::{Clock, fresh_uuid};
use crate::storage::{Budget, OpenError, Setup, Storage, StorageCredentials, StorageError};
use crate::vending::{Ask, SigningTrial, ValidLocations, Vending};

/// A step of the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// The step's name, for people.
    pub what: &'static str,
    /// The outcome: success with a remark, or the fault and its remedy.
    pub outcome: Result<String, String>,
}

/// The objects of the test.
struct Trial<'a> {
    warehouse: &'a OpenWarehouse,
    /// A folder in place of a table.
    own: Location,
    /// A folder in place of another table. Its name begins with the name of the first.
    sibling: Location,
}

/// Writes, reads, lists and removes objects in a new folder below the warehouse's root. Then does the same with vended
/// credentials, which must reach that folder and no other. Passes each step to `tell` as it ends. Leaves no objects behind.
///
/// Returns whether all steps succeeded.
pub(super) async fn warehouse_check(
    warehouse: &OpenWarehouse,
    clock: &Clock,
    mut tell: impl FnMut(&CheckStep),
) -> bool {
    let name = format!("tidewater-check-{}", fresh_uuid());
    let (Ok(own), Ok(sibling)) = (warehouse.root.join(&name), warehouse.root.join(&format!("{name}-2"))) else {
        return false;
    };
    let trial = Trial { warehouse, own, sibling };
    let mut all_well = true;
    let mut note = |what, outcome: Result<String, String>| {
        all_well &= outcome.is_ok();
        let step = CheckStep { what, outcome };
        tell(&step);
        step.outcome.is_ok()
    };
    if note("write an object", trial.write().await) {
        note("refuse to overwrite it", trial.overwrite().await);
        note("read it", trial.read().await);
        note("list its folder", trial.list().await);
        note("vend credentials", trial.vend(clock).await);
        if let Some(outcome) = trial.sign(clock).await {
            note("sign requests", outcome);
        }
        note("remove it", trial.remove().await);
    }
    all_well
}

impl Trial<'_> {
    fn storage(&self) -> &Storage {
        &self.warehouse.storage
    }

    /// Returns the remedy for an error.
    fn advice(&self, error: &StorageError) -> String {
        let general = match error {
            StorageError::Refused { .. } => self.warehouse.vendor.advice().when_refused,
            StorageError::NotFound(_) => self.warehouse.vendor.advice().when_not_found,
            StorageError::Unavailable { .. } => self.warehouse.vendor.advice().when_unavailable,
            StorageError::NoCredentials { .. } => return with_causes(error),
            StorageError::NoSpace { .. } => "free some space there",
            StorageError::AlreadyExists(_)
            | StorageError::Elsewhere(_)
            | StorageError::Impossible(_)
            | StorageError::BelowFile { .. }
            | StorageError::TooLarge { .. } => return error.to_string(),
        };
        let said = with_causes(error);
        // The store's own error code helps most; the rest of its answer is request ids.
        match (code_in(&said), error.hint()) {
            (Some(code), Some(hint)) => format!("the store says {code}: {hint}"),
            (Some(code), None) => format!("the store says {code}: {general}"),
            // The message has the hint already.
            (None, Some(_)) => said,
            (None, None) => format!("{said}; {general}"),
        }
    }

    async fn write(&self) -> Result<String, String> {
        for folder in [&self.own, &self.sibling] {
            let created = self.storage().create(&object(folder)?, Bytes::from_static(b"tidewater")).await;
            created.map_err(|error| self.advice(&error))?;
        }
        Ok(format!("below {}", self.warehouse.root))
    }

    async fn overwrite(&self) -> Result<String, String> {
        match self.storage().create(&object(&self.own)?, Bytes::from_static(b"other")).await {
            Err(StorageError::AlreadyExists(_)) => Ok(String::new()),
            Err(error) => Err(self.advice(&error)),
            Ok(()) if !self.warehouse.storage.is_conditional() => {
                Ok("the store was not asked to: `conditional-writes` is off".to_owned())
            }
            Ok(()) => Err(format!("the store wrote over it: {}", self.warehouse.vendor.advice().when_overwritten)),
        }
    }

    async fn read(&self) -> Result<String, String> {
        self.storage().read(&object(&self.own)?).await.map(|_| String::new()).map_err(|error| self.advice(&error))
    }

    async fn list(&self) -> Result<String, String> {
        let found = self.storage().list(&self.own, 10).await.map_err(|error| self.advice(&error))?;
        if found.contains(&object(&self.own)?) { Ok(String::new()) } else { Err("it is not in the list".to_owned()) }
    }

    async fn remove(&self) -> Result<String, String> {
        for folder in [&self.own, &self.sibling] {
            self.storage().remove(&object(folder)?).await.map_err(|error| self.advice(&error))?;
            self.storage().remove_empty(folder).await;
        }
        match self.storage().read(&object(&self.own)?).await {
            Err(StorageError::NotFound(_)) => Ok(String::new()),
            Ok(_) => Err("it is still there".to_owned()),
            Err(error) => Err(self.advice(&error)),
        }
    }

    async fn vend(&self, clock: &Clock) -> Result<String, String> {
        let vendor = &self.warehouse.vendor;
        let locations =
            ValidLocations::from_folder(&self.own, &self.warehouse.root).map_err(|error| error.to_string())?;
        let wanted = Wanted::Said { vended_credentials: true, remote_signing: false };
        let access = Access::new(true, self.warehouse.options.no_delete);
        let ask = Ask { locations: &locations, access, wanted, path: "", pass: None };
        let vended = Vending::new(clock.clone()).vend(vendor, self.storage().id(), &ask).await;
        let vended = vended.map_err(|error| error.to_string())?;
        let Some(credentials) = vended.credentials.first().and_then(|given| vendor.as_credentials(&given.config))
        else {
            return Ok(format!("there are none to vend: {}", vendor.advice().why_none));
        };
        let client = self.as_client(&credentials).map_err(|error| error.to_string())?;
        client.read(&object(&self.own)?).await.map_err(|error| match error {
            StorageError::Refused { .. } => {
                format!("they do not read their table: {error}; {}", vendor.advice().when_vended_is_refused)
            }
            _ => format!("they do not read their table: {error}"),
        })?;
        let second = self.own.join("second").map_err(|error| error.to_string())?;
        let written = client.create(&second, Bytes::from_static(b"tidewater")).await;
        written.map_err(|error| format!("they do not write to their table: {error}"))?;
        let removed = client.remove(&second).await;
        match access {
            Access::ReadWriteNoDelete => {
                let removed_by_us = self.storage().remove(&second).await;
                removed_by_us.map_err(|error| self.advice(&error))?;
                match removed {
                    Err(StorageError::Refused { .. }) => {}
                    Err(error) => return Err(format!("a removal with them failed for another reason: {error}")),
                    Ok(()) => return Err("they remove files from their table, and should not".to_owned()),
                }
            }
            _ => removed.map_err(|error| format!("they do not remove from their table: {error}"))?,
        }
        match client.read(&object(&self.sibling)?).await {
            Err(StorageError::Refused { .. }) => Ok("they reach their table and no other".to_owned()),
            Err(error) => Err(format!("a read of another table with them failed for another reason: {error}")),
            Ok(_) => Err(format!("they reach other tables too: {}", vendor.advice().when_too_wide)),
        }
    }

    /// Tests signed requests. Returns none if the warehouse signs no requests.
    async fn sign(&self, clock: &Clock) -> Option<Result<String, String>> {
        let there = object(&self.own).ok()?;
        let new = self.own.join("signed").ok()?;
        let other = object(&self.sibling).ok()?;
        let locations = ValidLocations::from_folder(&self.own, &self.warehouse.root).ok()?;
        let trial = SigningTrial { locations: &locations, there: &there, new: &new, other: &other };
        let outcome = self.warehouse.vendor.try_signing(&trial, Budget::default(), clock.now_ms()).await?;
        let removed = self.storage().remove(&new).await.map_err(|error| self.advice(&error));
        Some(outcome.and(removed).map(|()| "they reach their table, and no write can be made a copy".to_owned()))
    }

    /// Opens the storage with vended credentials, as a client does.
    fn as_client(&self, credentials: &StorageCredentials) -> Result<Storage, OpenError> {
        let Some(profile) = self.warehouse.vendor.profile() else { return Ok(self.storage().clone()) };
        Storage::open(&Setup {
            id: fresh_uuid(),
            root: &self.warehouse.root,
            profile: &profile,
            credentials,
            budget: Budget::default(),
        })
    }
}

/// Returns the error code in a store's XML, such as `NoSuchBucket`.
fn code_in(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

fn object(folder: &Location) -> Result<Location, String> {
    folder.join("first").map_err(|error| error.to_string())
}

/// Returns an error's message with the causes that it does not contain already.
fn with_causes(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.extend([": ", &message]);
        }
        cause = error.source();
    }
    text
}
