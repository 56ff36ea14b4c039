//! Every route on one page.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};

use super::audit::refuse_if_closed;
use super::management::tables as contents;
use super::management::{
    access, administrator, audit, backup, catalog_roles, dropped, events, keys, label_search, labels, maintenance,
    operators, organisations, parameters, preview, principal_roles, restrictions, search, server, sign_in,
    signing_keys, slow_requests, subscriptions, usage, users, warehouses,
};
use super::polaris::{
    catalog_roles as polaris_catalog_roles, catalogs, empty_lists, grants, principal_roles as polaris_principal_roles,
    principals,
};
use super::{
    Api, admission, commit, config, error, events as pulled_events, functions, health, metrics, namespaces, oauth,
    openapi, plan, plus, register, security_headers, sign, tables, telemetry, transactions, views, welcome,
};

/// Returns all routes. Paths without a prefix refer to the organisation's default warehouse.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let mut guarded = Router::new().route("/v1/config", get(config::get));
    let mut uncounted = Router::new();
    for base in ["/v1", "/v1/{prefix}"] {
        let at = |path: &str| format!("{base}{path}");
        uncounted = uncounted.route(&at("/namespaces/{namespace}/tables/{table}/sign"), post(sign::sign));
        guarded = guarded
            .route(&at("/namespaces"), get(namespaces::list).post(namespaces::create))
            .route(
                &at("/namespaces/{namespace}"),
                get(namespaces::get).head(namespaces::exists).delete(namespaces::drop),
            )
            .route(&at("/namespaces/{namespace}/properties"), post(namespaces::update_properties))
            .route(&at("/namespaces/{namespace}/tables"), get(tables::list).post(tables::create))
            .route(
                &at("/namespaces/{namespace}/tables/{table}"),
                get(tables::load).head(tables::exists).post(commit::commit).delete(tables::drop),
            )
            .route(&at("/namespaces/{namespace}/tables/{table}/metrics"), post(metrics::report))
            .route(&at("/namespaces/{namespace}/tables/{table}/credentials"), get(tables::credentials))
            .route(&at("/namespaces/{namespace}/tables/{table}/plan"), post(plan::plan))
            .route(&at("/namespaces/{namespace}/tables/{table}/plan/{plan-id}"), get(plan::get).delete(plan::cancel))
            .route(&at("/namespaces/{namespace}/tables/{table}/tasks"), post(plan::tasks))
            .route(&at("/namespaces/{namespace}/tables/{table}/unregister"), post(register::unregister))
            .route(&at("/namespaces/{namespace}/register"), post(register::register))
            .route(&at("/namespaces/{namespace}/functions"), get(functions::list))
            .route(&at("/namespaces/{namespace}/functions/{function}"), get(functions::load))
            .route(&at("/tables/rename"), post(tables::rename))
            .route(&at("/transactions/commit"), post(transactions::commit))
            .route(&at("/events"), post(pulled_events::query))
            .route(&at("/namespaces/{namespace}/views"), get(views::list).post(views::create))
            .route(
                &at("/namespaces/{namespace}/views/{view}"),
                get(views::load).head(views::exists).post(views::replace).delete(views::drop),
            )
            .route(&at("/namespaces/{namespace}/register-view"), post(views::register))
            .route(&at("/views/rename"), post(views::rename));
    }
    guarded = guarded
        .route("/api/catalog/polaris/v1/{warehouse}/applicable-policies", get(empty_lists::applicable_policies))
        .route("/api/catalog/polaris/v1/{warehouse}/namespaces/{namespace}/policies", get(empty_lists::in_namespace))
        .route(
            "/api/catalog/polaris/v1/{warehouse}/namespaces/{namespace}/generic-tables",
            get(empty_lists::in_namespace),
        );
    guarded
        .merge(of_own_organisation())
        .route_layer(from_fn_with_state(Arc::clone(api), plus::resolve))
        .route_layer(from_fn_with_state(Arc::clone(api), admission::authenticate))
        .merge(
            uncounted
                .route_layer(from_fn_with_state(Arc::clone(api), plus::resolve))
                .route_layer(from_fn_with_state(Arc::clone(api), admission::authenticate_uncounted)),
        )
        .merge(oauth_tokens())
        .route_layer(from_fn_with_state(Arc::clone(api), refuse_if_closed))
        .merge(
            management()
                .merge(metrics_for_operators(api))
                .merge(polaris_principals())
                .merge(subscriptions_to_events())
                .merge(
                    organisations_warehouses()
                        .merge(polaris_catalogs())
                        .route_layer(from_fn_with_state(Arc::clone(api), administrator::count)),
                )
                .route_layer(from_fn(parameters::refuse_unknown))
                .route_layer(from_fn_with_state(Arc::clone(api), administrator::authenticate))
                .route_layer(from_fn(security_headers::no_store)),
        )
        .merge(without_a_key(api))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(welcome::page_or_no_route)
        .with_state(Arc::clone(api))
}

/// Returns the routes below `/management/v1` that every key may ask, about its own organisation.
fn of_own_organisation() -> Router<Arc<Api>> {
    Router::new()
        .route("/management/v1/warehouses/{warehouse}/dropped", get(dropped::list))
        .route("/management/v1/warehouses/{warehouse}/dropped/{id}", get(dropped::get).delete(dropped::remove))
        .route("/management/v1/warehouses/{warehouse}/dropped/{id}/restore", post(dropped::restore))
        .route("/management/v1/warehouses/{warehouse}/metrics", get(metrics::list))
        .route(
            "/management/v1/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/preview",
            get(preview::show),
        )
        .route("/management/v1/who-am-i", get(access::who_am_i))
        .route_layer(from_fn(parameters::refuse_unknown))
}

/// Returns the route that exchanges keys and tokens for tokens.
fn oauth_tokens() -> Router<Arc<Api>> {
    Router::new().route("/v1/oauth/tokens", post(oauth::token)).route_layer(from_fn(admission::note))
}

/// Returns the routes that need no key, and leave no record that must be written.
fn without_a_key(api: &Api) -> Router<Arc<Api>> {
    let sign_in = Router::new()
        .route("/management/v1/sign-in", get(sign_in::list))
        .route_layer(from_fn(parameters::refuse_unknown));
    Router::new()
        .merge(sign_in)
        .merge(metrics_for_all(api))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/openapi.json", get(openapi::get))
        .route_layer(from_fn(admission::note))
}

/// Returns the route of the server's metrics, unless it needs no key.
fn metrics_for_operators(api: &Api) -> Router<Arc<Api>> {
    if api.telemetry_is_public {
        return Router::new();
    }
    Router::new().route("/metrics", get(telemetry::for_operators))
}

/// Returns the route of the server's metrics, if it needs no key.
fn metrics_for_all(api: &Api) -> Router<Arc<Api>> {
    if !api.telemetry_is_public {
        return Router::new();
    }
    Router::new().route("/metrics", get(telemetry::for_all))
}

/// Returns the routes of an address for monitoring: none of them needs a key.
pub(super) fn monitoring(api: &Arc<Api>) -> Router {
    Router::new()
        .route("/metrics", get(telemetry::for_all))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route_layer(from_fn(admission::note))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::no_such_route)
        .with_state(Arc::clone(api))
}

/// Returns the routes of administration that are not counted.
fn management() -> Router<Arc<Api>> {
    Router::new()
        .route("/management/v1/operators", get(operators::list).post(operators::create))
        .route("/management/v1/operators/{operator}", delete(operators::revoke))
        .route("/management/v1/events", get(events::list_all))
        .route("/management/v1/audit", get(audit::list_all))
        .route("/management/v1/status", get(server::status))
        .route("/management/v1/tiers", get(server::tiers))
        .route("/management/v1/settings", get(server::settings))
        .route("/management/v1/slow-requests", get(slow_requests::list))
        .route("/management/v1/reload", post(server::reload))
        .route("/management/v1/backup", post(backup::create))
        .route("/management/v1/reseal", post(warehouses::reseal))
        .route(
            "/management/v1/signing-keys",
            get(signing_keys::list).post(signing_keys::rotate).delete(signing_keys::remove),
        )
        .route("/management/v1/organisations", get(organisations::list).post(organisations::create))
        .route(
            "/management/v1/organisations/{organisation}",
            get(organisations::get).patch(organisations::update).delete(organisations::delete),
        )
        .route("/management/v1/organisations/{organisation}/restore", post(organisations::restore))
        .route("/management/v1/organisations/{organisation}/events", get(events::list))
        .route("/management/v1/organisations/{organisation}/audit", get(audit::list))
        .route("/management/v1/organisations/{organisation}/keys", get(keys::list).post(keys::create))
        .route(
            "/management/v1/organisations/{organisation}/keys/{key}",
            get(keys::get).patch(keys::update).delete(keys::revoke),
        )
        .route("/management/v1/organisations/{organisation}/keys/{key}/rotate", post(keys::rotate))
        .route("/management/v1/organisations/{organisation}/users", get(users::list))
        .route(
            "/management/v1/organisations/{organisation}/users/{user}",
            get(users::get).patch(users::update).delete(users::delete),
        )
        .route("/management/v1/organisations/{organisation}/usage", get(usage::get))
        .route("/management/v1/organisations/{organisation}/principals", get(principal_roles::principals))
        .route(
            "/management/v1/organisations/{organisation}/principal-roles",
            get(principal_roles::list).post(principal_roles::create),
        )
        .route(
            "/management/v1/organisations/{organisation}/principal-roles/{principal-role}",
            delete(principal_roles::delete),
        )
        .route(
            "/management/v1/organisations/{organisation}/principal-roles/{principal-role}/principals",
            get(principal_roles::members),
        )
        .route(
            "/management/v1/organisations/{organisation}/principal-roles/{principal-role}/principals/{principal}",
            put(principal_roles::assign).delete(principal_roles::revoke),
        )
        .route("/management/v1/organisations/{organisation}/trusted-engines", get(restrictions::engines))
        .route(
            "/management/v1/organisations/{organisation}/trusted-engines/{principal}",
            put(restrictions::trust).delete(restrictions::distrust),
        )
}

/// Returns the routes for subscriptions to events: those of the operators, and those of an organisation. They are not counted.
fn subscriptions_to_events() -> Router<Arc<Api>> {
    let mut routes = Router::new();
    for owner in ["/management/v1", "/management/v1/organisations/{organisation}"] {
        let of = |path: &str| format!("{owner}{path}");
        routes = routes
            .route(&of("/subscriptions"), get(subscriptions::list).post(subscriptions::create))
            .route(
                &of("/subscriptions/{subscription}"),
                get(subscriptions::get).patch(subscriptions::update).delete(subscriptions::delete),
            )
            .route(&of("/subscriptions/{subscription}/rotate"), post(subscriptions::rotate))
            .route(&of("/subscriptions/{subscription}/test"), post(subscriptions::test))
            .route(
                &of("/subscriptions/{subscription}/dead-letters"),
                get(subscriptions::dead_letters).delete(subscriptions::discard),
            )
            .route(&of("/subscriptions/{subscription}/dead-letters/replay"), post(subscriptions::replay));
    }
    routes
}

/// Returns the routes for an organisation's warehouses and their contents. They are counted: they read much data or storage.
fn organisations_warehouses() -> Router<Arc<Api>> {
    Router::new()
        .route("/management/v1/organisations/{organisation}/warehouses", get(warehouses::list).post(warehouses::create))
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}",
            get(warehouses::get).patch(warehouses::update).delete(warehouses::drop),
        )
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/check", post(warehouses::check))
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces",
            get(contents::namespaces),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}",
            get(contents::namespace),
        )
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/tables", get(contents::tables))
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/tables/check", post(contents::check))
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped", get(dropped::list))
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped/{id}",
            get(dropped::get).delete(dropped::remove),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped/{id}/restore",
            post(dropped::restore),
        )
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/metrics", get(metrics::list))
        .merge(warehouses_maintenance())
        .merge(warehouses_access())
        .merge(warehouses_labels())
}

/// Returns the routes for the maintenance of a warehouse's tables.
fn warehouses_maintenance() -> Router<Arc<Api>> {
    Router::new()
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/policy",
            get(maintenance::policy).put(maintenance::set_policy),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/runs",
            get(maintenance::runs).post(maintenance::start),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/health",
            get(maintenance::health),
        )
}

/// Returns the routes for the search in a warehouse, and for the labels of its namespaces, tables and views.
fn warehouses_labels() -> Router<Arc<Api>> {
    Router::new()
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/labels", get(label_search::find))
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/search", get(search::find))
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/labels",
            get(labels::of_namespace).put(labels::replace_of_namespace).patch(labels::change_of_namespace),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/labels",
            get(labels::of_table).put(labels::replace_of_table).patch(labels::change_of_table),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/views/{view}/labels",
            get(labels::of_view).put(labels::replace_of_view).patch(labels::change_of_view),
        )
}

/// Returns the routes for access to a warehouse: catalog roles, grants, explanations and restrictions.
fn warehouses_access() -> Router<Arc<Api>> {
    Router::new()
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles", get(catalog_roles::list).post(catalog_roles::create))
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}", delete(catalog_roles::delete))
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/principal-roles", get(catalog_roles::members))
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/principal-roles/{principal-role}",
            put(catalog_roles::assign).delete(catalog_roles::revoke),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/grants",
            get(catalog_roles::grants).put(catalog_roles::add_grant).post(catalog_roles::revoke_grant),
        )
        .route("/management/v1/organisations/{organisation}/warehouses/{warehouse}/access", get(access::explain))
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions",
            get(restrictions::list),
        )
        .route(
            "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions/{principal-role}",
            get(restrictions::get).put(restrictions::set).delete(restrictions::remove),
        )
}

/// Returns the routes of Polaris' management API for principals and principal roles. They are not counted.
fn polaris_principals() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/management/v1/principals", get(principals::list).post(principals::create))
        .route(
            "/api/management/v1/principals/{principal}",
            get(principals::get).put(principals::update).delete(principals::delete),
        )
        .route("/api/management/v1/principals/{principal}/rotate", post(principals::rotate))
        .route("/api/management/v1/principals/{principal}/reset", post(principals::reset))
        .route(
            "/api/management/v1/principals/{principal}/principal-roles",
            get(principals::roles).put(principals::assign),
        )
        .route("/api/management/v1/principals/{principal}/principal-roles/{principal-role}", delete(principals::revoke))
        .route(
            "/api/management/v1/principal-roles",
            get(polaris_principal_roles::list).post(polaris_principal_roles::create),
        )
        .route(
            "/api/management/v1/principal-roles/{principal-role}",
            get(polaris_principal_roles::get)
                .put(polaris_principal_roles::update)
                .delete(polaris_principal_roles::delete),
        )
        .route("/api/management/v1/principal-roles/{principal-role}/principals", get(polaris_principal_roles::members))
}

/// Returns the routes of Polaris' management API for catalogs and catalog roles.
fn polaris_catalogs() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/management/v1/catalogs", get(catalogs::list).post(catalogs::create))
        .route(
            "/api/management/v1/catalogs/{warehouse}",
            get(catalogs::get).put(catalogs::update).delete(catalogs::delete),
        )
        .route(
            "/api/management/v1/catalogs/{warehouse}/catalog-roles",
            get(polaris_catalog_roles::list).post(polaris_catalog_roles::create),
        )
        .route(
            "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}",
            get(polaris_catalog_roles::get).put(polaris_catalog_roles::update).delete(polaris_catalog_roles::delete),
        )
        .route(
            "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/principal-roles",
            get(polaris_catalog_roles::members),
        )
        .route(
            "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/grants",
            get(grants::list).put(grants::add).post(grants::revoke),
        )
        .route(
            "/api/management/v1/principal-roles/{principal-role}/catalog-roles/{warehouse}",
            get(polaris_principal_roles::assigned).put(polaris_principal_roles::assign),
        )
        .route(
            "/api/management/v1/principal-roles/{principal-role}/catalog-roles/{warehouse}/{catalog-role}",
            delete(polaris_principal_roles::revoke),
        )
}
