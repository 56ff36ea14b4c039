//! The only place where an error becomes a status.

mod callers;
mod table_reads;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::header::{ACCEPT_ENCODING, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidewater_core::storage::s3_request::Refused as NotSigned;

use super::audit_marks::{RESTRICTED, Refusal, reason_of};
use crate::admin::AdminError;
use crate::auth::RefusedHolder;
use crate::catalog::CatalogError;
use crate::catalog::idempotency::IdempotencyError;
use crate::heavy::HeavyError;
use crate::history::reports::TakeError;
use crate::metadata::MetadataError;
use crate::planning::PlanError;
use crate::storage::StorageError;
use crate::store::{Resource, StoreError};
use crate::upkeep::UpkeepError;
use crate::vending::VendingError;

/// When to retry a request that changed nothing because a part of the catalog was unavailable.
const RETRY_AFTER_S: u64 = 2;

/// An error in the specification's shape. Clients read `type` and `code` in the body, so both match the status.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    retry_after_s: Option<u64>,
    repeated: bool,
    outcome_is_unknown: bool,
    failure: Option<Failure>,
    /// Why the caller is refused, for the audit record.
    refusal: Option<Box<Refused>>,
}

/// Why a caller is refused.
#[derive(Debug)]
struct Refused {
    reason: &'static str,
    holder: Option<Arc<RefusedHolder>>,
}

/// The cause of a server error. It travels in the answer's extensions to the place that knows the request id, which logs it.
/// The client never sees it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) what: &'static str,
    pub(super) cause: String,
}

/// The longest message, cause or path in an answer or the log, in bytes. A client's text may be as long as a body.
const MAX_TEXT_BYTES: usize = 4_096;

/// How much of the end of a longer text is kept, in bytes: messages often end with what to do.
const KEPT_END_BYTES: usize = 1_024;

/// Returns the text, without its middle if it is too long.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let start = text.floor_char_boundary(MAX_TEXT_BYTES - KEPT_END_BYTES);
    let end = text.ceil_char_boundary(text.len() - KEPT_END_BYTES);
    format!("{} [{} bytes left out] {}", &text[..start], end - start, &text[end..])
}

/// Marks the answer to a request whose idempotency key was used meanwhile. The client does not get this answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeated;

/// Marks the answer to a request whose change may have been made.
#[derive(Debug, Clone, Copy)]
struct OutcomeUnknown;

/// Returns the answer to a request with this method. A read has no unknown outcome: it is answered that nothing was changed, with a
/// time to retry.
pub(super) fn finish(method: &Method, mut response: Response) -> Response {
    let Some(OutcomeUnknown) = response.extensions_mut().remove() else { return response };
    if !method.is_safe() {
        return response;
    }
    let mut read = ApiError::unavailable_before(&"").into_response();
    // The cause of the first answer goes to the log.
    *read.extensions_mut() = std::mem::take(response.extensions_mut());
    read
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorModel<'a>,
}

#[derive(Serialize)]
struct ErrorModel<'a> {
    message: &'a str,
    r#type: &'a str,
    code: u16,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: cut(&message.into()),
            retry_after_s: None,
            repeated: false,
            outcome_is_unknown: false,
            failure: None,
            refusal: None,
        }
    }

    /// Returns whether it may come from permissions that another server has changed, and that were decided about before any read of the
    /// store.
    pub(super) fn may_be_outdated(&self) -> bool {
        self.status == StatusCode::FORBIDDEN || self.kind == "NoSuchWarehouseException"
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "ForbiddenException", message)
    }

    fn too_many_requests(message: String, retry_after_s: u64) -> Self {
        let answer = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", message);
        Self { retry_after_s: Some(retry_after_s), ..answer }
    }

    pub(super) fn no_such_function(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchFunctionException", format!("Function does not exist: {name}"))
    }

    pub(super) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("The request body is larger than {limit_bytes} bytes, the most that this server accepts");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", message)
    }

    pub(super) fn unsupported_encoding() -> Self {
        let message =
            "The only accepted Content-Encoding is 'gzip', once: compress the body with gzip, or send it plain";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaTypeException", message)
    }

    /// Returns 408 for a body that paused too long. Nothing was begun.
    pub(super) fn body_paused(longer_than: Duration) -> Self {
        let message = format!(
            "The request body paused for longer than {} s: nothing was changed, try again",
            longer_than.as_secs()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", message)
    }

    /// Returns 500. The cause goes to the log, and not to the client.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        let message = "Internal error: the server's log has the details under this answer's x-request-id";
        let answer = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message);
        answer.because("internal error: a request failed", cause)
    }

    /// Returns 503 for a request that took too long. A commit that has begun still runs to its end, so the client must check
    /// the outcome before it tries again.
    pub(super) fn timed_out(after: Duration) -> Self {
        let message = format!("The request took longer than {} s; whether it happened is not known", after.as_secs());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    }

    /// Returns 503 without a time to retry: only an administrator can repair the cause.
    fn out_of_service(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    }

    /// Returns 503 with a time to retry: nothing was changed.
    fn storage_unavailable(cause: &dyn std::fmt::Display) -> Self {
        let answer = Self::out_of_service(
            "The warehouse's storage does not answer at the moment: nothing was changed, try again",
        );
        Self { retry_after_s: Some(RETRY_AFTER_S), ..answer.because("a warehouse's storage is not available", cause) }
    }

    fn storage_refuses(cause: &dyn std::fmt::Display) -> Self {
        let message = "The warehouse's storage refuses the catalog: an administrator finds the cause with \
                       `tidewater warehouse check`";
        Self::out_of_service(message).because("a warehouse's storage refuses the catalog", cause)
    }

    /// Returns 503 for a database that did not answer. A change may have been made, so the client must check before it tries again.
    /// [`finish`] replaces it in the answer to a read.
    fn unavailable(cause: &dyn std::fmt::Display) -> Self {
        let answer = Self::out_of_service(
            "The catalog's database does not answer at the moment: whether the change was made is not known",
        );
        Self { outcome_is_unknown: true, ..answer.because("a part that the catalog needs is not available", cause) }
    }

    /// Returns 503 for a request that must be recorded while audit records cannot be written. Nothing was changed.
    pub(super) fn not_recorded(failing_part: &str) -> Self {
        let message = format!(
            "Audit records cannot be written ({failing_part}), and the server's settings refuse requests without a record: nothing was \
             changed. An operator must repair it"
        );
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) }
    }

    /// Returns 503 with a time to retry for a database that did not answer before anything was changed.
    fn unavailable_before(cause: &dyn std::fmt::Display) -> Self {
        Self::not_made("The catalog's database does not answer at the moment: nothing was changed, try again", cause)
    }

    /// Returns 503 with a time to retry: the database refused the change.
    fn not_made(message: &str, cause: &dyn std::fmt::Display) -> Self {
        let answer = Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) };
        answer.because("a part that the catalog needs is not available", cause)
    }

    /// Returns the answer's body.
    pub(super) fn body(&self) -> serde_json::Value {
        let error = serde_json::json!({ "message": self.message, "type": self.kind, "code": self.status.as_u16() });
        serde_json::json!({ "error": error })
    }

    /// Returns the cause for the log, or the message if there is no other cause.
    pub(super) fn cause(&self) -> &str {
        self.failure.as_ref().map_or(&self.message, |failure| &failure.cause)
    }

    /// Marks it as the refusal of a caller, for a reason that is a word for programs.
    pub(super) fn refused(self, reason: &'static str) -> Self {
        Self { refusal: Some(Box::new(Refused { reason, holder: None })), ..self }
    }

    /// Marks it as the answer about an object that is hidden from the caller.
    pub(super) fn hidden(self) -> Self {
        self.refused("hidden")
    }

    fn because(self, what: &'static str, cause: &dyn std::fmt::Display) -> Self {
        Self { failure: Some(Failure { what, cause: cut(&cause.to_string()) }), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body =
            ErrorBody { error: ErrorModel { message: &self.message, r#type: self.kind, code: self.status.as_u16() } };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.repeated {
            response.extensions_mut().insert(Repeated);
        }
        if self.outcome_is_unknown {
            response.extensions_mut().insert(OutcomeUnknown);
        }
        if let Some(failure) = self.failure {
            response.extensions_mut().insert(failure);
        }
        if let Some(Refused { reason, holder }) = self.refusal.map(|refusal| *refusal) {
            response.extensions_mut().insert(Refusal { reason, message: self.message, holder });
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidewater\""));
        }
        response
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let message = error.to_string();
        let (status, kind) = match error {
            CatalogError::NoSuchWarehouse(_) | CatalogError::NoDefaultWarehouse => {
                (StatusCode::NOT_FOUND, "NoSuchWarehouseException")
            }
            CatalogError::NoSuchNamespace(_) | CatalogError::RestoreWithoutNamespace(_) => {
                (StatusCode::NOT_FOUND, "NoSuchNamespaceException")
            }
            CatalogError::NoSuchTable(_) | CatalogError::NoSuchDropped(_) => {
                (StatusCode::NOT_FOUND, "NoSuchTableException")
            }
            CatalogError::NoSuchView(_) => (StatusCode::NOT_FOUND, "NoSuchViewException"),
            CatalogError::NamespaceExists(_)
            | CatalogError::TableExists(_)
            | CatalogError::ViewExists(_)
            | CatalogError::NameTaken { .. }
            | CatalogError::RenameTaken { .. }
            | CatalogError::RestoreTaken { .. } => (StatusCode::CONFLICT, "AlreadyExistsException"),
            CatalogError::NamespaceNotEmpty(_) => (StatusCode::CONFLICT, "NamespaceNotEmptyException"),
            CatalogError::NotRestorable(..) => (StatusCode::CONFLICT, "NotRestorableException"),
            CatalogError::TableLimit(_) => return Self::forbidden(message).refused("table-limit"),
            CatalogError::Forbidden(_) => (StatusCode::FORBIDDEN, "ForbiddenException"),
            CatalogError::PropertyConflict(_) => (StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException"),
            CatalogError::BadRequest(_) | CatalogError::LocationTaken { .. } | CatalogError::LocationHeld { .. } => {
                (StatusCode::BAD_REQUEST, "BadRequestException")
            }
            CatalogError::IllegalArgument(_) => (StatusCode::BAD_REQUEST, "IllegalArgumentException"),
            CatalogError::CommitFailed(_) => (StatusCode::CONFLICT, "CommitFailedException"),
            CatalogError::CommitStateUnknown(..) | CatalogError::RegisteredWithoutFile { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "CommitStateUnknownException")
            }
            // Neither 404 nor 409: engines conclude from these that the change was not made, and remove their new files.
            CatalogError::EventsRemoved => (StatusCode::GONE, "EventsRemovedException"),
            CatalogError::AnswerGone(_) => (StatusCode::GONE, "AnswerGoneException"),
            CatalogError::AnswerUnavailable(_, cause) => {
                let answer = Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) };
                return answer.because("the answer to a repeated request cannot be read", &cause);
            }
            CatalogError::Denied(denial) => return Self::forbidden(message).refused(reason_of(&denial)),
            CatalogError::Hidden(missing) => return Self::from(*missing).hidden(),
            CatalogError::Refused(error) => return error.into(),
            CatalogError::Metadata(error) => return error.into(),
            CatalogError::Heavy(error) => return error.into(),
            CatalogError::Store(error) => return error.into(),
            CatalogError::Unread(error) => return Self::unavailable_before(&error),
            CatalogError::Repeated => {
                return Self { repeated: true, ..Self::internal(&message) };
            }
            CatalogError::Vending(error) => return error.into(),
            CatalogError::WarehouseUnusable(_) => {
                return Self::out_of_service(message).because("a warehouse cannot be used", &"see the line before");
            }
            CatalogError::Stopped(cause) => return Self::internal(&cause),
        };
        Self::new(status, kind, message)
    }
}

impl From<HeavyError> for ApiError {
    fn from(error: HeavyError) -> Self {
        let message = match error {
            HeavyError::TimeIsOver(_) => {
                "The request waited or worked for longer than a request may take, and was given up: nothing was changed"
            }
            HeavyError::Full => {
                "Too many large requests of your organisation wait already: nothing was changed, try again"
            }
            HeavyError::Stopped(cause) => return Self::internal(&cause),
        };
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) }
    }
}

impl From<MetadataError> for ApiError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Heavy(error) => error.into(),
            MetadataError::TooLarge { .. }
            | MetadataError::UnpacksTooLarge { .. }
            | MetadataError::TooLargeToWrite { .. } => Self::bad_request(error.to_string()),
            MetadataError::Missing(_) => Self::new(StatusCode::NOT_FOUND, "NotFoundException", error.to_string()),
            MetadataError::Location(error) => Self::bad_request(error.to_string()),
            MetadataError::Storage(error @ StorageError::Impossible(_)) => Self::bad_request(error.to_string()),
            // The service that provides the machine's credentials may be back in a moment.
            MetadataError::Storage(error @ (StorageError::Unavailable { .. } | StorageError::NoCredentials { .. })) => {
                Self::storage_unavailable(&error)
            }
            // The catalog reports a file in the way of a new table itself. Below an existing table it is a fault of the storage.
            MetadataError::Storage(error @ StorageError::BelowFile { .. }) => Self::storage_unavailable(&error),
            MetadataError::Storage(error @ StorageError::NoSpace { .. }) => {
                let message =
                    "The warehouse's storage has no space left: nothing was changed. An administrator must free some";
                let answer = Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) };
                answer.because("a warehouse's storage is not available", &error)
            }
            MetadataError::Storage(error @ StorageError::Refused { .. }) => Self::storage_refuses(&error),
            error => Self::internal(&error),
        }
    }
}

impl From<UpkeepError> for ApiError {
    fn from(error: UpkeepError) -> Self {
        let message = error.to_string();
        match error {
            UpkeepError::Busy(_) => Self::new(StatusCode::CONFLICT, "CommitFailedException", message),
            UpkeepError::TooMany => Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) },
            UpkeepError::Policy(_) => Self::bad_request(message),
            UpkeepError::NoDelete(_) => Self::forbidden(message),
            UpkeepError::Denied(denial) => denial.into(),
            UpkeepError::Store(StoreError::LimitReached { limit }) => Self::forbidden(format!(
                "The organisation has {limit} policies of maintenance, the most that it may have: set one on a namespace or the \
                 warehouse instead"
            )),
            UpkeepError::Store(StoreError::NotFound(_)) => {
                Self::new(StatusCode::NOT_FOUND, "NotFoundException", "The object of the policy was dropped")
            }
            UpkeepError::Store(error) => error.into(),
        }
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        let message = error.to_string();
        match error {
            PlanError::BadRequest(_) => Self::bad_request(message),
            PlanError::Restricted(_) => Self::forbidden(message).refused(RESTRICTED),
            PlanError::Unsupported(_) => {
                Self::new(StatusCode::NOT_ACCEPTABLE, "UnsupportedOperationException", message)
            }
            PlanError::NoSuchTask => Self::new(StatusCode::NOT_FOUND, "NoSuchPlanTaskException", message),
            PlanError::NoSuchPlan(_) => Self::new(StatusCode::NOT_FOUND, "NoSuchPlanIdException", message),
            PlanError::Missing(_) => Self::new(StatusCode::NOT_FOUND, "NotFoundException", message),
            PlanError::Busy(_) => Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) },
            PlanError::NoKey(_) => {
                Self::out_of_service(message).because("plan tasks cannot be sealed", &"see the line before")
            }
            PlanError::Metadata(error) => error.into(),
            PlanError::Heavy(error) => error.into(),
        }
    }
}

impl From<VendingError> for ApiError {
    fn from(error: VendingError) -> Self {
        match error {
            VendingError::Refused { .. } => Self::storage_refuses(&error),
            VendingError::Unavailable { .. } => Self::storage_unavailable(&error),
            VendingError::NotSigned(NotSigned::Forbidden(_)) => Self::forbidden(error.to_string()),
            VendingError::NotSigned(NotSigned::Malformed(_))
            | VendingError::NoSigning
            | VendingError::Policy(_)
            | VendingError::Sas(_)
            | VendingError::Boundary(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(Resource::Warehouse) => {
                Self::new(StatusCode::NOT_FOUND, "NoSuchWarehouseException", "The warehouse was dropped")
            }
            StoreError::Busy => {
                let message = "Too many changes wait to be written at the moment: nothing was changed, try again";
                Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) }
            }
            StoreError::TooManyReads => {
                let message = "Too many lists of your organisation, or of all, wait for the catalog's database at the moment: run fewer at \
                               the same time, and try again";
                Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::out_of_service(message) }
            }
            StoreError::Full(_) => {
                let message = "The disk of the catalog's database has no space left: nothing was changed. An administrator \
                               must free some";
                Self::not_made(message, &error)
            }
            StoreError::NotMade(_) => {
                let message = "The catalog's database could not make the change: nothing was changed, try again";
                Self::not_made(message, &error)
            }
            StoreError::NotStorable(_) => Self::bad_request(format!("Cannot make the request: {error}")),
            StoreError::Unavailable(_) => Self::unavailable(&error),
            error => Self::internal(&error),
        }
    }
}

impl From<TakeError> for ApiError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Malformed(_) => Self::bad_request(error.to_string()),
            TakeError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", error.to_string())
            }
        }
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        let message = error.to_string();
        match error {
            AdminError::Invalid(_) => Self::bad_request(message),
            AdminError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "NotFoundException", message),
            AdminError::NoSuchWarehouse(_) => Self::new(StatusCode::NOT_FOUND, "NoSuchWarehouseException", message),
            AdminError::Exists(_) => Self::new(StatusCode::CONFLICT, "AlreadyExistsException", message),
            AdminError::Conflict(_) => Self::new(StatusCode::CONFLICT, "ConflictException", message),
            AdminError::Forbidden(_) | AdminError::TooMany(_) => Self::forbidden(message),
            AdminError::Unsupported(_) => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "UnsupportedOperationException", message)
            }
            AdminError::NoEntropy(error) => Self::internal(&error),
            AdminError::Auth(error) => error.into(),
            AdminError::Catalog(error) => error.into(),
            AdminError::Store(error) => error.into(),
            AdminError::Failed(cause) => Self::internal(&cause),
        }
    }
}

impl From<IdempotencyError> for ApiError {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::OtherRequest => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException", error.to_string())
            }
            IdempotencyError::Store(error) => error.into(),
            IdempotencyError::Unread(error) => Self::unavailable_before(&error),
        }
    }
}

/// Answers a path that is not a route.
pub(super) async fn no_such_route(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(StatusCode::NOT_FOUND, "NotFoundException", format!("No such route: {method} {path}"))
}

/// Answers a method that a route does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("{method} is not allowed on {path}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowedException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthError;

    #[test]
    fn lost_database_tells_a_read_to_retry_and_a_change_that_its_outcome_is_unknown() {
        let lost = || ApiError::from(StoreError::Unavailable("connection refused".into())).into_response();
        let read = finish(&Method::GET, lost());
        assert_eq!((read.status().as_u16(), read.headers()[RETRY_AFTER].to_str().unwrap()), (503, "2"));
        assert_eq!(
            read.extensions().get::<Failure>().unwrap().cause,
            "the database is not available: connection refused"
        );
        let change = finish(&Method::POST, lost());
        assert_eq!((change.status().as_u16(), change.headers().get(RETRY_AFTER)), (503, None));
        let text = ApiError::from(StoreError::Unavailable("refused".into())).message;
        assert!(text.contains("whether the change was made is not known"), "{text}");
        let early = ApiError::from(AuthError::Unavailable(Arc::new(StoreError::Unavailable("".into()))));
        assert!(early.message.contains("nothing was changed") && early.retry_after_s.is_some(), "{early:?}");
        let early = ApiError::from(CatalogError::Unread(StoreError::Unavailable("refused".into())));
        assert!(early.message.contains("nothing was changed") && early.retry_after_s.is_some(), "{early:?}");
        let change = finish(&Method::POST, early.into_response());
        assert_eq!((change.status().as_u16(), change.headers()[RETRY_AFTER].to_str().unwrap()), (503, "2"));
    }

    #[test]
    fn value_that_the_database_cannot_store_is_a_bad_request() {
        let refused = ApiError::from(StoreError::NotStorable("it is too long"));
        assert_eq!((refused.status, refused.retry_after_s), (StatusCode::BAD_REQUEST, None));
        assert!(refused.message.contains("cannot store a value of the request: it is too long"), "{refused:?}");
    }

    #[test]
    fn long_text_loses_its_middle_and_short_text_is_unchanged() {
        assert_eq!(cut("ref 'main' is missing"), "ref 'main' is missing");
        let long = format!("ref '{}' is missing: try again", "ü".repeat(4 << 20));
        let short = cut(&long);
        assert!(short.len() < MAX_TEXT_BYTES + 100, "{}", short.len());
        assert!(short.starts_with("ref 'ü") && short.ends_with("ü' is missing: try again"));
        let cause = ApiError::bad_request("a").because("b", &long).failure.unwrap().cause;
        assert_eq!((cause, ApiError::bad_request(long).message), (short.clone(), short));
    }
}
