//! Answers to requests with an idempotency key.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::properties::PropertyChanges;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, Violation, get, violation};
use super::params::params;
use crate::store::{
    Answer, Change, KeptAnswer, KeptDocument, Receipt, ReceiptStore, RequestDigest, Resource, Result, StoreError,
};

/// Fails with `Repeated` if the key of the change's receipt, if it has one, has an unexpired answer.
pub(super) async fn check_unused(
    transaction: &Transaction,
    organisation: OrganisationId,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let Some(receipt) = &change.receipt else { return Ok(()) };
    let used = transaction
        .query_first(
            "SELECT 1 FROM receipt WHERE organisation = $1 AND principal = $2 AND key = $3 AND expires_ms > $4",
            params![organisation.0, receipt.principal.0, receipt.key, change.at_ms],
        )
        .await?;
    if used.is_some() { Err(StoreError::Repeated.into()) } else { Ok(()) }
}

/// Stores the answer under the key of the change's receipt, if it has one. Fails with `Repeated` if the key has an unexpired answer,
/// after the end of another transaction that stores one.
pub(super) async fn add_of_change(
    transaction: &Transaction,
    organisation: OrganisationId,
    change: &Change,
    answer: impl FnOnce() -> Answer,
) -> std::result::Result<(), Failure> {
    match &change.receipt {
        Some(receipt) => add(transaction, organisation, receipt, &answer(), change.at_ms).await,
        None => Ok(()),
    }
}

async fn add(
    transaction: &Transaction,
    organisation: OrganisationId,
    receipt: &Receipt,
    answer: &Answer,
    now_ms: i64,
) -> std::result::Result<(), Failure> {
    let Columns { kind, status, text } = columns(answer)?;
    let added = transaction
        .count(
            "INSERT INTO receipt AS kept (organisation, principal, key, request, kind, status, text, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (organisation, principal, key) DO UPDATE
             SET request = excluded.request, kind = excluded.kind, status = excluded.status, text = excluded.text,
                 expires_ms = excluded.expires_ms
             WHERE kept.expires_ms <= $9
             RETURNING 1",
            params![
                organisation.0,
                receipt.principal.0,
                receipt.key,
                receipt.request.0.as_slice(),
                kind,
                status,
                text,
                receipt.expires_ms,
                now_ms,
            ],
        )
        .await?;
    if added == 0 { Err(StoreError::Repeated.into()) } else { Ok(()) }
}

/// Forgets the answer of a request whose change was undone.
pub(super) async fn receipt_forget(
    transaction: &Transaction,
    organisation: OrganisationId,
    receipt: &Receipt,
) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "DELETE FROM receipt WHERE organisation = $1 AND principal = $2 AND key = $3 AND request = $4",
            params![organisation.0, receipt.principal.0, receipt.key, receipt.request.0.as_slice()],
        )
        .await?;
    Ok(())
}

impl PostgresStore {
    /// Returns `Repeated` if a change was refused because the same request was done meanwhile, and `error` otherwise.
    ///
    /// The change may have waited for the other one, and then been refused because of its result: its name was taken, for example.
    pub(super) async fn repeated_or(
        &self,
        organisation: OrganisationId,
        change: &Change,
        error: StoreError,
    ) -> StoreError {
        let Some(receipt) = &change.receipt else { return error };
        let is_refusal = !matches!(
            error,
            StoreError::Repeated
                | StoreError::Busy
                | StoreError::Full(_)
                | StoreError::NotMade(_)
                | StoreError::Unavailable(_)
                | StoreError::Corrupt(_)
        );
        if !is_refusal {
            return error;
        }
        match self.receipt_row(organisation, receipt.principal, receipt.key, change.at_ms).await {
            Ok(Some(_)) => StoreError::Repeated,
            // The refusal is true either way: what was there before the other request is there after it.
            Ok(None) | Err(_) => error,
        }
    }

    async fn receipt_row(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        key: Uuid,
        now_ms: i64,
    ) -> Result<Option<Row>> {
        self.read_first(
            "SELECT request, kind, status, text FROM receipt
             WHERE organisation = $1 AND principal = $2 AND key = $3 AND expires_ms > $4",
            params![organisation.0, principal.0, key, now_ms],
        )
        .await
    }

    /// Returns the principal that created a table or view, live or dropped.
    async fn owner_of(&self, organisation: OrganisationId, table: TableId) -> Result<Option<PrincipalId>> {
        let row = self
            .read_first(
                "SELECT owner FROM tabular WHERE organisation = $1 AND id = $2
                 UNION ALL SELECT owner FROM dropped WHERE organisation = $1 AND id = $2",
                params![organisation.0, table.0],
            )
            .await?;
        let owner = row.map(|row| get::<Option<Uuid>>(&row, 0)).transpose()?;
        Ok(owner.flatten().map(PrincipalId))
    }
}

#[async_trait]
impl ReceiptStore for PostgresStore {
    async fn receipt_get(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        key: Uuid,
        now_ms: i64,
    ) -> Result<Option<KeptAnswer>> {
        let Some(row) = self.receipt_row(organisation, principal, key, now_ms).await? else { return Ok(None) };
        let mut kept = kept_at(&row)?;
        if let Answer::Document(document) = &mut kept.answer {
            document.owner = self.owner_of(organisation, document.id).await?;
        }
        Ok(Some(kept))
    }

    async fn receipt_add(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => async {
            let added = add(transaction, organisation, receipt, answer, now_ms).await;
            added.map_err(|failure| match violation(&failure) {
                Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Organisation).into(),
                _ => failure,
            })
        })
    }

    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64> {
        let removed = self
            .change_rows(
                "DELETE FROM receipt WHERE (organisation, principal, key) IN
                     (SELECT organisation, principal, key FROM receipt WHERE expires_ms <= $1
                      ORDER BY expires_ms LIMIT $2) AND expires_ms <= $1 RETURNING 1",
                params![now_ms, i64::from(at_most)],
            )
            .await?;
        Ok(removed.len() as u64)
    }
}

/// The columns of an answer.
pub(super) struct Columns {
    pub(super) kind: &'static str,
    pub(super) status: Option<i64>,
    pub(super) text: Option<String>,
}

/// Formats an answer for its columns.
pub(super) fn columns(answer: &Answer) -> Result<Columns> {
    let (kind, status, text) = match answer {
        Answer::Done => ("done", None, None),
        Answer::Document(document) => ("document", None, Some(document_text(document))),
        Answer::Properties(PropertyChanges { updated, removed, missing }) => {
            let text = serde_json::to_string(&[updated, removed, missing]);
            ("properties", None, Some(text.map_err(|error| StoreError::NotMade(Box::new(error)))?))
        }
        Answer::Refusal { status, body } => ("said", Some(i64::from(*status)), Some(body.clone())),
    };
    Ok(Columns { kind, status, text })
}

/// Formats a document's location and, after a line break, the id of its table. No location has a line break.
fn document_text(KeptDocument { location, id, .. }: &KeptDocument) -> String {
    format!("{location}\n{id}")
}

fn document_of(text: &str) -> Result<KeptDocument> {
    let corrupt = |problem: &str| StoreError::Corrupt(format!("receipt: the id of a table: {problem}"));
    let (location, id) = text.split_once('\n').ok_or_else(|| corrupt("there is none"))?;
    let id = Uuid::parse_str(id).map_err(|error| corrupt(&error.to_string()))?;
    Ok(KeptDocument { location: location.to_owned(), id: TableId(id), owner: None })
}

fn kept_at(row: &Row) -> Result<KeptAnswer> {
    let corrupt = |problem: &str| StoreError::Corrupt(format!("receipt: {problem}"));
    let request: &[u8] = get(row, 0)?;
    let status: Option<i64> = get(row, 2)?;
    let answer = match (get::<&str>(row, 1)?, get::<Option<&str>>(row, 3)?) {
        ("done", _) => Answer::Done,
        ("document", Some(text)) => Answer::Document(document_of(text)?),
        ("properties", Some(text)) => {
            let [updated, removed, missing] =
                serde_json::from_str(text).map_err(|error| corrupt(&error.to_string()))?;
            Answer::Properties(PropertyChanges { updated, removed, missing })
        }
        ("said", Some(body)) => {
            let status = status.and_then(|status| u16::try_from(status).ok()).ok_or_else(|| corrupt("its status"))?;
            Answer::Refusal { status, body: body.to_owned() }
        }
        (kind, _) => return Err(corrupt(&format!("an answer of kind '{kind}' that cannot be read"))),
    };
    let request = request.try_into().map_err(|_| corrupt("a digest of another length"))?;
    Ok(KeptAnswer { request: RequestDigest(request), answer })
}
