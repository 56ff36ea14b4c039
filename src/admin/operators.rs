//! Operators, who manage all organisations: create, list and revoke.

use tidewater_core::access::check_key_name;
use tidewater_core::ids::KeyId;

use super::limits::OPERATORS;
use super::{Admin, AdminError};
use crate::auth::entropy;
use crate::auth::key::{digest, key_text};
use crate::base::clock::fresh_ordered_uuid;
use crate::base::secret::Secret;
use crate::store::{Change, Operator, Resource, StoreError};

/// A new operator with the text of its key, which is shown only once.
#[derive(Debug)]
pub struct IssuedOperator {
    /// The stored operator.
    pub operator: Operator,
    /// The key's text.
    pub text: Secret<String>,
}

impl Admin {
    /// Adds an operator.
    ///
    /// # Errors
    /// `Invalid`; `Exists` if another operator that is not revoked has the name; `TooMany`.
    pub async fn operator_create(&self, name: &str, change: &Change) -> Result<IssuedOperator, AdminError> {
        check_key_name(name)?;
        let known = self.store.operator_list().await?;
        if known.iter().filter(|operator| operator.revoked_ms.is_none()).count() >= OPERATORS {
            return Err(AdminError::TooMany(format!(
                "There are {OPERATORS} operators, the maximum: revoke some first"
            )));
        }
        let text = key_text(&entropy()?);
        let operator = Operator {
            id: KeyId(fresh_ordered_uuid()),
            name: name.to_owned(),
            digest: digest(text.expose().as_bytes()),
            created_ms: change.at_ms,
            last_used_ms: None,
            revoked_ms: None,
        };
        self.store.operator_create(&operator, change).await.map_err(|error| match error {
            StoreError::AlreadyExists(Resource::Operator) => {
                AdminError::Exists(format!("There is an operator '{name}' already: revoke it, or choose another name"))
            }
            error => AdminError::Store(error),
        })?;
        Ok(IssuedOperator { operator, text })
    }

    /// Lists all operators, revoked ones included, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn operator_list(&self) -> Result<Vec<Operator>, AdminError> {
        Ok(self.store.operator_list().await?)
    }

    /// Revokes the operator of that id, or the one of that name that is not revoked. Its key is refused from then on. Has no
    /// effect on a revoked operator.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn operator_revoke(&self, named: &str, change: &Change) -> Result<(), AdminError> {
        let id = named.parse().ok().map(KeyId);
        let known = self.store.operator_list().await?;
        let of_id = known.iter().find(|operator| Some(operator.id) == id);
        // Prefer the operator that is not revoked, or else the last.
        let mut of_name: Vec<&Operator> = known.iter().filter(|operator| operator.name == named).collect();
        of_name.sort_by_key(|operator| operator.revoked_ms.is_none());
        let Some(operator) = of_id.or(of_name.last().copied()) else {
            let named: String = named.chars().take(100).collect();
            return Err(AdminError::NotFound(format!("There is no operator '{named}'")));
        };
        let revoked = self.store.operator_revoke(operator.id, change).await;
        Ok(revoked?)
    }
}
