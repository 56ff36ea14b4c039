//! Users.

use async_trait::async_trait;
use serde_json::{Value, json};
use tidewater_core::ids::{OrganisationId, PrincipalId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::{details, event_add};
use super::generations::raise;
use super::group_roles::set_group_roles;
use super::keys::role;
use super::organisations::{organisation_at, organisation_columns};
use super::pages::{after_id, one_more, page_of};
use super::params::params;
use super::roles::added;
use super::state_rows::{self, Added, Affected};
use crate::store::{
    Actor, Change, EventDetails, EventObject, ObjectKind, Operation, Organisation, Page, PageRequest, Resource, Result,
    SignedInUser, StoreError, User, UserSignIn, UserStore, UserUpdate,
};

macro_rules! user_columns {
    () => {
        "principal.id, principal.organisation, principal.issuer, principal.subject, principal.name, principal.email,
         principal.role, principal.no_delete, principal.created_ms, principal.last_seen_ms, principal.disabled_ms,
         principal.issued_ms"
    };
}

/// The number of columns of a user.
const COLUMNS: usize = 12;

/// Selects users of an organisation by a condition.
macro_rules! users_where {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            user_columns!(),
            " FROM principal WHERE organisation = $1 AND issuer IS NOT NULL AND ",
            $condition
        )
    };
}

const BY_ID: &str = users_where!("id = $2");

pub(super) const BY_SUBJECT: &str = users_where!("issuer = $2 AND subject = $3");

/// Selects a user with its organisation.
pub(super) const WITH_ORGANISATION: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    organisation_columns!(),
    " FROM principal JOIN organisation ON organisation.id = principal.organisation
     WHERE principal.organisation = $1 AND principal.id = $2 AND issuer IS NOT NULL"
);

fn user_at(row: &Row) -> Result<User> {
    Ok(User {
        id: PrincipalId(get(row, 0)?),
        organisation: OrganisationId(get(row, 1)?),
        issuer: get(row, 2)?,
        subject: get(row, 3)?,
        name: get(row, 4)?,
        email: get(row, 5)?,
        role: role(get(row, 6)?)?,
        no_delete: get(row, 7)?,
        created_ms: get(row, 8)?,
        last_seen_ms: get(row, 9)?,
        disabled_ms: get(row, 10)?,
        issued_ms: get(row, 11)?,
    })
}

/// Locks the organisation, and returns the user.
async fn lock_user(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: PrincipalId,
) -> std::result::Result<User, Failure> {
    state_rows::lock_for(transaction, organisation, Resource::Principal).await?;
    let row = transaction.query_first(BY_ID, params![organisation.0, id.0]).await?;
    Ok(user_at(&row.ok_or(StoreError::NotFound(Resource::Principal))?)?)
}

fn object(user: &User) -> EventObject {
    EventObject::new(ObjectKind::User, Some(user.id.0), user.name.as_str())
}

/// Returns the outcome of a sign-in that changes nothing. Returns `None` if it has to be written.
fn unchanged(known: Option<&User>, sign_in: &UserSignIn) -> Option<SignedInUser> {
    let known = known.filter(|user| user.disabled_ms.is_some() || sign_in.issued_ms <= user.issued_ms);
    known.map(|user| SignedInUser { id: user.id, changed: false, missing_roles: Vec::new() })
}

/// Records a sign-in. Servers that do so for one user at once take turns by the organisation's lock, so that the second finds the user
/// that the first added.
async fn user_sign_in(
    transaction: &Transaction,
    sign_in: &UserSignIn,
    change: &Change,
) -> std::result::Result<SignedInUser, Failure> {
    state_rows::lock(transaction, sign_in.organisation, Added::default()).await?;
    let known =
        transaction.query_first(BY_SUBJECT, params![sign_in.organisation.0, sign_in.issuer, sign_in.subject]).await?;
    let before = known.as_ref().map(user_at).transpose()?;
    if let Some(signed_in) = unchanged(before.as_ref(), sign_in) {
        return Ok(signed_in);
    }
    let after = User {
        name: sign_in.name.clone(),
        email: sign_in.email.clone(),
        role: sign_in.role,
        issued_ms: sign_in.issued_ms,
        ..before.clone().unwrap_or_else(|| new_user(sign_in, change.at_ms))
    };
    let actor = Actor::User { id: after.id, name: after.name.as_str().into() };
    let change = Change { actor, ..change.clone() };
    let changed = match before {
        None => {
            add(transaction, &after, &change).await?;
            true
        }
        Some(before) => save(transaction, &before, &after, &change).await?,
    };
    let (roles_changed, missing_roles) = set_group_roles(transaction, &after, sign_in, &change).await?;
    Ok(SignedInUser { id: after.id, changed: changed || roles_changed, missing_roles })
}

fn new_user(sign_in: &UserSignIn, now_ms: i64) -> User {
    User {
        id: sign_in.new_id,
        organisation: sign_in.organisation,
        issuer: sign_in.issuer.clone(),
        subject: sign_in.subject.clone(),
        name: sign_in.name.clone(),
        email: sign_in.email.clone(),
        role: sign_in.role,
        no_delete: false,
        created_ms: now_ms,
        last_seen_ms: Some(now_ms),
        disabled_ms: None,
        issued_ms: sign_in.issued_ms,
    }
}

/// Adds a user, and writes the event.
async fn add(transaction: &Transaction, user: &User, change: &Change) -> std::result::Result<(), Failure> {
    let inserted = transaction
        .count(
            "INSERT INTO principal (organisation, id, name, created_ms, issuer, subject, email, role, no_delete,
                                    last_seen_ms, issued_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING 1",
            params![
                user.organisation.0,
                user.id.0,
                user.name,
                user.created_ms,
                user.issuer,
                user.subject,
                user.email,
                user.role.as_str(),
                user.no_delete,
                user.last_seen_ms,
                user.issued_ms
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(StoreError::AlreadyExists(Resource::Principal).into());
    }
    let details = details([
        ("issuer", user.issuer.as_str().into()),
        ("subject", user.subject.as_str().into()),
        ("email", user.email.as_deref().into()),
        ("role", user.role.as_str().into()),
    ]);
    event_add(transaction, change, user.organisation, Operation::CreateUser, &object(user), &details).await
}

/// Writes the fields that may change, and the event. Returns whether any differs, except for the time of the token.
async fn save(
    transaction: &Transaction,
    before: &User,
    after: &User,
    change: &Change,
) -> std::result::Result<bool, Failure> {
    let organisation = after.organisation;
    transaction
        .query(
            "UPDATE principal SET name = $3, email = $4, role = $5, no_delete = $6, disabled_ms = $7, issued_ms = $8
             WHERE organisation = $1 AND id = $2",
            params![
                organisation.0,
                after.id.0,
                after.name,
                after.email,
                after.role.as_str(),
                after.no_delete,
                after.disabled_ms,
                after.issued_ms
            ],
        )
        .await?;
    let (details, is_renamed) = (update_details(before, after), before.name != after.name);
    if details.is_empty() && !is_renamed {
        return Ok(false);
    }
    if before.role != after.role {
        raise(transaction, organisation, &[Affected::Principal(after.id)]).await?;
    }
    raise(transaction, organisation, &[Affected::Organisation]).await?;
    let object = if is_renamed { object(before).renamed(after.name.as_str()) } else { object(before) };
    event_add(transaction, change, organisation, Operation::UpdateUser, &object, &details).await?;
    Ok(true)
}

/// Returns the fields that differ, except the name and the time of the token.
fn update_details(before: &User, after: &User) -> EventDetails {
    let mut details = EventDetails::new();
    let mut add_change = |name: &str, before: Value, after: Value| {
        if before != after {
            details.insert(name.to_owned(), json!({ "before": before, "after": after }));
        }
    };
    add_change("email", before.email.as_deref().into(), after.email.as_deref().into());
    add_change("role", before.role.as_str().into(), after.role.as_str().into());
    add_change("no-delete", before.no_delete.into(), after.no_delete.into());
    add_change("disabled", before.disabled_ms.is_some().into(), after.disabled_ms.is_some().into());
    details
}

async fn user_update(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: PrincipalId,
    update: UserUpdate,
    change: &Change,
) -> std::result::Result<User, Failure> {
    let before = lock_user(transaction, organisation, id).await?;
    let disabled_ms = match update.disabled {
        Some(true) => before.disabled_ms.or(Some(change.at_ms)),
        Some(false) => None,
        None => before.disabled_ms,
    };
    let after = User { disabled_ms, no_delete: update.no_delete.unwrap_or(before.no_delete), ..before.clone() };
    if after != before {
        save(transaction, &before, &after, change).await?;
    }
    Ok(after)
}

async fn user_delete(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: PrincipalId,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let user = lock_user(transaction, organisation, id).await?;
    raise(transaction, organisation, &[Affected::Principal(id), Affected::Organisation]).await?;
    let assignments = transaction
        .count(
            "WITH removed AS (DELETE FROM principal WHERE organisation = $1 AND id = $2),
                  details AS (DELETE FROM entity WHERE organisation = $1 AND id = $2)
             DELETE FROM principal_role_member WHERE organisation = $1 AND principal = $2 RETURNING 1",
            params![organisation.0, id.0],
        )
        .await?;
    let removed = Added { assignments: -added(assignments), ..Added::default() };
    state_rows::add(transaction, organisation, removed).await?;
    let details = details([("issuer", user.issuer.as_str().into()), ("subject", user.subject.as_str().into())]);
    event_add(transaction, change, organisation, Operation::DeleteUser, &object(&user), &details).await
}

/// Records when users were last seen. Locks the rows in one order, so that servers that do so at once never deadlock.
async fn user_touch(
    transaction: &Transaction,
    last_seen_ms: &[(OrganisationId, PrincipalId, i64)],
) -> std::result::Result<(), Failure> {
    let organisations: Vec<Uuid> = last_seen_ms.iter().map(|(organisation, ..)| organisation.0).collect();
    let ids: Vec<Uuid> = last_seen_ms.iter().map(|(_, id, _)| id.0).collect();
    let times: Vec<i64> = last_seen_ms.iter().map(|(.., seen_ms)| *seen_ms).collect();
    transaction
        .query(
            "WITH seen (organisation, id, seen_ms) AS (
                 SELECT organisation, id, max(seen_ms)
                 FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS one (organisation, id, seen_ms)
                 GROUP BY organisation, id
             ), locked AS (
                 SELECT seen.organisation, seen.id, seen.seen_ms FROM principal JOIN seen
                        ON seen.organisation = principal.organisation AND seen.id = principal.id
                 WHERE principal.issuer IS NOT NULL
                 ORDER BY principal.organisation, principal.id FOR NO KEY UPDATE OF principal
             )
             UPDATE principal SET last_seen_ms = greatest(principal.last_seen_ms, locked.seen_ms) FROM locked
             WHERE principal.organisation = locked.organisation AND principal.id = locked.id",
            params![organisations, ids, times],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl UserStore for PostgresStore {
    async fn user_sign_in(&self, sign_in: &UserSignIn, change: &Change) -> Result<SignedInUser> {
        let known =
            self.read_first(BY_SUBJECT, params![sign_in.organisation.0, sign_in.issuer, sign_in.subject]).await?;
        let known = known.as_ref().map(user_at).transpose()?;
        match unchanged(known.as_ref(), sign_in) {
            Some(signed_in) => Ok(signed_in),
            None => {
                transact!(self, for sign_in.organisation, transaction => user_sign_in(transaction, sign_in, change))
            }
        }
    }

    async fn user_get(&self, organisation: OrganisationId, id: PrincipalId) -> Result<Option<(User, Organisation)>> {
        let row = self.read_first(WITH_ORGANISATION, params![organisation.0, id.0]).await?;
        row.map(|row| Ok((user_at(&row)?, organisation_at(&row, COLUMNS)?))).transpose()
    }

    async fn user_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<User>> {
        const PAGE: &str = users_where!("id > $2 ORDER BY id LIMIT $3");
        let rows = self.read(PAGE, params![organisation.0, after_id(page), one_more(page)]).await?;
        Ok(page_of(rows.iter().map(user_at).collect::<Result<Vec<_>>>()?, page))
    }

    async fn user_find(&self, organisation: OrganisationId, named: &str) -> Result<Vec<User>> {
        // As in the embedded store, only A to Z are compared without case.
        const NAMED: &str = users_where!(
            "(id = $2 OR subject = $3 OR lower(email COLLATE \"C\") = lower($3 COLLATE \"C\") OR name = $3) ORDER BY id"
        );
        let rows = self.read(NAMED, params![organisation.0, Uuid::parse_str(named).ok(), named]).await?;
        rows.iter().map(user_at).collect()
    }

    async fn user_update(
        &self,
        organisation: OrganisationId,
        id: PrincipalId,
        update: UserUpdate,
        change: &Change,
    ) -> Result<User> {
        transact!(self, for organisation, transaction => user_update(transaction, organisation, id, update, change))
    }

    async fn user_delete(&self, organisation: OrganisationId, id: PrincipalId, change: &Change) -> Result<()> {
        transact!(self, for organisation, transaction => user_delete(transaction, organisation, id, change))
    }

    async fn user_touch(&self, last_seen_ms: &[(OrganisationId, PrincipalId, i64)]) -> Result<()> {
        if last_seen_ms.is_empty() {
            return Ok(());
        }
        transact!(self, transaction => user_touch(transaction, last_seen_ms))
    }
}
