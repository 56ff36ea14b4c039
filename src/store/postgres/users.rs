//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{OrganisationId, PrincipalId};

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl UserStore for PostgresStore {
    async fn user_sign_in(&self, sign_in: &UserSignIn, change: &Change) -> Result<SignedInUser> {
        todo!()
    }
    async fn user_get(&self, organisation: OrganisationId, id: PrincipalId) -> Result<Option<(User, Organisation)>> {
        todo!()
    }
    async fn user_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<User>> {
        todo!()
    }
    async fn user_find(&self, organisation: OrganisationId, named: &str) -> Result<Vec<User>> {
        todo!()
    }
    async fn user_update(
        &self,
        organisation: OrganisationId,
        id: PrincipalId,
        update: UserUpdate,
        change: &Change,
    ) -> Result<User> {
        todo!()
    }
    async fn user_delete(&self, organisation: OrganisationId, id: PrincipalId, change: &Change) -> Result<()> {
        todo!()
    }
    async fn user_touch(&self, last_seen_ms: &[(OrganisationId, PrincipalId, i64)]) -> Result<()> {
        todo!()
    }
}
