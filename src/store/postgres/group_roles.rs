//! The principal roles that users have because of their groups.

use std::collections::BTreeMap;

use tidewater_core::ids::{OrganisationId, PrincipalRoleId};

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::{details, event_add};
use super::params::params;
use super::roles::{Source, member_set, principal_role_create, role_object};
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{Change, ObjectKind, Operation, PrincipalRole, User, UserSignIn};

type Result<T> = std::result::Result<T, Failure>;

/// Assigns the principal roles of a user's groups, and revokes those of its former groups. Returns whether any changed, and the
/// roles that do not exist. The transaction has the organisation's lock.
pub(super) async fn set_group_roles(
    transaction: &Transaction,
    user: &User,
    sign_in: &UserSignIn,
    change: &Change,
) -> Result<(bool, Vec<String>)> {
    let mut former = group_roles(transaction, user).await?;
    let (mut changed, mut missing) = (false, Vec::new());
    for name in &sign_in.principal_roles {
        if former.remove(name).is_some() {
            continue;
        }
        let Some(role) = find_role(transaction, user.organisation, name, sign_in.create_roles, change).await? else {
            missing.push(name.clone());
            continue;
        };
        changed |= assign(transaction, user, (role, name), true, change).await?;
    }
    for (name, role) in &former {
        changed |= assign(transaction, user, (*role, name), false, change).await?;
    }
    Ok((changed, missing))
}

/// Returns the principal roles that a user has because of its groups, by their names.
async fn group_roles(transaction: &Transaction, user: &User) -> Result<BTreeMap<String, PrincipalRoleId>> {
    let rows = transaction
        .query(
            "SELECT principal_role.name, principal_role.id FROM principal_role_member AS member
             JOIN principal_role ON principal_role.organisation = member.organisation AND principal_role.id = member.role
             WHERE member.organisation = $1 AND member.principal = $2 AND member.source = 'group'",
            params![user.organisation.0, user.id.0],
        )
        .await?;
    rows.iter().map(|row| Ok((get(row, 0)?, PrincipalRoleId(get(row, 1)?)))).collect()
}

/// Returns the id of a principal role. Creates the role if it does not exist and `create` is set.
async fn find_role(
    transaction: &Transaction,
    organisation: OrganisationId,
    name: &str,
    create: bool,
    change: &Change,
) -> Result<Option<PrincipalRoleId>> {
    let known = transaction
        .query_first(
            "SELECT id FROM principal_role WHERE organisation = $1 AND name = $2",
            params![organisation.0, name],
        )
        .await?;
    if let Some(row) = known {
        return Ok(Some(PrincipalRoleId(get(&row, 0)?)));
    }
    if !create {
        return Ok(None);
    }
    let new =
        PrincipalRole { id: PrincipalRoleId(fresh_ordered_uuid()), name: name.to_owned(), created_ms: change.at_ms };
    principal_role_create(transaction, organisation, &new, change).await?;
    Ok(Some(new.id))
}

/// Assigns a principal role to a user because of its groups, or revokes it. Returns whether there was anything to change.
async fn assign(
    transaction: &Transaction,
    user: &User,
    (role, name): (PrincipalRoleId, &str),
    assigned: bool,
    change: &Change,
) -> Result<bool> {
    if !member_set(transaction, user.organisation, (role, user.id), Source::Group, assigned).await? {
        return Ok(false);
    }
    let operation = if assigned { Operation::AssignPrincipalRole } else { Operation::RevokePrincipalRole };
    let details = details([
        ("principal", user.name.as_str().into()),
        ("principal-id", user.id.to_string().into()),
        ("source", "group".into()),
    ]);
    let object = role_object(ObjectKind::PrincipalRole, role.0, name);
    event_add(transaction, change, user.organisation, operation, &object, &details).await?;
    Ok(true)
}
