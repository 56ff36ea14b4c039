//! Tests of all pages together: escaping, no inline code, labels, complete texts.

mod care;

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::browse::{BinPage, BrowsePage, DroppedRow, HomePage, Kind, Listing, Lists, Location, WarehouseRow};
use crate::committers::{Committers, TableName};
use crate::doctor::{ConnectPage, snippets};
use crate::events;
use crate::frame::{Call, ErrorPage, Frame, Place, Who, render};
use crate::history::{Filter, HistoryPage, RecordRow};
use crate::key_page;
use crate::keys::{AccessPage, ExplainedRow, KeyRow, KeysPage, NewKey, Question};
use crate::link::Link;
use crate::notice::{Notice, Refused, Then};
use crate::operators;
use crate::people;
use crate::records::{Field, Form, Records, RecordsPage};
use crate::sign_in::SignInPage;
use crate::snapshots::History;
use crate::snippets::Catalog;
use crate::table::{Content, Offer, RollbackPage, Section, TablePage, facts, properties, schema, tabs, vended};
use crate::table_snippets::table_snippets;
use crate::usage::{Chart, UsagePage};
use crate::view::{ViewPage, current_columns, versions};
use crate::warehouses;

/// All sections.
const OFFER: Offer = Offer { is_admin: true, has_rows: true };

fn frame(name: &str) -> Frame {
    let who = Who { organisation: name.to_owned(), name: name.to_owned(), role: "admin".to_owned(), has_grants: false };
    let mut frame = Location::new(name, name).crumbs(Frame::new(name, Place::Catalog, &who, name), true);
    frame.notice = Some(Notice { text: name.to_owned(), then: Some(Then::Restore("0".to_owned(), name.to_owned())) });
    frame.refusal = Some(Refused { message: name.to_owned(), kind: name.to_owned(), request_id: name.to_owned() });
    frame.own = name.to_owned();
    frame.calls = vec![Call { body: Some(name.to_owned()), ..Call::get(name).command(name.to_owned()) }];
    frame
}

fn schema_of(name: &str, id: i64) -> Value {
    json!({ "schema-id": id, "fields": [
        { "id": id, "name": name, "type": name, "required": true, "doc": name, "write-default": name },
        { "id": 9, "name": name, "type": { "type": "struct", "fields": [{ "id": 10, "name": name, "type": { "type": name } }] } },
    ] })
}

/// Returns a table's metadata with a name in every field.
fn table_metadata(name: &str) -> Value {
    let summary =
        json!({ "operation": name, "engine-name": name, "app-id": name, "added-records": "1", "total-records": name });
    json!({
        "format-version": 2, "table-uuid": name, "location": name, "current-schema-id": 1,
        "schemas": [schema_of(name, 0), schema_of(name, 1)],
        "default-spec-id": 0, "partition-specs": [{ "spec-id": 0, "fields": [{ "source-id": 1, "name": name, "transform": name }] }],
        "default-sort-order-id": 0,
        "sort-orders": [{ "order-id": 0, "fields": [{ "source-ids": [9], "transform": { "x": name }, "direction": name, "null-order": name }] }],
        "snapshots": [{ "snapshot-id": 1, "summary": summary }, { "snapshot-id": 2, "parent-snapshot-id": 1, "summary": summary }],
        "current-snapshot-id": 1,
        "refs": { name: { "type": name, "snapshot-id": 1 } },
        "properties": { name: name },
    })
}

fn table_pages(name: &str) -> Vec<String> {
    let (metadata, place) = (table_metadata(name), Location::new(name, name));
    let events = json!({ "events": [{ "object-type": "table", "actor": name, "engine": name, "user-agent": name,
                                     "details": { "snapshot-ids": [1] } }] });
    let catalog = Catalog { uri: name, warehouse: name, token: name };
    let mut committers = Committers::default();
    assert_eq!(committers.add(&events, &TableName::new(name.to_owned())), None);
    let credentials = json!({ "storage-credentials": [{ "prefix": name, "config": { name: name } }] });
    let contents = [
        Content::Schema(schema(&metadata, None, None)),
        Content::Schema(schema(&metadata, Some(0), Some(1))),
        Content::History(History::parse(&metadata)),
        Content::History(History::parse(&metadata).with_committers(Ok(committers))),
        Content::Properties(properties(&metadata["properties"])),
        Content::Credentials(vended(&credentials)),
        Content::Connect(table_snippets(&catalog, &place, name), name.to_owned()),
        Content::Metadata(name.to_owned(), true),
    ];
    let page = |content| TablePage {
        frame: frame(name),
        place: place.clone(),
        name: name.to_owned(),
        tabs: tabs(&place, name, Section::Schema, OFFER),
        facts: facts(&metadata),
        content,
        own: name.to_owned(),
        rollback: place.object("roll-back", name).text(),
    };
    let mut pages: Vec<String> = contents.into_iter().map(|content| render(&page(content))).collect();
    pages.push(render(&RollbackPage {
        frame: frame(name),
        place,
        name: name.to_owned(),
        branch: name.to_owned(),
        target: 1,
        target_time: name.to_owned(),
        changed: vec![[name; 4].map(str::to_owned)],
        is_forward: true,
        head: 2,
        back: name.to_owned(),
    }));
    pages
}

fn catalog_pages(name: &str) -> Vec<String> {
    let (place, names, text) = (Location::new(name, name), [name.to_owned()], || name.to_owned());
    let kinds = [Kind::Namespace, Kind::Table, Kind::View];
    let lists = || Lists::new(kinds.map(|kind| Listing::new(&place, kind, &names, Some(text()))).to_vec());
    let dropped = DroppedRow::parse(
        name,
        &json!({ "id": name, "identifier": { "namespace": [name], "name": name }, "type": name, "restorable": true, "state": name }),
    );
    let view = json!({
        "current-version-id": 1, "schemas": [schema_of(name, 1)],
        "versions": [{ "version-id": 1, "schema-id": 1, "summary": { "engine-name": name },
            "representations": [{ "type": "sql", "dialect": name, "sql": name }] }],
    });
    vec![
        render(&HomePage {
            frame: frame(name),
            warehouses: vec![WarehouseRow { root: text(), is_default: true, ..WarehouseRow::named(name) }],
        }),
        render(&BrowsePage {
            frame: frame(name),
            place: place.clone(),
            heading: text(),
            search: text(),
            lists: lists(),
            properties: vec![(text(), text())],
            bin: text(),
            own: text(),
        }),
        render(&BinPage { frame: frame(name), warehouse: text(), dropped: vec![dropped], more: Some(text()) }),
        render(&ViewPage {
            frame: frame(name),
            place: place.clone(),
            name: text(),
            columns: current_columns(&view),
            versions: versions(&view),
            properties: vec![(text(), text())],
            document: (text(), true),
            own: text(),
        }),
    ]
}

/// Returns the pages of administration with lists and forms.
fn records_pages(name: &str) -> Vec<String> {
    let one = json!({
        "id": name, "name": name, "type": name, "role": name, "email": name, "issuer": name, "subject": name, "state": name,
        "privilege": name, "root": name, "storage": { "type": name }, "options": { "purge": name }, "url": name, "objects": [name],
        "operations": [name], "actor": name, "operation": name, "object": name, "object-type": name, "new-name": name, "address": name,
        "details": { name: name }, "event-id": name, "reason": name, "method": name, "route": name, "organisation": name, "request-id": name, "message": name, "tier": name, "event": { "type": name }, "last-error": name, "detail": name,
        "namespace": [name],
    });
    let found = |list: &str| json!({ list: [one], "next-page-token": name });
    let page = |lists: Vec<Records>, forms: Vec<Form>| {
        render(&RecordsPage {
            kind: "kind",
            hint: "hint",
            tabs: ("sections", people::sections("users")),
            secret: Some((
                "secret",
                "hint",
                NewKey { name: name.to_owned(), text: name.to_owned(), about: name.to_owned() },
            )),
            facts: [key_page::facts(&one), warehouses::facts(&one), events::facts(&one)].concat(),
            document: Some(warehouses::storage_of(&one)),
            search: Some(events::search(|_| name.to_owned())),
            lists,
            forms,
            ..RecordsPage::new(frame(name), name)
        })
    };
    let every_input = Form::new("change", "label")
        .hint("hint")
        .hidden("a", name)
        .field(Field::lines("b", "label"))
        .field(Field::choice("c", "label", name.to_owned(), vec![name.to_owned()]))
        .field(Field::check("d", "label", true));
    vec![
        page(vec![people::principals(&found("principals"))], vec![people::create_role(None), every_input]),
        page(vec![people::users(&found("users"))], vec![people::create_role(Some(name))]),
        page(vec![people::roles(&found("roles"), None)], vec![people::assign_principal(name)]),
        page(vec![people::roles(&found("roles"), Some(name))], vec![people::assign_role(name, name)]),
        page(
            vec![people::role_members(&found("roles"), name, name), people::grants(&found("grants"), name, name)],
            vec![people::grant(name, name, vec![name.to_owned()])],
        ),
        page(vec![people::members(&found("principals"), name)], key_page::forms(&one, None)),
        page(
            vec![operators::organisations(&found("organisations"), "", Link::to("organisations"))],
            [vec![operators::create(vec![name.to_owned()])], operators::forms(&one, vec![name.to_owned()])].concat(),
        ),
        page(vec![operators::parts(&found("parts")), operators::background(&found("background"))], Vec::new()),
        page(vec![operators::slow_requests(&found("slow-requests"))], Vec::new()),
        page(vec![warehouses::list(&found("warehouses"))], vec![warehouses::create()]),
        page(vec![warehouses::steps(&found("steps"))], warehouses::forms(&one)),
        page(vec![events::list(&found("events"), Link::to("events"))], vec![events::create()]),
        page(
            vec![events::subscriptions(&found("subscriptions")), events::dead_letters(&found("dead-letters"), name)],
            events::forms(&one, true),
        ),
    ]
}

/// Returns every page, with a name in every field.
fn pages(name: &str) -> Vec<String> {
    let text = || name.to_owned();
    let catalog = Catalog { uri: name, warehouse: name, token: name };
    let key = KeyRow::parse(&json!({ "id": name, "name": name, "role": name, "state": name }));
    let explained = ExplainedRow::parse(&json!({ "principal": { "name": name }, "message": name }));
    let record = RecordRow::parse(
        &json!({ "actor": name, "type": name, "operation": name, "object": name, "message": name, "address": name }),
    );
    let usage = json!({ "tier": name, "limit": 10, "usage": [{ "day": name, "requests": 9 }] });
    let filter = Filter { actor: text(), operation: text(), object: text(), decision: text() };
    let question = Question { warehouse: text(), action: text(), namespace: text(), table: text(), principal: text() };
    let mut pages = [table_pages(name), catalog_pages(name), records_pages(name), care::pages(name)].concat();
    pages.extend([
        render(&SignInPage {
            frame: Frame::anonymous(name),
            refused: Some(text()),
            next: text(),
            providers: vec![(text(), text())],
        }),
        render(&ErrorPage {
            frame: frame(name),
            heading: text(),
            message: text(),
            kind: text(),
            request_id: text(),
            back: text(),
        }),
        render(&ConnectPage {
            frame: frame(name),
            warehouses: vec![text()],
            warehouse: text(),
            snippets: snippets(&catalog),
            text: text(),
            findings: crate::doctor::examine("token: none"),
            address: text(),
        }),
        render(&KeysPage {
            frame: frame(name),
            keys: vec![key],
            more: Some(text()),
            new: Some(NewKey { name: text(), text: text(), about: text() }),
            own: Some(text()),
            is_complete: true,
        }),
        render(&AccessPage {
            frame: frame(name),
            warehouses: vec![text()],
            actions: vec![text()],
            question,
            rows: Some(vec![explained]),
            refused: Some(text()),
        }),
        render(&UsagePage { frame: frame(name), chart: Chart::parse(&usage, 0) }),
        render(&HistoryPage { frame: frame(name), filter, records: vec![record], more: Some(text()) }),
    ]);
    pages
}

/// Returns the tags of a page: each with its name and its raw attributes. Fails at a `<` that begins no tag of the templates.
fn tags(page: &str) -> Vec<(String, String)> {
    let mut tags = Vec::new();
    for part in page.split('<').skip(1) {
        let mut quoted = false;
        let end = part.find(|character| {
            quoted ^= character == '"';
            character == '>' && !quoted
        });
        let tag = &part[..end.unwrap_or_else(|| panic!("a tag without an end: {part}"))];
        let name: String = tag.chars().take_while(|character| !character.is_whitespace()).collect();
        tags.push((name.trim_end_matches('/').to_owned(), tag.to_owned()));
    }
    tags
}

/// Returns the names of a page's tags and of their attributes, in their order.
fn skeleton(page: &str) -> Vec<(String, Vec<String>)> {
    let attributes = |tag: &str| {
        let mut names = Vec::new();
        let mut rest = tag;
        while let Some((before, after)) = rest.split_once("=\"") {
            names.push(before.split_whitespace().next_back().unwrap_or_default().to_owned());
            rest = after.split_once('"').map_or("", |(_, rest)| rest);
        }
        names
    };
    tags(page).into_iter().map(|(name, tag)| (name, attributes(&tag))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn name_in_any_field_changes_no_tag_and_no_attribute(
        hostile in r#"[<>"'&/={}`%\\ a-z\u{1}-\u{20}\u{202e}\u{2028}]{1,40}"#,
        known in prop::sample::select(vec![
            "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onfocus='x", "</textarea><script>", "]]>", "-->",
            "</title><svg onload=x>", "javascript:alert(1)", "&lt;b&gt;", "{{ 7 }}", "${7}", "\u{0}",
        ]),
    ) {
        let plain: Vec<_> = pages("plain").iter().map(|page| skeleton(page)).collect();
        for name in [hostile.as_str(), known] {
            // A separator of levels makes more levels, and so more steps of the path.
            let name = name.replace('\u{1f}', " ");
            for (page, expected) in pages(&name).iter().zip(&plain) {
                prop_assert_eq!(&skeleton(page), expected, "{:?}", name);
            }
        }
    }
}

#[test]
fn no_page_has_inline_code_or_style_or_a_request_to_elsewhere() {
    for page in pages("plain") {
        for (name, tag) in tags(&page) {
            let lower = tag.to_lowercase();
            assert!(!lower.contains(" style=") && !lower.contains(" on") && name != "style", "{tag}");
            assert!(name != "script" || lower.contains("src="), "{tag}");
            for attribute in ["href", "src", "action"] {
                if let Some((_, after)) = tag.split_once(&format!("{attribute}=\"")) {
                    let value = after.split('"').next().unwrap();
                    assert!(!value.contains(':') && !value.starts_with('/'), "{tag}");
                }
            }
        }
    }
}

#[test]
fn link_that_begins_like_a_script_stays_a_name_in_a_query() {
    for (_, tag) in pages("javascript:alert(1)").iter().flat_map(|page| tags(page)) {
        // Fields that take a finished link are checked where they come from.
        assert!(!tag.contains("action=\"javascript:"), "{tag}");
    }
    let place = Location::new("javascript:x", "javascript:y");
    assert!(
        place.link().text().starts_with("browse?")
            && place.object("table", "javascript:z").text().starts_with("table?")
    );
}

#[test]
fn every_field_has_a_label_and_every_id_is_unique() {
    for page in pages("plain") {
        let tags = tags(&page);
        let value = |tag: &str, name: &str| {
            tag.split_once(&format!(" {name}=\"")).map(|(_, after)| after.split('"').next().unwrap().to_owned())
        };
        let labels: Vec<String> =
            tags.iter().filter(|(name, _)| name == "label").filter_map(|(_, tag)| value(tag, "for")).collect();
        let mut ids: Vec<String> = tags.iter().filter_map(|(_, tag)| value(tag, "id")).collect();
        for (name, tag) in &tags {
            let is_field = ["input", "select", "textarea"].contains(&name.as_str()) && !tag.contains("type=\"hidden\"");
            assert!(!is_field || value(tag, "id").is_some_and(|id| labels.contains(&id)), "{tag}");
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
        let count = |wanted: &str| tags.iter().filter(|(name, _)| name == wanted).count();
        assert_eq!((count("main"), count("h1"), count("html")), (1, 1, 1));
    }
}

#[test]
fn every_form_that_changes_something_has_the_token() {
    for page in pages("plain") {
        for form in page.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            if form.contains("method=\"post\"") && !form.contains("action=\"sign-in\"") {
                assert!(form.contains("name=\"csrf\" value=\"plain\""), "{form}");
            }
        }
    }
}

#[test]
fn empty_list_says_what_is_missing() {
    let none = json!({});
    let lists = [
        people::principals(&none),
        people::users(&none),
        people::roles(&none, None),
        people::members(&none, "role"),
        people::role_members(&none, "warehouse", "role"),
        people::grants(&none, "warehouse", "role"),
        warehouses::list(&none),
        events::subscriptions(&none),
        events::dead_letters(&none, "subscription"),
    ];
    for list in lists {
        let page = render(&RecordsPage { lists: vec![list.clone()], ..RecordsPage::new(frame("name"), "name") });
        assert!(list.empty.ends_with('.') && page.contains(list.empty), "{}", list.empty);
    }
}

#[test]
fn templates_have_no_text_of_their_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    // Names of roles and commands are the same in every language.
    let words = ["reader", "writer", "admin", "none", "tidewater key create me --role reader"];
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (begin, end) in [("{#", "#}"), ("{%", "%}"), ("{{", "}}"), ("<", ">")] {
            while let Some(at) = text.find(begin) {
                let after = text[at..].find(end).unwrap_or_else(|| panic!("{}: {begin} without {end}", path.display()));
                text.replace_range(at..at + after + end.len(), "\n");
            }
        }
        for line in text.lines().map(str::trim).filter(|line| line.chars().any(char::is_alphabetic)) {
            assert!(words.contains(&line), "{}: put '{line}' into texts.rs", path.display());
        }
    }
}
