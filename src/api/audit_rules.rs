//! The operation, the kind of object and the class of each route, for audit records. A test fails if a route has no rule.
//!
//! Operations that are changes have the names of their events, where a route makes one kind of change.

use axum::http::Method;

use super::logged_text::Names;

/// What an allowed request leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The events of its changes.
    Change,
    /// A record: it changes nothing in the catalog, and is worth a record.
    Administration,
    /// A record of the sign-in.
    SignIn,
    /// A record, if the settings ask for reads. Credentials and signatures have records of their own.
    Read,
    /// Nothing: it needs no credential and refuses nobody.
    Open,
}

/// The rule of a route.
#[derive(Debug)]
pub(super) struct Rule {
    method: &'static str,
    route: &'static str,
    pub(super) operation: &'static str,
    object_type: &'static str,
    pub(super) class: Class,
}

const fn rule(
    method: &'static str,
    route: &'static str,
    operation: &'static str,
    object_type: &'static str,
    class: Class,
) -> Rule {
    Rule { method, route, operation, object_type, class }
}

/// The start of the routes of the management API in a warehouse of the caller's organisation.
const OWN_WAREHOUSE: &str = "/management/v1/warehouses/{warehouse}";

/// The same routes in any organisation.
const WAREHOUSE: &str = "/management/v1/organisations/{organisation}/warehouses/{warehouse}";

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // Configuration, sign-in and probes
    rule("GET", "/v1/config", "read-config", "warehouse", Class::Read),
    rule("POST", "/v1/oauth/tokens", "sign-in", "organisation", Class::SignIn),
    rule("GET", "/management/v1/sign-in", "list-sign-in-options", "server", Class::Open),
    rule("GET", "/health", "check-health", "server", Class::Open),
    rule("GET", "/ready", "check-ready", "server", Class::Open),
    rule("GET", "/openapi.json", "read-openapi", "server", Class::Open),
    rule("GET", "/metrics", "read-metrics", "server", Class::Read),
    // Namespaces
    rule("GET", "/v1/namespaces", "list-namespaces", "namespace", Class::Read),
    rule("POST", "/v1/namespaces", "create-namespace", "namespace", Class::Change),
    rule("GET", "/v1/namespaces/{namespace}", "load-namespace", "namespace", Class::Read),
    rule("HEAD", "/v1/namespaces/{namespace}", "check-namespace", "namespace", Class::Read),
    rule("DELETE", "/v1/namespaces/{namespace}", "drop-namespace", "namespace", Class::Change),
    rule("POST", "/v1/namespaces/{namespace}/properties", "update-namespace-properties", "namespace", Class::Change),
    rule("GET", "/v1/namespaces/{namespace}/functions", "list-functions", "namespace", Class::Read),
    rule("GET", "/v1/namespaces/{namespace}/functions/{function}", "load-function", "function", Class::Read),
    // Tables
    rule("GET", "/v1/namespaces/{namespace}/tables", "list-tables", "namespace", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/tables", "create-table", "table", Class::Change),
    rule("POST", "/v1/namespaces/{namespace}/register", "register-table", "table", Class::Change),
    rule("GET", "/v1/namespaces/{namespace}/tables/{table}", "load-table", "table", Class::Read),
    rule("HEAD", "/v1/namespaces/{namespace}/tables/{table}", "check-table", "table", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/tables/{table}", "update-table", "table", Class::Change),
    rule("DELETE", "/v1/namespaces/{namespace}/tables/{table}", "drop-table", "table", Class::Change),
    rule("POST", "/v1/namespaces/{namespace}/tables/{table}/unregister", "unregister-table", "table", Class::Change),
    rule("GET", "/v1/namespaces/{namespace}/tables/{table}/credentials", "load-credentials", "table", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/tables/{table}/sign", "sign-request", "table", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/tables/{table}/metrics", "report-metrics", "table", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/tables/{table}/plan", "plan-scan", "table", Class::Read),
    rule("GET", "/v1/namespaces/{namespace}/tables/{table}/plan/{plan-id}", "load-plan", "table", Class::Read),
    rule("DELETE", "/v1/namespaces/{namespace}/tables/{table}/plan/{plan-id}", "cancel-plan", "table", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/tables/{table}/tasks", "fetch-scan-tasks", "table", Class::Read),
    rule("POST", "/v1/tables/rename", "rename-table", "table", Class::Change),
    rule("POST", "/v1/transactions/commit", "commit-transaction", "warehouse", Class::Change),
    rule("POST", "/v1/events", "pull-events", "warehouse", Class::Read),
    // Views
    rule("GET", "/v1/namespaces/{namespace}/views", "list-views", "namespace", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/views", "create-view", "view", Class::Change),
    rule("POST", "/v1/namespaces/{namespace}/register-view", "register-view", "view", Class::Change),
    rule("GET", "/v1/namespaces/{namespace}/views/{view}", "load-view", "view", Class::Read),
    rule("HEAD", "/v1/namespaces/{namespace}/views/{view}", "check-view", "view", Class::Read),
    rule("POST", "/v1/namespaces/{namespace}/views/{view}", "update-view", "view", Class::Change),
    rule("DELETE", "/v1/namespaces/{namespace}/views/{view}", "drop-view", "view", Class::Change),
    rule("POST", "/v1/views/rename", "rename-view", "view", Class::Change),
    // The server
    rule("GET", "/management/v1/status", "show-status", "server", Class::Read),
    rule("GET", "/management/v1/slow-requests", "list-slow-requests", "server", Class::Read),
    rule("GET", "/management/v1/settings", "show-settings", "server", Class::Read),
    rule("POST", "/management/v1/reload", "reload-settings", "server", Class::Administration),
    rule("GET", "/management/v1/tiers", "list-tiers", "server", Class::Read),
    rule("POST", "/management/v1/backup", "create-backup", "server", Class::Administration),
    rule("POST", "/management/v1/reseal", "reseal-credentials", "server", Class::Administration),
    rule("GET", "/management/v1/signing-keys", "list-signing-keys", "server", Class::Read),
    rule("POST", "/management/v1/signing-keys", "add-signing-key", "signing-key", Class::Change),
    rule("DELETE", "/management/v1/signing-keys", "remove-signing-keys", "signing-key", Class::Change),
    rule("GET", "/management/v1/operators", "list-operators", "server", Class::Read),
    rule("POST", "/management/v1/operators", "create-operator", "operator", Class::Change),
    rule("DELETE", "/management/v1/operators/{operator}", "revoke-operator", "operator", Class::Change),
    rule("GET", "/management/v1/events", "list-events", "server", Class::Read),
    rule("GET", "/management/v1/audit", "list-audit", "server", Class::Read),
    rule("GET", "/management/v1/organisations", "list-organisations", "server", Class::Read),
    rule("POST", "/management/v1/organisations", "create-organisation", "organisation", Class::Change),
    rule("GET", "/management/v1/who-am-i", "who-am-i", "organisation", Class::Read),
    // Subscriptions to events, of the operators and of an organisation
    rule("GET", "/management/v1/subscriptions", "list-subscriptions", "server", Class::Read),
    rule("POST", "/management/v1/subscriptions", "create-subscription", "subscription", Class::Change),
    rule("GET", "/management/v1/subscriptions/{subscription}", "show-subscription", "subscription", Class::Read),
    rule("PATCH", "/management/v1/subscriptions/{subscription}", "update-subscription", "subscription", Class::Change),
    rule("DELETE", "/management/v1/subscriptions/{subscription}", "delete-subscription", "subscription", Class::Change),
    rule("POST", "/management/v1/subscriptions/{subscription}/rotate", "rotate-subscription-secret", "subscription", Class::Change),
    rule("POST", "/management/v1/subscriptions/{subscription}/test", "test-subscription", "subscription", Class::Administration),
    rule("GET", "/management/v1/subscriptions/{subscription}/dead-letters", "list-dead-letters", "subscription", Class::Read),
    rule("DELETE", "/management/v1/subscriptions/{subscription}/dead-letters", "discard-dead-letters", "subscription", Class::Administration),
    rule("POST", "/management/v1/subscriptions/{subscription}/dead-letters/replay", "replay-dead-letters", "subscription", Class::Administration),
    rule("GET", "/management/v1/organisations/{organisation}/subscriptions", "list-subscriptions", "organisation", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/subscriptions", "create-subscription", "subscription", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/subscriptions/{subscription}", "show-subscription", "subscription", Class::Read),
    rule("PATCH", "/management/v1/organisations/{organisation}/subscriptions/{subscription}", "update-subscription", "subscription", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/subscriptions/{subscription}", "delete-subscription", "subscription", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/subscriptions/{subscription}/rotate", "rotate-subscription-secret", "subscription", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/subscriptions/{subscription}/test", "test-subscription", "subscription", Class::Administration),
    rule("GET", "/management/v1/organisations/{organisation}/subscriptions/{subscription}/dead-letters", "list-dead-letters", "subscription", Class::Read),
    rule("DELETE", "/management/v1/organisations/{organisation}/subscriptions/{subscription}/dead-letters", "discard-dead-letters", "subscription", Class::Administration),
    rule("POST", "/management/v1/organisations/{organisation}/subscriptions/{subscription}/dead-letters/replay", "replay-dead-letters", "subscription", Class::Administration),
    // An organisation
    rule("GET", "/management/v1/organisations/{organisation}", "show-organisation", "organisation", Class::Read),
    rule("PATCH", "/management/v1/organisations/{organisation}", "update-organisation", "organisation", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}", "delete-organisation", "organisation", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/restore", "restore-organisation", "organisation", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/events", "list-events", "organisation", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/audit", "list-audit", "organisation", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/usage", "show-usage", "organisation", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/keys", "list-keys", "organisation", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/keys", "create-key", "key", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/keys/{key}", "show-key", "key", Class::Read),
    rule("PATCH", "/management/v1/organisations/{organisation}/keys/{key}", "update-key", "key", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/keys/{key}", "revoke-key", "key", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/keys/{key}/rotate", "rotate-key", "key", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/users", "list-users", "organisation", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/users/{user}", "show-user", "user", Class::Read),
    rule("PATCH", "/management/v1/organisations/{organisation}/users/{user}", "update-user", "user", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/users/{user}", "delete-user", "user", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/principals", "list-principals", "organisation", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/principal-roles", "list-principal-roles", "organisation", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/principal-roles", "create-principal-role", "principal-role", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/principal-roles/{principal-role}", "delete-principal-role", "principal-role", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/principal-roles/{principal-role}/principals", "list-principals-of-role", "principal-role", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/principal-roles/{principal-role}/principals/{principal}", "assign-principal-role", "principal", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/principal-roles/{principal-role}/principals/{principal}", "revoke-principal-role", "principal", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/trusted-engines", "list-trusted-engines", "organisation", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/trusted-engines/{principal}", "trust-engine", "principal", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/trusted-engines/{principal}", "distrust-engine", "principal", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses", "list-warehouses", "organisation", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses", "create-warehouse", "warehouse", Class::Change),
    // An organisation's warehouse
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}", "show-warehouse", "warehouse", Class::Read),
    rule("PATCH", "/management/v1/organisations/{organisation}/warehouses/{warehouse}", "update-warehouse", "warehouse", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/warehouses/{warehouse}", "drop-warehouse", "warehouse", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/check", "check-warehouse", "warehouse", Class::Administration),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped", "list-dropped", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped/{id}", "show-dropped", "dropped", Class::Read),
    rule("DELETE", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped/{id}", "remove-dropped", "dropped", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/dropped/{id}/restore", "restore-dropped", "dropped", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/policy", "show-maintenance-policy", "warehouse", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/policy", "set-maintenance-policy", "warehouse", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/runs", "list-maintenance-runs", "warehouse", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/runs", "start-maintenance", "table", Class::Administration),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/health", "show-table-health", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/preview", "preview-table", "table", Class::Administration),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/metrics", "list-metrics-reports", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces", "list-namespaces", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}", "load-namespace", "namespace", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/tables", "list-tables", "warehouse", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/tables/check", "check-tables", "warehouse", Class::Administration),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles", "list-catalog-roles", "warehouse", Class::Read),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles", "create-catalog-role", "catalog-role", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}", "delete-catalog-role", "catalog-role", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/principal-roles", "list-principal-roles-of-catalog-role", "catalog-role", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/principal-roles/{principal-role}", "assign-catalog-role", "principal-role", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/principal-roles/{principal-role}", "revoke-catalog-role", "principal-role", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/grants", "list-grants", "catalog-role", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/grants", "add-grant", "catalog-role", Class::Change),
    rule("POST", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles/{catalog-role}/grants", "revoke-grant", "catalog-role", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/access", "explain-access", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions", "list-restrictions", "table", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions/{principal-role}", "show-restriction", "table", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions/{principal-role}", "set-restriction", "table", Class::Change),
    rule("DELETE", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions/{principal-role}", "remove-restriction", "table", Class::Change),
    // Search and labels
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/search", "search-names", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/labels", "search-labels", "warehouse", Class::Read),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/labels", "show-labels", "namespace", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/labels", "set-labels", "namespace", Class::Change),
    rule("PATCH", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/labels", "set-labels", "namespace", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/labels", "show-labels", "table", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/labels", "set-labels", "table", Class::Change),
    rule("PATCH", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/labels", "set-labels", "table", Class::Change),
    rule("GET", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/views/{view}/labels", "show-labels", "view", Class::Read),
    rule("PUT", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/views/{view}/labels", "set-labels", "view", Class::Change),
    rule("PATCH", "/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/views/{view}/labels", "set-labels", "view", Class::Change),
    // Polaris' management API
    rule("GET", "/api/management/v1/catalogs", "list-warehouses", "organisation", Class::Read),
    rule("POST", "/api/management/v1/catalogs", "create-warehouse", "warehouse", Class::Change),
    rule("GET", "/api/management/v1/catalogs/{warehouse}", "show-warehouse", "warehouse", Class::Read),
    rule("PUT", "/api/management/v1/catalogs/{warehouse}", "update-warehouse", "warehouse", Class::Change),
    rule("DELETE", "/api/management/v1/catalogs/{warehouse}", "drop-warehouse", "warehouse", Class::Change),
    rule("GET", "/api/management/v1/catalogs/{warehouse}/catalog-roles", "list-catalog-roles", "warehouse", Class::Read),
    rule("POST", "/api/management/v1/catalogs/{warehouse}/catalog-roles", "create-catalog-role", "catalog-role", Class::Change),
    rule("GET", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}", "show-catalog-role", "catalog-role", Class::Read),
    rule("PUT", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}", "update-catalog-role", "catalog-role", Class::Change),
    rule("DELETE", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}", "delete-catalog-role", "catalog-role", Class::Change),
    rule("GET", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/principal-roles", "list-principal-roles-of-catalog-role", "catalog-role", Class::Read),
    rule("GET", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/grants", "list-grants", "catalog-role", Class::Read),
    rule("PUT", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/grants", "add-grant", "catalog-role", Class::Change),
    rule("POST", "/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/grants", "revoke-grant", "catalog-role", Class::Change),
    rule("GET", "/api/management/v1/principals", "list-principals", "organisation", Class::Read),
    rule("POST", "/api/management/v1/principals", "create-key", "key", Class::Change),
    rule("GET", "/api/management/v1/principals/{principal}", "show-principal", "principal", Class::Read),
    rule("PUT", "/api/management/v1/principals/{principal}", "update-principal", "principal", Class::Change),
    rule("DELETE", "/api/management/v1/principals/{principal}", "delete-principal", "principal", Class::Change),
    rule("POST", "/api/management/v1/principals/{principal}/rotate", "rotate-key", "principal", Class::Change),
    rule("POST", "/api/management/v1/principals/{principal}/reset", "reset-key", "principal", Class::Change),
    rule("GET", "/api/management/v1/principals/{principal}/principal-roles", "list-roles-of-principal", "principal", Class::Read),
    rule("PUT", "/api/management/v1/principals/{principal}/principal-roles", "assign-principal-role", "principal", Class::Change),
    rule("DELETE", "/api/management/v1/principals/{principal}/principal-roles/{principal-role}", "revoke-principal-role", "principal-role", Class::Change),
    rule("GET", "/api/management/v1/principal-roles", "list-principal-roles", "organisation", Class::Read),
    rule("POST", "/api/management/v1/principal-roles", "create-principal-role", "principal-role", Class::Change),
    rule("GET", "/api/management/v1/principal-roles/{principal-role}", "show-principal-role", "principal-role", Class::Read),
    rule("PUT", "/api/management/v1/principal-roles/{principal-role}", "update-principal-role", "principal-role", Class::Change),
    rule("DELETE", "/api/management/v1/principal-roles/{principal-role}", "delete-principal-role", "principal-role", Class::Change),
    rule("GET", "/api/management/v1/principal-roles/{principal-role}/principals", "list-principals-of-role", "principal-role", Class::Read),
    rule("GET", "/api/management/v1/principal-roles/{principal-role}/catalog-roles/{warehouse}", "list-catalog-roles-of-role", "principal-role", Class::Read),
    rule("PUT", "/api/management/v1/principal-roles/{principal-role}/catalog-roles/{warehouse}", "assign-catalog-role", "principal-role", Class::Change),
    rule("DELETE", "/api/management/v1/principal-roles/{principal-role}/catalog-roles/{warehouse}/{catalog-role}", "revoke-catalog-role", "catalog-role", Class::Change),
    rule("GET", "/api/catalog/polaris/v1/{warehouse}/applicable-policies", "list-policies", "warehouse", Class::Read),
    rule("GET", "/api/catalog/polaris/v1/{warehouse}/namespaces/{namespace}/policies", "list-policies", "namespace", Class::Read),
    rule("GET", "/api/catalog/polaris/v1/{warehouse}/namespaces/{namespace}/generic-tables", "list-generic-tables", "namespace", Class::Read),
];

/// Returns the rule of a route of the router.
pub(super) fn find(method: &Method, route: &str) -> Option<&'static Rule> {
    let route = match route.strip_prefix(OWN_WAREHOUSE) {
        Some(below) => format!("{WAREHOUSE}{below}"),
        None => route.replacen("/{prefix}", "", 1),
    };
    RULES.iter().find(|rule| rule.method == method.as_str() && rule.route == route)
}

/// Returns whether a request may be of the class [`Class::Administration`], without a search for its rule.
pub(super) fn may_administer(method: &Method, path: &str) -> bool {
    // A preview shows data, like vended credentials, so it always leaves a record.
    path.starts_with("/management/") && (matches!(*method, Method::POST | Method::DELETE) || path.ends_with("/preview"))
}

impl Rule {
    /// Returns whether the route signs requests to storage, each of which gives access to a file.
    pub(super) fn signs(&self) -> bool {
        self.operation == "sign-request"
    }

    /// Returns the name and the kind of a request's object, from the names in its path and the name in its body. If the body was not read, it
    /// is the object in which the request works.
    pub(super) fn object(&self, names: &Names, in_body: Option<&str>) -> (String, &'static str) {
        let is_in_namespace = matches!(self.object_type, "table" | "view" | "function");
        let own = names.object.as_deref().filter(|name| names.organisation.as_deref() != Some(*name));
        match (names.namespace.as_deref(), own.or(in_body)) {
            (Some(namespace), Some(name)) if is_in_namespace => (format!("{namespace}.{name}"), self.object_type),
            (Some(namespace), None) if is_in_namespace => (namespace.to_owned(), "namespace"),
            (Some(namespace), _) if self.object_type == "namespace" => (namespace.to_owned(), "namespace"),
            (_, Some(name)) if !matches!(self.object_type, "server" | "organisation") => {
                (name.to_owned(), self.object_type)
            }
            _ => self.container(names),
        }
    }

    /// Returns what contains the object, for a request that does not name the object itself.
    fn container(&self, names: &Names) -> (String, &'static str) {
        match (self.object_type, &names.warehouse, &names.organisation) {
            ("server", ..) => (String::new(), "server"),
            ("organisation", _, organisation) => (organisation.clone().unwrap_or_default(), "organisation"),
            (_, Some(warehouse), _) => (warehouse.clone(), "warehouse"),
            (_, None, Some(organisation)) => (organisation.clone(), "organisation"),
            (kind, None, None) => (String::new(), kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::openapi;
    use super::*;

    /// Another test compares the OpenAPI document with the router.
    #[test]
    fn each_administrative_route_is_looked_up_also_if_reads_are_not_recorded() {
        for rule in RULES.iter().filter(|rule| rule.class == Class::Administration) {
            let method = Method::from_bytes(rule.method.as_bytes()).unwrap();
            assert!(may_administer(&method, rule.route), "{rule:?}");
        }
    }

    #[test]
    fn every_route_has_a_rule_and_every_rule_a_route() {
        let document = openapi::document().unwrap();
        let mut routes = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let methods = operations.as_object().unwrap().keys();
            let is_method = |name: &&String| ["get", "head", "post", "put", "patch", "delete"].contains(&name.as_str());
            routes.extend(methods.filter(is_method).map(|method| (method.to_uppercase(), path.clone())));
        }
        assert!(routes.len() > 80, "{routes:?}");
        let mut used = Vec::new();
        for (method, path) in &routes {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let rule = find(&method, path);
            assert!(rule.is_some(), "{method} {path} has no rule: add it to RULES");
            used.extend(rule.map(|rule| (rule.method, rule.route)));
        }
        for rule in RULES {
            assert!(
                used.contains(&(rule.method, rule.route)),
                "no route for the rule of {} {}",
                rule.method,
                rule.route
            );
        }
    }

    #[test]
    fn object_is_named_like_in_events_and_its_container_stands_for_an_unknown_one() {
        let of = |method: Method, route: &str, path: &str, in_body: Option<&str>| {
            find(&method, route).unwrap().object(&Names::from_path(route, path), in_body)
        };
        let table = "/v1/{prefix}/namespaces/{namespace}/tables/{table}";
        let path = "/v1/lake/namespaces/sales%1Feu/tables/orders";
        assert_eq!(of(Method::GET, table, path, None), ("sales.eu.orders".to_owned(), "table"));
        let tables = "/v1/{prefix}/namespaces/{namespace}/tables";
        let path = "/v1/lake/namespaces/sales/tables";
        assert_eq!(of(Method::POST, tables, path, Some("orders")), ("sales.orders".to_owned(), "table"));
        assert_eq!(of(Method::POST, tables, path, None), ("sales".to_owned(), "namespace"));
        let rename = "/v1/{prefix}/tables/rename";
        assert_eq!(of(Method::POST, rename, "/v1/lake/tables/rename", None), ("lake".to_owned(), "warehouse"));
        let renamed = of(Method::POST, rename, "/v1/lake/tables/rename", Some("a.b to a.c"));
        assert_eq!(renamed, ("a.b to a.c".to_owned(), "table"));
        let keys = "/management/v1/organisations/{organisation}/keys";
        let path = "/management/v1/organisations/acme/keys";
        assert_eq!(of(Method::GET, keys, path, None), ("acme".to_owned(), "organisation"));
        assert_eq!(of(Method::POST, keys, path, None), ("acme".to_owned(), "organisation"));
        let dropped = "/management/v1/warehouses/{warehouse}/dropped/{id}";
        let path = "/management/v1/warehouses/lake/dropped/7";
        assert_eq!(of(Method::DELETE, dropped, path, None), ("7".to_owned(), "dropped"));
    }
}
