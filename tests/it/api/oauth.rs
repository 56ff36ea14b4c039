//! `POST /v1/oauth/tokens`

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Answer, Catalog};

async fn ask(catalog: &Catalog, authorization: Option<String>, form: &str) -> Answer {
    let mut request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    catalog.send(request.body(Body::from(form.to_owned())).unwrap()).await
}

fn basic(user: &str, password: &str) -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

#[tokio::test]
async fn key_is_accepted_in_every_field_of_a_token_request() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    let requests = [
        (None, format!("grant_type=client_credentials&client_id={key}")),
        (None, format!("grant_type=client_credentials&client_secret={key}&scope=catalog")),
        (None, format!("grant_type=client_credentials&client_id=me&client_secret={key}&scope=PRINCIPAL_ROLE%3AALL")),
        (None, format!("grant_type=client_credentials&client_id={key}&client_secret=anything")),
        (basic("me", &key), "grant_type=client_credentials".to_owned()),
        (basic(&key, ""), "grant_type=client_credentials&scope=catalog".to_owned()),
    ];
    for (authorization, form) in requests {
        let token = ask(&catalog, authorization, &form).await.ok(200);
        assert!(token["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"), "{token}");
        assert_eq!(token["expires_in"], 3_600);
        assert_eq!(token["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
        catalog.get(token["access_token"].as_str().unwrap(), "/v1/namespaces").await.ok(200);
    }
}

#[tokio::test]
async fn token_can_be_exchanged_for_a_new_one() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    let first = ask(&catalog, None, &format!("grant_type=client_credentials&client_id={key}")).await.ok(200);
    let first = first["access_token"].as_str().unwrap();
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={first}\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&scope=catalog"
    );
    let second = ask(&catalog, Some(format!("Bearer {first}")), &form).await.ok(200);
    assert_eq!(second["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    catalog.get(second["access_token"].as_str().unwrap(), "/v1/namespaces").await.ok(200);
}

#[tokio::test]
async fn refusals_have_the_oauth_shape() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    for (form, status, error) in [
        (format!("grant_type=password&client_id={key}"), 400, "unsupported_grant_type"),
        (format!("client_id={key}"), 400, "invalid_request"),
        ("grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        ("grant_type=client_credentials&client_id=flx_wrong".to_owned(), 401, "invalid_client"),
    ] {
        let answer = ask(&catalog, None, &form).await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["error"]), (status, &json!(error)), "{form}: {body}");
        assert!(body["error_description"].is_string(), "{body}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn token_of_another_deployment_is_refused() {
    let (ours, theirs) = (Catalog::new().await, Catalog::new().await);
    let key = theirs.tenant("acme", "enterprise").await.key;
    ours.tenant("acme", "enterprise").await;
    let token = ask(&theirs, None, &format!("grant_type=client_credentials&client_id={key}")).await.ok(200);
    let answer = ours.get(token["access_token"].as_str().unwrap(), "/v1/namespaces").await;
    answer.error(401, "NotAuthorizedException");
}

#[tokio::test]
async fn form_over_the_limit_is_refused() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    let form = |padding: usize| format!("grant_type=client_credentials&client_id={key}&x={}", "x".repeat(padding));
    ask(&catalog, None, &form(30_000)).await.ok(200);
    ask(&catalog, None, &form(70_000)).await.error(413, "PayloadTooLargeException");
}
