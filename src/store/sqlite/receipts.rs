//! Answers to requests with an idempotency key.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use uuid::Uuid;

use super::SqliteStore;
use super::convert::{Violation, id, violation};
use crate::store::{
    Answer, Change, KeptAnswer, KeptDocument, PropertyChanges, Receipt, ReceiptStore, RequestDigest, Resource, Result,
    StoreError,
};

pub(super) const GET: &str = "SELECT request, kind, status, text FROM receipt
    WHERE organisation = ?1 AND principal = ?2 AND key = ?3 AND expires_ms > ?4";

/// Fails if the receipt's key has an unexpired answer.
pub(super) fn check_unused(
    connection: &Connection,
    organisation: OrganisationId,
    receipt: &Receipt,
    now_ms: i64,
) -> Result<()> {
    let used = connection
        .prepare_cached(
            "SELECT 1 FROM receipt WHERE organisation = ?1 AND principal = ?2 AND key = ?3 AND expires_ms > ?4",
        )?
        .exists(params![organisation.0.as_bytes(), receipt.principal.0.as_bytes(), receipt.key.as_bytes(), now_ms])?;
    if used { Err(StoreError::Repeated) } else { Ok(()) }
}

pub(super) fn receipt_add(
    connection: &Connection,
    organisation: OrganisationId,
    receipt: &Receipt,
    answer: &Answer,
    now_ms: i64,
) -> Result<()> {
    let (kind, status, text) = columns(answer)?;
    let added = connection
        .prepare_cached(
            "INSERT INTO receipt (organisation, principal, key, request, kind, status, text, expires_ms)
             VALUES (?1, ?9, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (organisation, principal, key) DO UPDATE
             SET request = excluded.request, kind = excluded.kind, status = excluded.status, text = excluded.text,
                 expires_ms = excluded.expires_ms
             WHERE expires_ms <= ?8",
        )?
        .execute(params![
            organisation.0.as_bytes(),
            receipt.key.as_bytes(),
            receipt.request.0,
            kind,
            status,
            text,
            receipt.expires_ms,
            now_ms,
            receipt.principal.0.as_bytes(),
        ]);
    match added {
        Ok(0) => Err(StoreError::Repeated),
        Ok(_) => Ok(()),
        Err(error) if violation(&error) == Some(Violation::ForeignKey) => {
            Err(StoreError::NotFound(Resource::Organisation))
        }
        Err(error) => Err(error.into()),
    }
}

/// Forgets the answer of a request whose change was undone.
pub(super) fn receipt_forget(connection: &Connection, organisation: OrganisationId, receipt: &Receipt) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM receipt WHERE organisation = ?1 AND principal = ?2 AND key = ?3 AND request = ?4")?
        .execute(params![
            organisation.0.as_bytes(),
            receipt.principal.0.as_bytes(),
            receipt.key.as_bytes(),
            receipt.request.0
        ])?;
    Ok(())
}

pub(super) fn receipt_get(
    connection: &Connection,
    organisation: OrganisationId,
    (principal, key): (PrincipalId, Uuid),
    now_ms: i64,
) -> Result<Option<KeptAnswer>> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows =
        statement.query(params![organisation.0.as_bytes(), principal.0.as_bytes(), key.as_bytes(), now_ms])?;
    let mut kept = rows.next()?.map(kept_at).transpose()?;
    if let Some(KeptAnswer { answer: Answer::Document(document), .. }) = &mut kept {
        document.owner = owner_of(connection, organisation, document.id)?;
    }
    Ok(kept)
}

/// Returns the principal that created a table or view, live or dropped.
fn owner_of(connection: &Connection, organisation: OrganisationId, table: TableId) -> Result<Option<PrincipalId>> {
    let owner: Option<Option<[u8; 16]>> = connection
        .prepare_cached(
            "SELECT owner FROM tabular WHERE organisation = ?1 AND id = ?2
             UNION ALL SELECT owner FROM dropped WHERE organisation = ?1 AND id = ?2",
        )?
        .query_row(params![organisation.0.as_bytes(), table.0.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(owner.flatten().map(|owner| id(PrincipalId, owner)))
}

pub(super) fn receipt_remove_expired(connection: &Connection, now_ms: i64, at_most: u32) -> Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM receipt WHERE (organisation, principal, key) IN
                 (SELECT organisation, principal, key FROM receipt WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
        )?
        .execute(params![now_ms, at_most])?;
    Ok(removed as u64)
}

fn columns(answer: &Answer) -> Result<(&'static str, Option<u16>, Option<String>)> {
    Ok(match answer {
        Answer::Done => ("done", None, None),
        Answer::Document(document) => ("document", None, Some(document_text(document))),
        Answer::Properties(PropertyChanges { updated, removed, missing }) => {
            let text = serde_json::to_string(&[updated, removed, missing]);
            ("properties", None, Some(text.map_err(|error| StoreError::Unavailable(Box::new(error)))?))
        }
        Answer::Refusal { status, body } => ("said", Some(*status), Some(body.clone())),
    })
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

fn kept_at(row: &Row<'_>) -> Result<KeptAnswer> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("receipt: {what}"));
    let kind: String = row.get(1)?;
    let text: Option<String> = row.get(3)?;
    let answer = match (kind.as_str(), text) {
        ("done", _) => Answer::Done,
        ("document", Some(text)) => Answer::Document(document_of(&text)?),
        ("properties", Some(text)) => {
            let [updated, removed, missing] =
                serde_json::from_str(&text).map_err(|error| corrupt(&error.to_string()))?;
            Answer::Properties(PropertyChanges { updated, removed, missing })
        }
        ("said", Some(body)) => Answer::Refusal { status: row.get(2)?, body },
        (kind, _) => return Err(corrupt(&format!("an answer of kind '{kind}' that cannot be read"))),
    };
    Ok(KeptAnswer { request: RequestDigest(row.get(0)?), answer })
}

impl SqliteStore {
    /// Does `work`. If it succeeds and the change has a receipt, stores the answer that `answer` makes of the result under the
    /// receipt's key.
    pub(super) async fn change<T, F, A>(
        &self,
        organisation: OrganisationId,
        change: &Change,
        work: F,
        answer: A,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection, &Change) -> Result<T> + Send + 'static,
        A: Fn(&T) -> Answer + Send + 'static,
    {
        let change = change.clone();
        let Some(receipt) = change.receipt.clone() else {
            let work = move |connection: &Connection| work(connection, &change);
            return self.writer.write_for(Some(organisation), work).await;
        };
        let work = move |connection: &Connection| {
            check_unused(connection, organisation, &receipt, change.at_ms)?;
            let done = work(connection, &change)?;
            receipt_add(connection, organisation, &receipt, &answer(&done), change.at_ms)?;
            Ok(done)
        };
        self.writer.write_for(Some(organisation), work).await
    }
}

#[async_trait]
impl ReceiptStore for SqliteStore {
    async fn receipt_get(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        key: Uuid,
        now_ms: i64,
    ) -> Result<Option<KeptAnswer>> {
        self.read(|connection| receipt_get(connection, organisation, (principal, key), now_ms))
    }

    async fn receipt_add(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<()> {
        let (receipt, answer) = (receipt.clone(), answer.clone());
        let work = move |connection: &Connection| receipt_add(connection, organisation, &receipt, &answer, now_ms);
        self.writer.write_for(Some(organisation), work).await
    }

    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| receipt_remove_expired(connection, now_ms, at_most)).await
    }
}
