//! `POST /v1/{prefix}/transactions/commit`: commits to several tables, all of them or none.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tidewater_core::commit::TableCommit;
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::Body;
use super::error::ApiError;
use super::permission::Scope;
use crate::access::action;
use crate::base::deadline::STOP;

/// The most tables of a transaction that the log names.
const NAMED: usize = 5;

/// The tables of a transaction, for the log.
struct Names<'a>(&'a [TableCommit]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, table) in self.0.iter().filter_map(|commit| commit.identifier.as_ref()).take(NAMED).enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{}.{}", table.namespace.join("."), table.name)?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CommitTable>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let parse = |body: &[u8]| TableCommit::parse_transaction_until(body, STOP);
    let commits = body.parse(&api, RequestKind::Transaction, parse).await?;
    scope.note_object(Names(&commits));
    if !scope.once.is_done() {
        let change = scope.change(&api);
        api.catalog.transaction_commit(&scope.authorizer, &scope.warehouse, commits, &change).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
