//! Loaded objects of actions.

use std::sync::Arc;

use tidewater_core::access::{self, Tabular, Target};
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use crate::store::{Dropped, KeptDocument, TableKind, TableRecord};
use crate::warehouse::OpenWarehouse;

/// The object of an action.
pub trait Object {
    /// Returns the object's ids and name for the decision.
    fn as_decided(&self) -> access::Object<'_>;
}

/// An object within a warehouse.
pub trait InWarehouse: Object {
    /// Returns its warehouse.
    fn warehouse(&self) -> &Arc<OpenWarehouse>;
}

/// A table or view that was found by its name.
pub trait Found: InWarehouse + Sized {
    /// Returns the name.
    fn ident(&self) -> &TableIdent;

    /// Returns the store's record.
    fn record(&self) -> &TableRecord;

    /// Returns the object that has the same name now.
    #[must_use]
    fn found_again(&self, record: TableRecord) -> Self;
}

/// An organisation.
#[derive(Debug, Clone, Copy)]
pub struct Organisation(pub OrganisationId);

/// A warehouse.
#[derive(Debug, Clone)]
pub struct Warehouse(pub Arc<OpenWarehouse>);

/// A namespace. Its name is its identity and never changes. The namespace may be missing.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The warehouse that it is in.
    pub warehouse: Arc<OpenWarehouse>,
    /// Its name.
    pub ident: NamespaceIdent,
}

/// The parent of listed namespaces: a namespace, or the top of a warehouse.
#[derive(Debug, Clone)]
pub struct NamespaceParent {
    /// The warehouse.
    pub warehouse: Arc<OpenWarehouse>,
    /// The namespace; `None` for the top.
    pub ident: Option<NamespaceIdent>,
}

/// A table as the store has it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The warehouse that it is in.
    pub warehouse: Arc<OpenWarehouse>,
    /// The name that it was found by.
    pub ident: TableIdent,
    /// Its id and pointer.
    pub record: TableRecord,
}

/// A view as the store has it.
#[derive(Debug, Clone)]
pub struct View {
    /// The warehouse that it is in.
    pub warehouse: Arc<OpenWarehouse>,
    /// The name that it was found by.
    pub ident: TableIdent,
    /// Its id and pointer.
    pub record: TableRecord,
}

/// The table or view of an earlier answer, for a repeated request. It may have been renamed or dropped since.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The warehouse that it was in.
    pub warehouse: Arc<OpenWarehouse>,
    /// Its name in the request.
    pub ident: TableIdent,
    /// Table or view.
    pub kind: TableKind,
    /// The document of the answer, and the id of its object.
    pub kept: KeptDocument,
}

/// A dropped table or view as the store has it.
#[derive(Debug, Clone)]
pub struct DroppedObject {
    /// The warehouse that it was in.
    pub warehouse: Arc<OpenWarehouse>,
    /// The store's record.
    pub dropped: Dropped,
}

impl Object for Organisation {
    fn as_decided(&self) -> access::Object<'_> {
        access::Object { organisation: self.0, target: Target::Organisation }
    }
}

fn tabular<'a>(
    warehouse: &OpenWarehouse,
    id: TableId,
    ident: &'a TableIdent,
    owner: Option<PrincipalId>,
) -> Tabular<'a> {
    Tabular { warehouse: warehouse.warehouse_ref.warehouse, id, ident, owner }
}

fn in_warehouse<'a>(warehouse: &OpenWarehouse, target: Target<'a>) -> access::Object<'a> {
    access::Object { organisation: warehouse.warehouse_ref.organisation, target }
}

impl Object for Warehouse {
    fn as_decided(&self) -> access::Object<'_> {
        in_warehouse(&self.0, Target::Warehouse(self.0.warehouse_ref.warehouse))
    }
}

impl Object for Namespace {
    fn as_decided(&self) -> access::Object<'_> {
        in_warehouse(&self.warehouse, Target::Namespace(self.warehouse.warehouse_ref.warehouse, &self.ident))
    }
}

impl Object for NamespaceParent {
    fn as_decided(&self) -> access::Object<'_> {
        let warehouse = self.warehouse.warehouse_ref.warehouse;
        let target =
            self.ident.as_ref().map_or(Target::Warehouse(warehouse), |ident| Target::Namespace(warehouse, ident));
        in_warehouse(&self.warehouse, target)
    }
}

impl Object for Table {
    fn as_decided(&self) -> access::Object<'_> {
        let Self { warehouse, ident, record } = self;
        in_warehouse(warehouse, Target::Table(tabular(warehouse, record.id, ident, record.owner)))
    }
}

impl Object for View {
    fn as_decided(&self) -> access::Object<'_> {
        let Self { warehouse, ident, record } = self;
        in_warehouse(warehouse, Target::View(tabular(warehouse, record.id, ident, record.owner)))
    }
}

impl Object for Answered {
    fn as_decided(&self) -> access::Object<'_> {
        let answered = tabular(&self.warehouse, self.kept.id, &self.ident, self.kept.owner);
        let target = match self.kind {
            TableKind::Table => Target::Table(answered),
            TableKind::View => Target::View(answered),
        };
        in_warehouse(&self.warehouse, target)
    }
}

impl Object for DroppedObject {
    fn as_decided(&self) -> access::Object<'_> {
        let Dropped { id, ident, kind, owner, .. } = &self.dropped;
        let dropped = tabular(&self.warehouse, *id, ident, *owner);
        let target = match kind {
            TableKind::Table => Target::DroppedTable(dropped),
            TableKind::View => Target::DroppedView(dropped),
        };
        in_warehouse(&self.warehouse, target)
    }
}

impl InWarehouse for Warehouse {
    fn warehouse(&self) -> &Arc<OpenWarehouse> {
        &self.0
    }
}

macro_rules! in_warehouse {
    ($($object:ty),+) => {$(
        impl InWarehouse for $object {
            fn warehouse(&self) -> &Arc<OpenWarehouse> {
                &self.warehouse
            }
        }
    )+};
}

macro_rules! found {
    ($($object:ident),+) => {$(
        impl Found for $object {
            fn ident(&self) -> &TableIdent {
                &self.ident
            }

            fn record(&self) -> &TableRecord {
                &self.record
            }

            fn found_again(&self, record: TableRecord) -> Self {
                Self { warehouse: Arc::clone(&self.warehouse), ident: self.ident.clone(), record }
            }
        }
    )+};
}

found!(Table, View);

in_warehouse!(Namespace, NamespaceParent, Table, View, Answered, DroppedObject);
