//! Connecting clients, keys, access, usage and audit records.

use tidewater_console::doctor::{ConnectPage, examine, snippets};
use tidewater_console::frame::render;
use tidewater_console::history::{Filter, HistoryPage, RecordRow};
use tidewater_console::keys::{AccessPage, ExplainedRow, KeyRow, KeysPage, NewKey, Question};
use tidewater_console::link::{Link, encoded};
use tidewater_console::snippets::Catalog;
use tidewater_console::usage::{Chart, MAX_DAYS, UsagePage};
use tidewater_console::{Frame, Place, texts as t};
use tidewater_core::access::Action;

use super::browse::warehouses;
use super::door::Refusal;
use super::page::{Asked, Page, organisation_path};
use super::query::quoted;

/// The number of entries of a page of a list.
const PAGE_SIZE: &str = "100";

/// What the settings of clients have in the place of a key: the console never shows one again.
pub(super) const KEY: &str = "flx_...";

/// Adds the calls to a frame, with the command that does the same as the last one.
fn with_calls(asked: &Asked<'_>, mut frame: Frame, command: &str) -> Frame {
    frame.calls = asked.door.take_calls();
    if let Some(call) = frame.calls.last_mut() {
        call.command = Some(format!("{command} --org {}", quoted(&asked.door.session.who.organisation)));
    }
    frame
}

/// Shows the settings of clients, and examines the text of a client if one was sent.
pub(super) async fn connect(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let listed = warehouses(asked.door).await?;
    let wanted = asked.query.get("w").and_then(|name| listed.iter().find(|one| one.name == name));
    let shown = wanted.or_else(|| listed.iter().find(|one| one.is_default)).or_else(|| listed.first());
    let warehouse = shown.map(|one| one.name.clone()).unwrap_or_default();
    let text = asked.query.text("text").to_owned();
    let mut frame = asked.frame(t::NAV_CONNECT, Place::Connect);
    frame.calls = asked.door.take_calls();
    let catalog = Catalog { uri: asked.address, warehouse: &warehouse, token: KEY };
    Ok(Page::Html(render(&ConnectPage {
        frame,
        warehouses: listed.into_iter().map(|one| one.name).collect(),
        snippets: snippets(&catalog),
        findings: examine(&text),
        warehouse,
        text,
        address: asked.address.to_owned(),
    })))
}

/// Shows the keys of the organisation, and a key that was just made.
pub(super) async fn keys(asked: &Asked<'_>, new: Option<NewKey>) -> Result<Page, Refusal> {
    let path = Link::to(&organisation_path(asked, "/keys"))
        .with_some("page-token", asked.query.get("page"))
        .with("page-size", PAGE_SIZE);
    let found = asked.door.get(&path.text()).await?;
    let keys = found["keys"].as_array().into_iter().flatten().map(KeyRow::parse).collect();
    let more = found["next-page-token"].as_str().map(|token| Link::to("keys").with("page", token).text());
    let frame = with_calls(asked, asked.frame(t::NAV_KEYS, Place::Keys), "tidewater key list");
    let own = asked.door.session.key();
    let is_complete = more.is_none() && asked.query.get("page").is_none();
    Ok(Page::Html(render(&KeysPage { frame, keys, more, new, own, is_complete })))
}

/// Explains who may do an action, and why.
pub(super) async fn access(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let query = asked.query;
    let warehouses: Vec<String> = warehouses(asked.door).await?.into_iter().map(|one| one.name).collect();
    let question = Question {
        warehouse: query.text("w").to_owned(),
        action: query.text("action").to_owned(),
        namespace: query.text("namespace").to_owned(),
        table: query.text("table").to_owned(),
        principal: query.text("principal").to_owned(),
    };
    let (mut rows, mut refused) = (None, None);
    if !question.action.is_empty() {
        let key = question.namespace.replace('.', "\u{1f}");
        let path = organisation_path(asked, &format!("/warehouses/{}/access", encoded(&question.warehouse)));
        let path = Link::to(&path)
            .with("action", &question.action)
            .with_some("namespace", Some(&key))
            .with_some("table", Some(&question.table))
            .with_some("principal", Some(&question.principal));
        match asked.door.get(&path.text()).await {
            Ok(found) => {
                rows = Some(found["access"].as_array().into_iter().flatten().map(ExplainedRow::parse).collect());
            }
            Err(refusal) if refusal.is_signed_out() => return Err(refusal),
            Err(refusal) => refused = Some(refusal.message),
        }
    }
    let mut frame = asked.frame(t::WHO_CAN, Place::Access);
    frame.calls = asked.door.take_calls();
    let actions = Action::ALL.into_iter().map(Action::name).collect();
    Ok(Page::Html(render(&AccessPage { frame, warehouses, actions, question, rows, refused })))
}

/// Shows the usage of the last days against the tier's limits.
pub(super) async fn usage(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let now_ms = asked.door.api.now_ms();
    let day = |ms: i64| tidewater_console::format::time(ms).chars().take(10).collect::<String>();
    let before_ms = (MAX_DAYS as i64 - 1) * 86_400_000;
    let path =
        Link::to(&organisation_path(asked, "/usage")).with("from", &day(now_ms - before_ms)).with("to", &day(now_ms));
    let chart = Chart::parse(&asked.door.get(&path.text()).await?, now_ms);
    let frame = with_calls(asked, asked.frame(t::NAV_USAGE, Place::Usage), "tidewater org usage");
    Ok(Page::Html(render(&UsagePage { frame, chart })))
}

/// Shows audit records that match filters.
pub(super) async fn history(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let query = asked.query;
    let filtered = |link: Link| {
        ["actor", "operation", "object", "decision"]
            .into_iter()
            .fold(link, |link, name| link.with_some(name, query.get(name)))
    };
    let path = filtered(Link::to(&organisation_path(asked, "/audit"))).with_some("page-token", query.get("page"));
    let found = asked.door.get(&path.with("page-size", PAGE_SIZE).text()).await?;
    let records = found["records"].as_array().into_iter().flatten().map(RecordRow::parse).collect();
    let more = found["next-page-token"].as_str();
    let more = more.map(|token| filtered(Link::to("history")).with("page", token).text());
    let filter = Filter {
        actor: query.text("actor").to_owned(),
        operation: query.text("operation").to_owned(),
        object: query.text("object").to_owned(),
        decision: query.text("decision").to_owned(),
    };
    let frame = with_calls(asked, asked.frame(t::NAV_HISTORY, Place::History), "tidewater audit");
    Ok(Page::Html(render(&HistoryPage { frame, filter, records, more })))
}
