//! Commits to one view.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;
use tidewater_core::view::{ViewCommit, apply_view_updates, check_view_requirements};

use super::commit::ATTEMPTS;
use super::error::of_view;
use super::fate::Fate;
use super::weight::view_commit_bytes;
use super::{Catalog, CatalogError, LoadedView, OpenWarehouse};
use crate::access::{Permit, View, action};
use crate::deadline::STOP;
use crate::locations::Refusals;
use crate::store::{Answer, Change, Past, StoreError, Swap, TableRecord};
use crate::vending::ValidLocations;

/// What became of one attempt.
enum Attempt {
    Done(LoadedView),
    /// Somebody else's commit was faster: apply to what it left.
    PointerMoved,
}

/// One view, what is asked of it, and by whom.
struct Asked<'a> {
    warehouse: &'a OpenWarehouse,
    ident: &'a TableIdent,
    commit: &'a Arc<ViewCommit>,
    change: &'a Change,
}

impl Catalog {
    /// Applies a commit to a view, in turn with others and again while its requirements hold. It runs to its end even if
    /// the caller goes away. A commit that changes nothing succeeds without a new document.
    ///
    /// # Errors
    /// `NoSuchView`; `CommitFailed` when a requirement does not hold; `CommitStateUnknown`; `BadRequest`,
    /// `IllegalArgument`, `LocationTaken`; `Metadata`; `Repeated`.
    pub async fn view_commit(
        self: &Arc<Self>,
        mut view: Permit<action::ReplaceView, View>,
        commit: ViewCommit,
        change: &Change,
    ) -> Result<LoadedView, CatalogError> {
        let (catalog, change) = (Arc::clone(self), change.clone());
        self.to_its_end(async move {
            let commit = catalog.heavy.large(view_commit_bytes(&commit), Arc::new(commit));
            let turn = catalog.turn(view.record.id).await?;
            if turn.waited {
                view = catalog.view_find_again(&view).await?;
            }
            for _ in 0..ATTEMPTS {
                let (commit, change) = (&*commit, &change);
                let asked = Asked { warehouse: &view.warehouse, ident: &view.ident, commit, change };
                match catalog.view_commit_attempt(&asked, &view.record).await? {
                    Attempt::Done(view) => return Ok(view),
                    Attempt::PointerMoved => view = catalog.view_find_again(&view).await?,
                }
            }
            let ident = &view.ident;
            let message = format!("Cannot commit to {ident}: other commits were faster {ATTEMPTS} times");
            Err(CatalogError::CommitFailed(message))
        })
        .await
    }

    async fn view_commit_attempt(&self, asked: &Asked<'_>, record: &TableRecord) -> Result<Attempt, CatalogError> {
        let Asked { warehouse, ident, commit, change } = *asked;
        let base = self.documents.get_view(&warehouse.storage, &record.metadata_location).await?;
        let now_ms = self.clock.now_ms();
        let bytes = base.json.len() as u64 + view_commit_bytes(commit);
        let (at, asked_for) = (Arc::clone(&base), Arc::clone(commit));
        let apply = move || {
            check_view_requirements(&asked_for.requirements, &at.metadata)?;
            Ok(apply_view_updates(&at.metadata, &asked_for.updates, now_ms, STOP)?)
        };
        let Some(view) = self.work(warehouse, bytes, apply).await? else {
            return self.view_unchanged(asked, record.id, base).await.map(Attempt::Done);
        };
        let locations = ValidLocations::of_view(&view, &warehouse.root)?;
        let document = self.write_document(warehouse, view, Some(&base.location)).await?;
        let swap = Swap {
            id: record.id,
            expected: &record.metadata_location,
            new: &document.location,
            locations: locations.all(),
            past: &Past::Kept,
            details: &commit.summary(),
        };
        let change = &change.at(now_ms);
        let swapped =
            self.settled(warehouse, Refusals::AreFinal, || self.store.table_swap(warehouse.place, &swap, change)).await;
        match swapped {
            Ok(()) => {}
            Err(StoreError::Unavailable(cause)) => {
                match self.fate_of_swap(warehouse, ident, record, &document.location).await {
                    Fate::Happened => {}
                    Fate::Overtaken => return Ok(Attempt::PointerMoved),
                    Fate::NotYet => return Err(CatalogError::Store(StoreError::Unavailable(cause))),
                    Fate::Unknown => {
                        return Err(CatalogError::CommitStateUnknown(ident.to_string(), cause.to_string()));
                    }
                }
            }
            Err(error) => {
                self.documents.discard(&warehouse.storage, &document).await;
                return match error {
                    StoreError::PointerMoved => Ok(Attempt::PointerMoved),
                    other => Err(of_view(ident)(other)),
                };
            }
        }
        self.documents.forget(&warehouse.storage, &base);
        Ok(Attempt::Done(document))
    }

    /// A commit that changes nothing: the view as it is.
    async fn view_unchanged(
        &self,
        asked: &Asked<'_>,
        id: TableId,
        base: LoadedView,
    ) -> Result<LoadedView, CatalogError> {
        if let Some(receipt) = &asked.change.receipt {
            let answer = Answer::document(base.location.clone(), id);
            let organisation = asked.warehouse.place.organisation;
            let kept = self.store.receipt_add(organisation, receipt, &answer, asked.change.at_ms).await;
            kept.map_err(of_view(asked.ident))?;
        }
        Ok(base)
    }
}
