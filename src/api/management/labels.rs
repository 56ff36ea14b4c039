//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces/{namespace}/labels`, and the same below its tables and
//! views: the labels of the object and of its columns. A caller that may change the object's properties may change its labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tidewater_core::document::{Schema, SchemaIndex, TableMetadata};
use tidewater_core::labels::{LabelEdit, LabelMap, LabelUpdate, Labels, NamespaceLabels, effective};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::view::ViewMetadata;

use super::fields::Fields;
use super::scoped::InOrganisation;
use crate::access::{Table, View, action};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::labels::{schema_of_table, schema_of_view};
use crate::api::path::Named;
use crate::metadata::Document;
use crate::store::TableRecord;
use crate::warehouse::OpenWarehouse;

/// All labels of an object, in a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct NewLabels {
    #[serde(default)]
    object_labels: LabelMap,
    #[serde(default)]
    fields: Vec<NewField>,
}

/// The labels of a column, in a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NewField {
    column: Option<String>,
    field_id: Option<i32>,
    labels: LabelMap,
}

/// Labels to set and to remove, in a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct LabelChanges {
    #[serde(default)]
    set: LabelMap,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    fields: Vec<FieldChanges>,
}

/// Labels of a column to set and to remove, in a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FieldChanges {
    column: Option<String>,
    field_id: Option<i32>,
    #[serde(default)]
    set: LabelMap,
    #[serde(default)]
    remove: Vec<String>,
}

/// The labels of an object, in an answer.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct LabelsEntry {
    object_labels: LabelMap,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<FieldEntry>>,
    /// The object's labels with those that it inherits, as loads have them.
    effective_labels: LabelMap,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FieldEntry {
    field_id: i32,
    /// The column's name. Absent if the current schema does not have it: then no load has its labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    labels: LabelMap,
}

/// The labels in a body, before columns are found by their names.
enum Wanted {
    All(NewLabels),
    Changes(LabelChanges),
}

impl Wanted {
    /// Returns the update, with columns by field id. Columns that get labels must be in the schema, or have labels already.
    fn into_update(self, schema: Option<&Schema>, own: Option<&Labels>) -> Result<LabelUpdate, ApiError> {
        let index = schema.map(Schema::index).transpose().map_err(|error| invalid(&error))?;
        let update = match self {
            Self::All(NewLabels { object_labels, fields }) => {
                let fields = fields.into_iter().map(|NewField { column, field_id, labels }| {
                    Ok((field_id_of(column, field_id, index.as_ref())?, labels))
                });
                LabelUpdate::Replace(Labels::new(object_labels, by_id(fields)?).map_err(|error| invalid(&error))?)
            }
            Self::Changes(LabelChanges { set, remove, fields }) => {
                let fields = fields.into_iter().map(|FieldChanges { column, field_id, set, remove }| {
                    Ok((field_id_of(column, field_id, index.as_ref())?, LabelEdit { set, remove }))
                });
                LabelUpdate::Edit { object: LabelEdit { set, remove }, fields: by_id(fields)? }
            }
        };
        let is_known = |id: &i32| {
            index.as_ref().is_some_and(|index| index.column(*id).is_some())
                || own.is_some_and(|own| own.fields().contains_key(id))
        };
        let unknown = update.labelled_ids().find(|id| !is_known(id));
        match unknown {
            Some(id) => Err(invalid(&format!("The current schema has no column with the field id {id}"))),
            None => Ok(update),
        }
    }

    /// Returns the update of a namespace, which has no columns.
    fn into_update_of_namespace(self) -> Result<LabelUpdate, ApiError> {
        let has_fields = match &self {
            Self::All(labels) => !labels.fields.is_empty(),
            Self::Changes(changes) => !changes.fields.is_empty(),
        };
        if has_fields {
            return Err(invalid(&"A namespace has no columns: leave out `fields`"));
        }
        self.into_update(None, None)
    }
}

fn invalid(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(error.to_string())
}

/// Returns the field id of a column in a body.
fn field_id_of(
    column: Option<String>,
    field_id: Option<i32>,
    index: Option<&SchemaIndex<'_>>,
) -> Result<i32, ApiError> {
    match (column, field_id) {
        (None, Some(id)) => Ok(id),
        (Some(name), None) => index
            .and_then(|index| index.id_of(&name))
            .ok_or_else(|| invalid(&format!("The current schema has no column '{name}'"))),
        _ => Err(invalid(&"Give `column` or `field-id` of each of `fields`")),
    }
}

/// Collects columns by their ids.
fn by_id<T>(fields: impl Iterator<Item = Result<(i32, T), ApiError>>) -> Result<BTreeMap<i32, T>, ApiError> {
    let mut by_id = BTreeMap::new();
    for field in fields {
        let (id, value) = field?;
        if by_id.insert(id, value).is_some() {
            return Err(invalid(&format!("The column with the field id {id} is given more than once")));
        }
    }
    Ok(by_id)
}

/// Returns the entry of a namespace. `all` has the labels of the namespaces around it, and its own.
fn namespace_entry(own: &Labels, ident: &NamespaceIdent, all: &NamespaceLabels) -> LabelsEntry {
    let effective_labels = effective(all.inherited(ident), Some(own));
    LabelsEntry { object_labels: own.object().clone(), fields: None, effective_labels }
}

/// A table or view with its document, whose labels are shown or changed.
struct Subject<'a, M> {
    warehouse: &'a OpenWarehouse,
    ident: &'a TableIdent,
    record: &'a TableRecord,
    document: &'a Arc<Document<M>>,
    schema: fn(&M) -> Option<&Schema>,
}

impl<M: Send + Sync + 'static> Subject<'_, M> {
    /// Does work with the current schema, on a worker if the document is large.
    async fn with_schema<T: Send + 'static>(
        &self,
        api: &Api,
        work: impl FnOnce(Option<&Schema>) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (document, schema, bytes) = (Arc::clone(self.document), self.schema, self.document.json.len() as u64);
        let owner = self.warehouse.warehouse_ref.organisation.0;
        Ok(api.heavy.run(owner, bytes, move || work(schema(&document.metadata))).await?)
    }

    async fn update(&self, api: &Api, wanted: Wanted) -> Result<LabelUpdate, ApiError> {
        let own = self.record.labels.clone();
        self.with_schema(api, move |schema| wanted.into_update(schema, own.as_deref())).await?
    }

    async fn entry(&self, api: &Api, own: Labels) -> Result<Json<LabelsEntry>, ApiError> {
        let effective_labels = effective(self.warehouse.labels.inherited(&self.ident.namespace), Some(&own));
        let entry = move |schema: Option<&Schema>| {
            let index = schema.and_then(|schema| schema.index().ok());
            let name = |id: i32| index.as_ref().map(|index| index.full_name(id)).filter(|name| !name.is_empty());
            let field = |(id, labels): (&i32, &LabelMap)| FieldEntry {
                field_id: *id,
                column: name(*id),
                labels: labels.clone(),
            };
            let fields = Some(own.fields().iter().map(field).collect());
            LabelsEntry { object_labels: own.object().clone(), fields, effective_labels }
        };
        self.with_schema(api, entry).await.map(Json)
    }
}

/// Shows the labels of a namespace.
pub(in crate::api) async fn of_namespace(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<action::LoadNamespace>,
    Named(ident): Named<NamespaceIdent>,
) -> Result<Json<LabelsEntry>, ApiError> {
    let permit = scope.namespace(ident)?;
    let (own, all) = api.catalog.namespace_labels(&permit).await?;
    Ok(Json(namespace_entry(&own, &permit.ident, &all)))
}

/// Replaces all labels of a namespace.
pub(in crate::api) async fn replace_of_namespace(
    state: State<Arc<Api>>,
    scope: InOrganisation<action::UpdateNamespace>,
    ident: Named<NamespaceIdent>,
    Fields(labels): Fields<NewLabels>,
) -> Result<Json<LabelsEntry>, ApiError> {
    change_namespace(state, scope, ident, Wanted::All(labels)).await
}

/// Changes some labels of a namespace.
pub(in crate::api) async fn change_of_namespace(
    state: State<Arc<Api>>,
    scope: InOrganisation<action::UpdateNamespace>,
    ident: Named<NamespaceIdent>,
    Fields(changes): Fields<LabelChanges>,
) -> Result<Json<LabelsEntry>, ApiError> {
    change_namespace(state, scope, ident, Wanted::Changes(changes)).await
}

async fn change_namespace(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<action::UpdateNamespace>,
    Named(ident): Named<NamespaceIdent>,
    wanted: Wanted,
) -> Result<Json<LabelsEntry>, ApiError> {
    let permit = scope.namespace(ident)?;
    let update = wanted.into_update_of_namespace()?;
    let own = api.catalog.namespace_update_labels(&permit, &update, &scope.change(&api)).await?;
    let around = permit.ident.parent().map(|parent| permit.warehouse.labels.inherited(&parent)).unwrap_or_default();
    let effective_labels = effective(around, Some(&own));
    Ok(Json(LabelsEntry { object_labels: own.object().clone(), fields: None, effective_labels }))
}

/// Returns a table whose labels are shown or changed.
fn table_subject<'a>(table: &'a Table, document: &'a Arc<Document<TableMetadata>>) -> Subject<'a, TableMetadata> {
    let Table { warehouse, ident, record } = table;
    Subject { warehouse, ident, record, document, schema: schema_of_table }
}

/// Shows the labels of a table.
pub(in crate::api) async fn of_table(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<action::LoadTable>,
    Named(ident): Named<TableIdent>,
) -> Result<Json<LabelsEntry>, ApiError> {
    let permit = scope.table(&api, ident).await?;
    let document = api.catalog.table_load(&permit).await?.document;
    let own = permit.record.labels.as_deref().cloned().unwrap_or_default();
    table_subject(&permit, &document).entry(&api, own).await
}

/// Replaces all labels of a table.
pub(in crate::api) async fn replace_of_table(
    state: State<Arc<Api>>,
    scope: InOrganisation<action::CommitTable>,
    ident: Named<TableIdent>,
    Fields(labels): Fields<NewLabels>,
) -> Result<Json<LabelsEntry>, ApiError> {
    change_table(state, scope, ident, Wanted::All(labels)).await
}

/// Changes some labels of a table.
pub(in crate::api) async fn change_of_table(
    state: State<Arc<Api>>,
    scope: InOrganisation<action::CommitTable>,
    ident: Named<TableIdent>,
    Fields(changes): Fields<LabelChanges>,
) -> Result<Json<LabelsEntry>, ApiError> {
    change_table(state, scope, ident, Wanted::Changes(changes)).await
}

async fn change_table(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<action::CommitTable>,
    Named(ident): Named<TableIdent>,
    wanted: Wanted,
) -> Result<Json<LabelsEntry>, ApiError> {
    let permit = scope.table(&api, ident).await?;
    let document = api.catalog.table_to_label(&permit).await?.document;
    let subject = table_subject(&permit, &document);
    let update = subject.update(&api, wanted).await?;
    let own = api.catalog.table_update_labels(&permit, &update, &scope.change(&api)).await?;
    subject.entry(&api, own).await
}

/// Returns a view whose labels are shown or changed.
fn view_subject<'a>(view: &'a View, document: &'a Arc<Document<ViewMetadata>>) -> Subject<'a, ViewMetadata> {
    let View { warehouse, ident, record } = view;
    Subject { warehouse, ident, record, document, schema: schema_of_view }
}

/// Shows the labels of a view.
pub(in crate::api) async fn of_view(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<action::LoadView>,
    Named(ident): Named<TableIdent>,
) -> Result<Json<LabelsEntry>, ApiError> {
    let permit = scope.view(&api, ident).await?;
    let document = api.catalog.view_load(&permit).await?;
    let own = permit.record.labels.as_deref().cloned().unwrap_or_default();
    view_subject(&permit, &document).entry(&api, own).await
}

/// Replaces all labels of a view.
pub(in crate::api) async fn replace_of_view(
    state: State<Arc<Api>>,
    scope: InOrganisation<action::ReplaceView>,
    ident: Named<TableIdent>,
    Fields(labels): Fields<NewLabels>,
) -> Result<Json<LabelsEntry>, ApiError> {
    change_view(state, scope, ident, Wanted::All(labels)).await
}

/// Changes some labels of a view.
pub(in crate::api) async fn change_of_view(
    state: State<Arc<Api>>,
    scope: InOrganisation<action::ReplaceView>,
    ident: Named<TableIdent>,
    Fields(changes): Fields<LabelChanges>,
) -> Result<Json<LabelsEntry>, ApiError> {
    change_view(state, scope, ident, Wanted::Changes(changes)).await
}

async fn change_view(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<action::ReplaceView>,
    Named(ident): Named<TableIdent>,
    wanted: Wanted,
) -> Result<Json<LabelsEntry>, ApiError> {
    let permit = scope.view(&api, ident).await?;
    let document = api.catalog.view_to_label(&permit).await?;
    let subject = view_subject(&permit, &document);
    let update = subject.update(&api, wanted).await?;
    let own = api.catalog.view_update_labels(&permit, &update, &scope.change(&api)).await?;
    subject.entry(&api, own).await
}
