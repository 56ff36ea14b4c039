//! Audit records of requests: refusals, sign-ins, credentials, administration, and reads if the settings ask for them. Changes have events,
//! which the store writes in their transactions.
//!
//! What a record needs travels in the extensions of an answer to [`finish`], which knows the request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tidewater_core::ids::OrganisationId;

use super::Api;
use super::admission::note_route;
use super::audit_marks::{GaveAccess, Refusal, SignedIn};
use super::audit_rules::{self, Class, Rule};
use super::error::ApiError;
use super::logged_text::{MAX_PATH, Names, shown};
use super::request_log::{LoggedRequest, RequestFacts};
use crate::store::{AuditDecision, AuditEntry, AuditRecord, AuditType};

/// The most characters of a refusal's message.
const MAX_MESSAGE: usize = 512;

/// The kind of an actor that is not known.
const ANONYMOUS: &str = "anonymous";

/// Returns the answer to a request that must be recorded while records cannot be written.
pub(super) fn refuse_unrecorded(api: &Api) -> Response {
    api.audit.measures().refused.inc();
    ApiError::not_recorded(api.audit.failing_part()).into_response()
}

/// Returns whether a request to a route of the router is refused before it begins, because records cannot be written: changes, sign-ins,
/// signatures and, if reads are recorded, reads. A request to a route without a rule changes nothing.
fn must_be_recorded(api: &Api, method: &Method, route: &str) -> bool {
    // The router answers a request for the headers with the answer of `GET`.
    let rule = audit_rules::find(method, route)
        .or_else(|| (method == Method::HEAD).then(|| audit_rules::find(&Method::GET, route))?);
    rule.is_some_and(|rule| match rule.class {
        Class::Change | Class::Administration | Class::SignIn => true,
        Class::Read => api.audit.records_reads() || (rule.signs() && api.audit.settings().credentials),
        Class::Open => false,
    })
}

/// Returns whether a request is refused before it begins. The management API decides after it knows the sender, so that operators can repair.
pub(super) fn is_refused(api: &Api, method: &Method, route: &str) -> bool {
    api.audit.is_closed() && must_be_recorded(api, method, route)
}

/// Refuses a request that must be recorded while records cannot be written. The matched route decides: a path may have any names.
pub(super) async fn refuse_if_closed(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if let Some(route) = request.extensions().get::<MatchedPath>()
        && is_refused(&api, request.method(), route.as_str())
    {
        note_route(&request);
        return refuse_unrecorded(&api);
    }
    next.run(request).await
}

/// Returns whether an answer may need a record. Most answers do not: reads that succeed.
#[inline]
pub(super) fn concerns(api: &Api, facts: &RequestFacts, response: &Response) -> bool {
    // No short circuit: one branch.
    response.status().is_client_error()
        | !response.extensions().is_empty()
        | facts.signed_in().load(Ordering::Relaxed)
        | api.audit.records_reads()
}

/// Records a request that was answered, if it needs a record. Returns the answer, or 503 if it may not be given without a record.
pub(super) async fn finish(
    api: &Api,
    asked: &LoggedRequest<'_>,
    facts: &RequestFacts,
    route: Option<&str>,
    mut response: Response,
) -> Response {
    let status = response.status();
    let refusal = response.extensions_mut().remove::<Refusal>().or_else(|| Refusal::of_status(status));
    let signed_in = response.extensions_mut().remove::<SignedIn>();
    let gave = response.extensions_mut().remove::<GaveAccess>();
    let request = AnsweredRequest { api, asked, facts, route: route.or(facts.route_text()), status };
    // A server error refuses nobody.
    if let Some(refusal) = refusal.filter(|_| status.is_client_error()) {
        api.audit.note(request.refused(&refusal));
        return response;
    }
    if !status.is_success() && status != StatusCode::NOT_MODIFIED {
        return response;
    }
    for record in request.allowed(signed_in, gave) {
        // Operators and the machine's users repair a server that cannot write records.
        if facts.may_repair() {
            api.audit.note(record);
        } else if api.audit.record(record).await.is_err() {
            return refuse_unrecorded(api);
        }
    }
    response
}

/// Notes a request that was refused before it was parsed as one of the API.
pub(super) fn note_malformed(api: &Api, asked: &LoggedRequest<'_>, response: &mut Response) {
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else { return };
    let facts = RequestFacts::default();
    let request = AnsweredRequest { api, asked, facts: &facts, route: None, status: response.status() };
    api.audit.note(request.refused(&refusal));
}

/// An answered request.
struct AnsweredRequest<'a> {
    api: &'a Api,
    asked: &'a LoggedRequest<'a>,
    facts: &'a RequestFacts,
    route: Option<&'a str>,
    status: StatusCode,
}

impl AnsweredRequest<'_> {
    fn rule(&self) -> Option<&'static Rule> {
        self.route.and_then(|route| audit_rules::find(self.asked.method, route))
    }

    /// Returns the record of a refusal.
    fn refused(&self, refusal: &Refusal) -> AuditRecord {
        let mut record = self.record(AuditType::Refusal, AuditDecision::Denied);
        let entry = &mut record.entry;
        entry.reason = Some(refusal.reason.to_owned());
        entry.message = Some(shown(&refusal.message, MAX_MESSAGE)).filter(|message| !message.is_empty());
        if let Some(holder) = refusal.holder.as_deref().filter(|_| entry.actor_id.is_none()) {
            entry.set_actor(&holder.actor);
            entry.role = holder.role.map(|role| role.as_str().to_owned());
            if let Some((id, name)) = &holder.organisation {
                record.organisation = Some(*id);
                entry.organisation = Some(name.to_string());
            }
        }
        record
    }

    /// Returns the records of a request that was allowed.
    fn allowed(&self, signed_in: Option<SignedIn>, gave: Option<GaveAccess>) -> Vec<AuditRecord> {
        let mut records = Vec::new();
        if signed_in.is_none() && self.facts.signed_in().load(Ordering::Relaxed) {
            let mut record = self.record(AuditType::SignIn, AuditDecision::Allowed);
            "sign-in".clone_into(&mut record.entry.operation);
            record.entry.details.insert("method".to_owned(), "provider-token".into());
            records.push(record);
        }
        let reads = self.api.audit.records_reads();
        // The search for a rule takes longer than the rest.
        let may_administer = audit_rules::may_administer(self.asked.method, self.asked.uri.path());
        let rule = if reads || signed_in.is_some() || may_administer { self.rule() } else { None };
        match rule.map(|rule| rule.class) {
            Some(Class::SignIn) => records.extend(signed_in.map(|signed_in| {
                let mut record = self.record(AuditType::SignIn, AuditDecision::Allowed);
                record.entry.details.insert("method".to_owned(), signed_in.method.into());
                record.entry.details.insert("scope".to_owned(), shown(&signed_in.scope, MAX_MESSAGE).into());
                record
            })),
            Some(Class::Administration) => {
                records.push(self.record(AuditType::Administration, AuditDecision::Allowed));
            }
            Some(Class::Read) if reads => {
                records.push(self.record(AuditType::Read, AuditDecision::Allowed));
            }
            _ => {}
        }
        records.extend(gave.filter(|_| self.api.audit.settings().credentials).map(|gave| {
            let mut record = self.record(AuditType::Credentials, AuditDecision::Allowed);
            record.entry.object_id = gave.table;
            record.entry.details.insert("given".to_owned(), gave.given.into());
            record.entry.details.insert("access".to_owned(), gave.access.into());
            record
        }));
        records
    }

    /// Returns a record with all that is known of the request.
    fn record(&self, kind: AuditType, decision: AuditDecision) -> AuditRecord {
        let rule = self.rule();
        let mut entry = AuditEntry::new(kind, rule.map_or("unknown", |rule| rule.operation), decision);
        let names = self.route.map(|route| Names::from_path(route, self.asked.uri.path())).unwrap_or_default();
        match self.facts.actor() {
            Some(actor) => entry.set_actor(&actor),
            None => {
                ANONYMOUS.clone_into(&mut entry.actor);
                ANONYMOUS.clone_into(&mut entry.actor_type);
            }
        }
        let caller = self.facts.known_caller();
        entry.role = caller.map(|caller| caller.role().as_str().to_owned());
        entry.organisation = caller.map(|caller| caller.organisation_name().to_owned()).or(names.organisation.clone());
        if let Some(rule) = rule {
            let (object, object_type) = rule.object(&names, self.facts.object_in_body());
            entry.object = object;
            object_type.clone_into(&mut entry.object_type);
        } else {
            entry.details.insert("method".to_owned(), shown(self.asked.method.as_str(), MAX_PATH).into());
            entry.details.insert("path".to_owned(), shown(self.asked.uri.path(), MAX_PATH).into());
        }
        entry.warehouse = names.warehouse;
        entry.status = Some(self.status.as_u16());
        entry.address = self.asked.from.map(|from| from.to_canonical());
        entry.user_agent = self.asked.agent().filter(|agent| !agent.is_empty());
        entry.request_id = self.asked.id.to_str().ok().map(|id| shown(id, MAX_PATH));
        let organisation: Option<OrganisationId> = caller.map(|caller| caller.organisation());
        AuditRecord { id: 0, organisation, at_ms: self.api.clock.now_ms(), entry }
    }
}
