//! Users, and the principal roles of their groups.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, Row, ToSql, params};
use serde_json::{Value, json};
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId};
use uuid::Uuid;

use super::SqliteStore;
use super::convert::{id, not_inserted, role};
use super::events::{details, event_add};
use super::grants::after_id;
use super::organisations::{ORGANISATION, organisation_at};
use super::pages::{one_more, page_of};
use super::roles::{principal_role_create, role_object};
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{
    Actor, Change, EventDetails, EventObject, ObjectKind, Operation, Organisation, Page, PageRequest, PrincipalRole,
    Resource, Result, SignedInUser, StoreError, User, UserSignIn, UserStore, UserUpdate,
};

const USER: &str = "principal.id, principal.organisation, principal.issuer, principal.subject, principal.name,
    principal.email, principal.role, principal.no_delete, principal.created_ms, principal.last_seen_ms,
    principal.disabled_ms, principal.issued_ms";
const USER_COLUMNS: usize = 12;

fn user_at(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: id(PrincipalId, row.get(0)?),
        organisation: id(OrganisationId, row.get(1)?),
        issuer: row.get(2)?,
        subject: row.get(3)?,
        name: row.get(4)?,
        email: row.get(5)?,
        role: role(row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?)?,
        no_delete: row.get(7)?,
        created_ms: row.get(8)?,
        last_seen_ms: row.get(9)?,
        disabled_ms: row.get(10)?,
        issued_ms: row.get(11)?,
    })
}

fn users_where(connection: &Connection, condition: &str, values: &[&dyn ToSql]) -> Result<Vec<User>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {USER} FROM principal WHERE organisation = ?1 AND issuer IS NOT NULL AND {condition}"
    ))?;
    statement.query_and_then(values, user_at)?.collect()
}

fn user(connection: &Connection, organisation: OrganisationId, id: PrincipalId) -> Result<User> {
    let found = users_where(connection, "id = ?2", params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    found.into_iter().next().ok_or(StoreError::NotFound(Resource::Principal))
}

fn user_of_subject(connection: &Connection, sign_in: &UserSignIn) -> Result<Option<User>> {
    let values = params![sign_in.organisation.0.as_bytes(), sign_in.issuer, sign_in.subject];
    Ok(users_where(connection, "issuer = ?2 AND subject = ?3", values)?.into_iter().next())
}

fn object(user: &User) -> EventObject {
    EventObject::new(ObjectKind::User, Some(user.id.0), user.name.as_str())
}

/// Returns the outcome of a sign-in that changes nothing. Returns `None` if it has to be written.
fn unchanged(connection: &Connection, sign_in: &UserSignIn) -> Result<Option<SignedInUser>> {
    let known = user_of_subject(connection, sign_in)?;
    let known = known.filter(|user| user.disabled_ms.is_some() || sign_in.issued_ms <= user.issued_ms);
    Ok(known.map(|user| SignedInUser { id: user.id, changed: false, missing_roles: Vec::new() }))
}

fn user_sign_in(connection: &Connection, sign_in: &UserSignIn, change: &Change) -> Result<SignedInUser> {
    // Another request may have recorded the same token since `unchanged` was asked.
    if let Some(signed_in) = unchanged(connection, sign_in)? {
        return Ok(signed_in);
    }
    let before = user_of_subject(connection, sign_in)?;
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
            insert(connection, &after)?;
            let details = details([
                ("issuer", after.issuer.as_str().into()),
                ("subject", after.subject.as_str().into()),
                ("email", after.email.as_deref().into()),
                ("role", after.role.as_str().into()),
            ]);
            event_add(connection, &change, after.organisation, Operation::CreateUser, &object(&after), &details)?;
            true
        }
        Some(before) => save(connection, &before, &after, &change)?,
    };
    let (roles_changed, missing_roles) = set_group_roles(connection, &after, sign_in, &change)?;
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

fn insert(connection: &Connection, user: &User) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO principal (organisation, id, name, created_ms, issuer, subject, email, role, no_delete,
                                    last_seen_ms, issued_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            user.organisation.0.as_bytes(),
            user.id.0.as_bytes(),
            user.name,
            user.created_ms,
            user.issuer,
            user.subject,
            user.email,
            user.role.as_str(),
            user.no_delete,
            user.last_seen_ms,
            user.issued_ms,
        ])
        .map_err(|error| not_inserted(error, Resource::Principal))?;
    Ok(())
}

/// Writes the fields that differ, and the event. Returns whether any does, except for the time of the token.
fn save(connection: &Connection, before: &User, after: &User, change: &Change) -> Result<bool> {
    connection
        .prepare_cached(
            "UPDATE principal SET name = ?3, email = ?4, role = ?5, no_delete = ?6, disabled_ms = ?7, issued_ms = ?8
             WHERE organisation = ?1 AND id = ?2",
        )?
        .execute(params![
            after.organisation.0.as_bytes(),
            after.id.0.as_bytes(),
            after.name,
            after.email,
            after.role.as_str(),
            after.no_delete,
            after.disabled_ms,
            after.issued_ms,
        ])?;
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
    let is_renamed = before.name != after.name;
    if details.is_empty() && !is_renamed {
        return Ok(false);
    }
    let object = if is_renamed { object(before).renamed(after.name.as_str()) } else { object(before) };
    event_add(connection, change, after.organisation, Operation::UpdateUser, &object, &details)?;
    Ok(true)
}

/// Assigns the principal roles of a user's groups, and revokes those of its former groups. Returns whether any changed, and the
/// roles that do not exist.
fn set_group_roles(
    connection: &Connection,
    user: &User,
    sign_in: &UserSignIn,
    change: &Change,
) -> Result<(bool, Vec<String>)> {
    let mut former = group_roles(connection, user)?;
    let (mut changed, mut missing) = (false, Vec::new());
    for name in &sign_in.principal_roles {
        if former.remove(name).is_some() {
            continue;
        }
        let Some(role) = find_role(connection, user.organisation, name, sign_in.create_roles, change)? else {
            missing.push(name.clone());
            continue;
        };
        assign(connection, user, (role, name), true, change)?;
        changed = true;
    }
    for (name, role) in &former {
        assign(connection, user, (*role, name), false, change)?;
        changed = true;
    }
    Ok((changed, missing))
}

/// Returns the principal roles that a user has because of its groups, by their names.
fn group_roles(connection: &Connection, user: &User) -> Result<BTreeMap<String, PrincipalRoleId>> {
    let mut statement = connection.prepare_cached(
        "SELECT principal_role.name, principal_role.id FROM principal_role_member AS member
         JOIN principal_role ON principal_role.organisation = member.organisation AND principal_role.id = member.role
         WHERE member.organisation = ?1 AND member.principal = ?2 AND member.source = 'group'",
    )?;
    let roles = statement.query_map(params![user.organisation.0.as_bytes(), user.id.0.as_bytes()], |row| {
        Ok((row.get(0)?, id(PrincipalRoleId, row.get(1)?)))
    })?;
    Ok(roles.collect::<rusqlite::Result<_>>()?)
}

/// Returns the id of a principal role. Creates the role if it does not exist and `create` is set.
fn find_role(
    connection: &Connection,
    organisation: OrganisationId,
    name: &str,
    create: bool,
    change: &Change,
) -> Result<Option<PrincipalRoleId>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM principal_role WHERE organisation = ?1 AND name = ?2")?;
    let mut rows = statement.query(params![organisation.0.as_bytes(), name])?;
    if let Some(row) = rows.next()? {
        return Ok(Some(id(PrincipalRoleId, row.get(0)?)));
    }
    if !create {
        return Ok(None);
    }
    let new =
        PrincipalRole { id: PrincipalRoleId(fresh_ordered_uuid()), name: name.to_owned(), created_ms: change.at_ms };
    principal_role_create(connection, organisation, &new, change)?;
    Ok(Some(new.id))
}

/// Assigns a principal role to a user because of its groups, or revokes it.
fn assign(
    connection: &Connection,
    user: &User,
    (role, name): (PrincipalRoleId, &str),
    assigned: bool,
    change: &Change,
) -> Result<()> {
    let (sql, operation) = match assigned {
        true => (
            "INSERT INTO principal_role_member (organisation, principal, role, source) VALUES (?1, ?2, ?3, 'group')",
            Operation::AssignPrincipalRole,
        ),
        false => (
            "DELETE FROM principal_role_member
             WHERE organisation = ?1 AND principal = ?2 AND role = ?3 AND source = 'group'",
            Operation::RevokePrincipalRole,
        ),
    };
    let values = params![user.organisation.0.as_bytes(), user.id.0.as_bytes(), role.0.as_bytes()];
    connection.prepare_cached(sql)?.execute(values)?;
    let details = details([
        ("principal", user.name.as_str().into()),
        ("principal-id", user.id.to_string().into()),
        ("source", "group".into()),
    ]);
    let object = role_object(ObjectKind::PrincipalRole, role.0, name);
    event_add(connection, change, user.organisation, operation, &object, &details)
}

fn user_get(
    connection: &Connection,
    organisation: OrganisationId,
    id: PrincipalId,
) -> Result<Option<(User, Organisation)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {USER}, {ORGANISATION} FROM principal JOIN organisation ON organisation.id = principal.organisation
         WHERE principal.organisation = ?1 AND principal.id = ?2 AND issuer IS NOT NULL"
    ))?;
    let mut rows = statement.query(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    rows.next()?.map(|row| Ok((user_at(row)?, organisation_at(row, USER_COLUMNS)?))).transpose()
}

fn user_update(
    connection: &Connection,
    organisation: OrganisationId,
    id: PrincipalId,
    update: UserUpdate,
    change: &Change,
) -> Result<User> {
    let before = user(connection, organisation, id)?;
    let disabled_ms = match update.disabled {
        Some(true) => before.disabled_ms.or(Some(change.at_ms)),
        Some(false) => None,
        None => before.disabled_ms,
    };
    let after = User { disabled_ms, no_delete: update.no_delete.unwrap_or(before.no_delete), ..before.clone() };
    if after != before {
        save(connection, &before, &after, change)?;
    }
    Ok(after)
}

fn user_delete(connection: &Connection, organisation: OrganisationId, id: PrincipalId, change: &Change) -> Result<()> {
    let user = user(connection, organisation, id)?;
    connection
        .prepare_cached("DELETE FROM principal WHERE organisation = ?1 AND id = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    let details = details([("issuer", user.issuer.as_str().into()), ("subject", user.subject.as_str().into())]);
    event_add(connection, change, organisation, Operation::DeleteUser, &object(&user), &details)
}

fn user_touch(connection: &Connection, last_seen_ms: &[(OrganisationId, PrincipalId, i64)]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE principal SET last_seen_ms = ?3 WHERE organisation = ?1 AND id = ?2 AND issuer IS NOT NULL
         AND (last_seen_ms IS NULL OR last_seen_ms < ?3)",
    )?;
    for (organisation, id, seen_ms) in last_seen_ms {
        statement.execute(params![organisation.0.as_bytes(), id.0.as_bytes(), seen_ms])?;
    }
    Ok(())
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn user_sign_in(&self, sign_in: &UserSignIn, change: &Change) -> Result<SignedInUser> {
        if let Some(signed_in) = self.read(|connection| unchanged(connection, sign_in))? {
            return Ok(signed_in);
        }
        let (sign_in, change) = (sign_in.clone(), change.clone());
        self.write(move |connection| user_sign_in(connection, &sign_in, &change)).await
    }

    async fn user_get(&self, organisation: OrganisationId, id: PrincipalId) -> Result<Option<(User, Organisation)>> {
        self.read(|connection| user_get(connection, organisation, id))
    }

    async fn user_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<User>> {
        let page = page.clone();
        self.read_list(Some(organisation), move |connection| {
            let values = params![organisation.0.as_bytes(), after_id(&page), one_more(&page)];
            Ok(page_of(users_where(connection, "id > ?2 ORDER BY id LIMIT ?3", values)?, &page))
        })
        .await
    }

    async fn user_find(&self, organisation: OrganisationId, named: &str) -> Result<Vec<User>> {
        let named = named.to_owned();
        self.read_list(Some(organisation), move |connection| {
            let id = Uuid::parse_str(&named).map_or_else(|_| Vec::new(), |id| id.into_bytes().to_vec());
            let condition = "(id = ?2 OR subject = ?3 OR email = ?3 COLLATE NOCASE OR name = ?3) ORDER BY id";
            users_where(connection, condition, params![organisation.0.as_bytes(), id, named])
        })
        .await
    }

    async fn user_update(
        &self,
        organisation: OrganisationId,
        id: PrincipalId,
        update: UserUpdate,
        change: &Change,
    ) -> Result<User> {
        let change = change.clone();
        self.write(move |connection| user_update(connection, organisation, id, update, &change)).await
    }

    async fn user_delete(&self, organisation: OrganisationId, id: PrincipalId, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| user_delete(connection, organisation, id, &change)).await
    }

    async fn user_touch(&self, last_seen_ms: &[(OrganisationId, PrincipalId, i64)]) -> Result<()> {
        let last_seen_ms = last_seen_ms.to_vec();
        self.write(move |connection| user_touch(connection, &last_seen_ms)).await
    }
}
