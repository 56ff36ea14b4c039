//! The JSON of a list of tables, views or namespaces, written directly into one buffer, once for a cached page.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tidewater_core::name::NamespaceIdent;

use super::paging::token_after;
use crate::store::{Page, SharedPage};

/// A list as JSON.
pub(super) struct ListBody(Bytes);

impl ListBody {
    /// Returns a page of the tables or views in a namespace.
    pub(super) fn of_tables(namespace: &NamespaceIdent, page: &SharedPage<String>) -> Self {
        Self(page.answer(|page| tables(namespace, page)))
    }

    /// Returns a page of namespaces.
    pub(super) fn of_namespaces(page: &SharedPage<NamespaceIdent>) -> Self {
        Self(page.answer(namespaces))
    }
}

fn tables(namespace: &NamespaceIdent, page: &Page<String>) -> Vec<u8> {
    let next = page.items.last().filter(|_| page.more).map(|last| token_after(last));
    let mut start = b"{\"namespace\":".to_vec();
    push_levels(&mut start, namespace);
    start.extend_from_slice(b",\"name\":");
    let bytes = page.items.iter().map(|name| start.len() + name.len() + 4).sum();
    list("identifiers", next.as_deref(), bytes, &page.items, |body, name| {
        body.extend_from_slice(&start);
        push_text(body, name);
        body.push(b'}');
    })
}

fn namespaces(page: &Page<NamespaceIdent>) -> Vec<u8> {
    let next = page.items.last().filter(|_| page.more).map(|last| token_after(last.as_key()));
    let bytes = page.items.iter().map(|namespace| namespace.as_key().len() + 8).sum();
    list("namespaces", next.as_deref(), bytes, &page.items, push_levels)
}

fn list<T>(field: &str, next: Option<&str>, bytes: usize, items: &[T], push: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    const AROUND_BYTES: usize = 64;
    let mut body = Vec::with_capacity(bytes + next.map_or(0, str::len) + AROUND_BYTES);
    body.extend_from_slice(b"{\"next-page-token\":");
    match next {
        Some(token) => push_text(&mut body, token),
        None => body.extend_from_slice(b"null"),
    }
    body.extend_from_slice(b",\"");
    body.extend_from_slice(field.as_bytes());
    body.extend_from_slice(b"\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        push(&mut body, item);
    }
    body.extend_from_slice(b"]}");
    body
}

impl IntoResponse for ListBody {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.0).into_response()
    }
}

fn push_levels(body: &mut Vec<u8>, namespace: &NamespaceIdent) {
    body.push(b'[');
    for (at, level) in namespace.levels().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        push_text(body, level);
    }
    body.push(b']');
}

/// Writes a text as a JSON string. Most names need no escapes and are copied whole.
fn push_text(body: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
    } else {
        body.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &ListBody) -> Value {
        serde_json::from_slice(&body.0).unwrap()
    }

    #[test]
    fn empty_page_has_no_items_and_no_token() {
        let page = Page { items: Vec::new(), more: false };
        let body = ListBody::of_tables(&NamespaceIdent::new(&["sales"]).unwrap(), &SharedPage::for_one(page));
        assert_eq!(&body.0[..], br#"{"next-page-token":null,"identifiers":[]}"#);
    }

    proptest! {
        #[test]
        fn list_of_tables_parses_to_the_same_names(names in prop::collection::vec(".*", 0..4), more: bool) {
            let levels = ["a\"b", "c\\d"];
            let page = SharedPage::for_one(Page { items: names.clone(), more });
            let body = ListBody::of_tables(&NamespaceIdent::new(&levels).unwrap(), &page);
            let token = names.last().filter(|_| more).map(|last| token_after(last));
            let all: Vec<_> = names.iter().map(|name| json!({ "namespace": levels, "name": name })).collect();
            prop_assert_eq!(read(&body), json!({ "next-page-token": token, "identifiers": all }));
        }

        #[test]
        fn list_of_namespaces_parses_to_the_same_levels(names in prop::collection::vec("[^\u{1f}\u{0}]+", 0..4)) {
            let valid: Vec<_> = names.iter().filter_map(|name| NamespaceIdent::new(&["top", name]).ok()).collect();
            let body = ListBody::of_namespaces(&SharedPage::for_one(Page { items: valid.clone(), more: false }));
            let all: Vec<Vec<_>> = valid.iter().map(|name| name.levels().collect()).collect();
            prop_assert_eq!(read(&body), json!({ "next-page-token": null, "namespaces": all }));
        }
    }
}
