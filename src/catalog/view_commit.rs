//! Commits to one view.

use std::sync::Arc;

use tidewater_core::view::{ViewCommit, ViewMetadata, apply_view_updates, check_view_requirements};

use super::commit::Commit;
use super::{Catalog, CatalogError, LoadedView};
use crate::access::{Permit, View, action};
use crate::base::deadline::STOP;
use crate::metadata::Document;
use crate::store::{Change, EventDetails};

impl Commit for Arc<ViewCommit> {
    type Metadata = ViewMetadata;

    fn bytes(&self) -> u64 {
        self.body_bytes
    }

    fn apply(&self, base: &Document<ViewMetadata>, now_ms: i64) -> Result<Option<ViewMetadata>, CatalogError> {
        check_view_requirements(&self.requirements, &base.metadata)?;
        Ok(apply_view_updates(&base.metadata, &self.updates, now_ms, STOP)?)
    }

    fn details(&self) -> EventDetails {
        self.summary()
    }
}

impl Catalog {
    /// Applies a commit to a view, after earlier commits, and again after a conflict while its requirements hold. It runs to its
    /// end even if the caller disconnects. A commit that changes nothing succeeds without a new document.
    ///
    /// # Errors
    /// `NoSuchView`; `CommitFailed` when a requirement does not hold; `CommitStateUnknown`; `BadRequest`,
    /// `IllegalArgument`, `LocationTaken`; `Metadata`; `Repeated`.
    pub async fn view_commit(
        self: &Arc<Self>,
        view: Permit<action::ReplaceView, View>,
        commit: ViewCommit,
        change: &Change,
    ) -> Result<LoadedView, CatalogError> {
        let (catalog, change) = (Arc::clone(self), change.clone());
        let committed = self.to_its_end(async move {
            let commit = catalog.heavy.large(commit.body_bytes, Arc::new(commit));
            Ok(catalog.commit_in_turn(view, &*commit, &change).await?.document)
        });
        self.measures.commit("view", committed).await
    }
}
