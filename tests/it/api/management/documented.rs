//! Runs the examples of `docs/management-api.md`, in order.

use axum::body::Body;
use axum::http::Request;

use crate::project::root;
use crate::support::Catalog;

/// Returns method, path with query, and body of a request in the page's form.
fn parse(line: &str) -> (&str, &str, &str) {
    let rest = line.strip_prefix("curl -X ").unwrap_or_else(|| panic!("another form than the others: {line}"));
    let (method, rest) = rest.split_once(" -H \"$AUTH\" \"$URI").unwrap();
    let (path, rest) = rest.split_once('"').unwrap();
    let body = rest.strip_prefix(" -d '").map_or("", |body| body.strip_suffix('\'').unwrap());
    (method, path, body)
}

#[tokio::test]
async fn every_example_of_the_page_succeeds() {
    let page = std::fs::read_to_string(root().join("docs/management-api.md")).unwrap();
    let catalog = Catalog::new().await;
    let key = catalog.operator().await;
    let mut asked = 0;
    for block in page.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let (method, path, body) = parse(line);
            let folder = format!("file://{}/lake", catalog.folder.path().display());
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {key}"))
                .body(Body::from(body.replace("file:///srv/lake", &folder)))
                .unwrap();
            let answer = catalog.send(request).await;
            assert!(answer.status.is_success(), "{line}: {}", String::from_utf8_lossy(&answer.bytes));
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
}
