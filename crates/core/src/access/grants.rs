//! A principal's grants: as stored, and as compiled for decisions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::privilege::{Privilege, PrivilegeSet, SecurableKind};
use super::restricted::Restrictions;
use crate::ids::{CatalogRoleId, TableId, WarehouseId};
use crate::name::{LEVEL_SEPARATOR, MAX_NAMESPACE_LEVELS, NamespaceIdent, TableIdent};

/// The object of a grant, within its warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Securable {
    /// The warehouse.
    Warehouse,
    /// A namespace, identified by its name.
    Namespace(NamespaceIdent),
    /// A table, identified by its id, with its current name. The name is `None` while the table is dropped.
    Table(TableId, Option<TableIdent>),
    /// A view, as a table.
    View(TableId, Option<TableIdent>),
}

impl Securable {
    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> SecurableKind {
        match self {
            Self::Warehouse => SecurableKind::Warehouse,
            Self::Namespace(_) => SecurableKind::Namespace,
            Self::Table(..) => SecurableKind::Table,
            Self::View(..) => SecurableKind::View,
        }
    }
}

/// A privilege that a principal has through a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The warehouse.
    pub warehouse: WarehouseId,
    /// The catalog role with the grant. `None` for a privilege of an owner.
    pub role: Option<CatalogRoleId>,
    /// The object.
    pub on: Securable,
    /// The privilege.
    pub privilege: Privilege,
}

/// The compiled grants of a principal. A decision looks up the object and the namespaces around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    warehouses: HashMap<WarehouseId, InWarehouse>,
    /// All privileges that are granted anywhere.
    anywhere: PrivilegeSet,
    /// What its roles may not read.
    restrictions: Restrictions,
    size_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct InWarehouse {
    own: PrivilegeSet,
    top: Node,
    /// The key of each namespace in the tree, with the privileges on it and on the objects around it. The parents of a namespace
    /// in the tree are in the tree too.
    by_key: HashMap<Box<str>, PrivilegeSet>,
    tabulars: HashMap<TableId, PrivilegeSet>,
    anywhere: PrivilegeSet,
}

/// A namespace with a grant on it, in it or below it; or the top of a warehouse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    granted: PrivilegeSet,
    children: BTreeMap<Box<str>, Self>,
    /// The names of its tables that are visible because of grants on them.
    tables: BTreeSet<Box<str>>,
    /// The names of its views that are visible because of grants on them.
    views: BTreeSet<Box<str>>,
}

/// The privileges of the owner of a table, view or namespace: all except granting.
pub(super) const OWNER: PrivilegeSet = Privilege::CatalogManageContent.implied();

/// The privileges to create objects, which the creator then owns.
pub(super) const CREATES: PrivilegeSet =
    PrivilegeSet::of(&[Privilege::NamespaceCreate, Privilege::TableCreate, Privilege::ViewCreate]);

/// The privileges that make a table visible.
pub(super) const SEES_TABLE: PrivilegeSet = PrivilegeSet::of(&[Privilege::TableList, Privilege::CatalogManageAccess]);

/// The privileges that make a view visible.
pub(super) const SEES_VIEW: PrivilegeSet = PrivilegeSet::of(&[Privilege::ViewList, Privilege::CatalogManageAccess]);

/// The privileges that make a namespace visible: all except those for the warehouse alone.
pub(super) const SEES_NAMESPACE: PrivilegeSet = {
    let mut all = PrivilegeSet::EMPTY;
    let mut at = 0;
    while at < Privilege::ALL.len() {
        let one = Privilege::ALL[at];
        if !matches!(one, Privilege::CatalogReadProperties | Privilege::CatalogWriteProperties) {
            all = all.with(PrivilegeSet::of(&[one]));
        }
        at += 1;
    }
    all
};

impl Grants {
    /// Compiles grants. `owned_in` are the namespaces with tables or views that the principal owns; they are visible. Includes
    /// grants on dropped tables and views, so that they apply as soon as those are restored.
    #[must_use]
    pub fn compile<'a>(
        granted: impl IntoIterator<Item = &'a Granted>,
        owned_in: impl IntoIterator<Item = &'a (WarehouseId, NamespaceIdent)>,
    ) -> Self {
        let mut grants = Self::default();
        for (warehouse, namespace) in owned_in {
            let warehouse = grants.warehouses.entry(*warehouse).or_default();
            warehouse.top.at(namespace);
            warehouse.anywhere = OWNER;
        }
        for Granted { warehouse, on, privilege, .. } in granted {
            let implied = privilege.implied();
            let warehouse = grants.warehouses.entry(*warehouse).or_default();
            warehouse.anywhere = warehouse.anywhere.with(implied);
            match on {
                Securable::Warehouse => warehouse.own = warehouse.own.with(implied),
                Securable::Namespace(namespace) => {
                    let node = warehouse.top.at(namespace);
                    node.granted = node.granted.with(implied);
                }
                Securable::Table(id, name) => warehouse.add_tabular(*id, name.as_ref(), implied, on.kind()),
                Securable::View(id, name) => warehouse.add_tabular(*id, name.as_ref(), implied, on.kind()),
            }
        }
        for warehouse in grants.warehouses.values_mut() {
            if warehouse.anywhere.intersects(CREATES) {
                warehouse.anywhere = warehouse.anywhere.with(OWNER);
            }
            grants.anywhere = grants.anywhere.with(warehouse.anywhere);
            let InWarehouse { own, top, by_key, .. } = warehouse;
            top.index("", *own, by_key);
        }
        grants.size_bytes = grants.warehouses.values().map(InWarehouse::size_bytes).sum();
        grants
    }

    /// Returns the same grants with restrictions.
    #[must_use]
    pub fn restricted(self, restrictions: Restrictions) -> Self {
        let size_bytes = self.size_bytes.saturating_add(restrictions.size_bytes());
        Self { restrictions, size_bytes, ..self }
    }

    /// Returns what the principal's roles may not read.
    #[must_use]
    pub const fn restrictions(&self) -> &Restrictions {
        &self.restrictions
    }

    /// Returns about how much memory they take, in bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns whether there are no grants and no restrictions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.gives_anything() && self.restrictions.is_empty()
    }

    /// Returns whether there are grants.
    pub(super) fn gives_anything(&self) -> bool {
        !self.warehouses.is_empty()
    }

    /// Returns whether there is a grant on the warehouse or in it.
    #[must_use]
    pub fn sees_warehouse(&self, warehouse: WarehouseId) -> bool {
        self.warehouses.contains_key(&warehouse)
    }

    /// Returns all privileges that are granted anywhere.
    pub(super) const fn anywhere(&self) -> PrivilegeSet {
        self.anywhere
    }

    /// Returns the privileges on the warehouse and on all objects in it.
    pub(super) fn anywhere_in(&self, warehouse: WarehouseId) -> PrivilegeSet {
        self.warehouses.get(&warehouse).map_or(PrivilegeSet::EMPTY, |found| found.anywhere)
    }

    /// Returns the privileges on the warehouse itself.
    pub(super) fn on_warehouse(&self, warehouse: WarehouseId) -> PrivilegeSet {
        self.warehouses.get(&warehouse).map_or(PrivilegeSet::EMPTY, |found| found.own)
    }

    /// Returns the privileges on a namespace and on the objects around it, and whether there is a grant on it, in it or below it.
    pub(super) fn on_namespace(&self, warehouse: WarehouseId, namespace: &NamespaceIdent) -> (PrivilegeSet, bool) {
        let Some(found) = self.warehouses.get(&warehouse) else { return (PrivilegeSet::EMPTY, false) };
        let key = namespace.as_key();
        if let Some(privileges) = found.by_key.get(key) {
            return (*privileges, true);
        }
        // Finds the deepest parent in the tree by bisection.
        let mut ends = [0; MAX_NAMESPACE_LEVELS];
        let mut levels = 0;
        for (end, _) in key.match_indices(LEVEL_SEPARATOR).take(MAX_NAMESPACE_LEVELS) {
            ends[levels] = end;
            levels += 1;
        }
        let (mut privileges, mut from, mut to) = (found.own, 0, levels);
        while from < to {
            let middle = usize::midpoint(from, to);
            match found.by_key.get(&key[..ends[middle]]) {
                Some(known) => (privileges, from) = (*known, middle + 1),
                None => to = middle,
            }
        }
        (privileges, false)
    }

    /// Returns the privileges on a table or view and on the objects around it.
    pub(super) fn on_tabular(&self, warehouse: WarehouseId, id: TableId, namespace: &NamespaceIdent) -> PrivilegeSet {
        let Some(found) = self.warehouses.get(&warehouse) else { return PrivilegeSet::EMPTY };
        let own = match found.tabulars.is_empty() {
            true => PrivilegeSet::EMPTY,
            false => found.tabulars.get(&id).copied().unwrap_or_default(),
        };
        own.with(self.on_namespace(warehouse, namespace).0)
    }

    /// Returns whether there is a grant on a namespace, in it, below it or around it that makes it visible.
    #[must_use]
    pub fn sees_namespace(&self, warehouse: WarehouseId, namespace: &NamespaceIdent) -> bool {
        let (privileges, is_in_tree) = self.on_namespace(warehouse, namespace);
        is_in_tree || privileges.intersects(SEES_NAMESPACE)
    }

    /// Returns up to `limit` namespaces directly below `parent`, or at the top, with a grant on them, in them or below them. They
    /// are sorted by name. Only namespaces with a key after `after` are returned.
    #[must_use]
    pub fn children(
        &self,
        warehouse: WarehouseId,
        parent: Option<&NamespaceIdent>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<NamespaceIdent> {
        let Some(node) = self.node(warehouse, parent) else { return Vec::new() };
        let prefix = parent.map_or(String::new(), |parent| format!("{}{LEVEL_SEPARATOR}", parent.as_key()));
        let from = match after {
            None => Bound::Unbounded,
            Some(after) => match after.strip_prefix(&prefix) {
                Some(level) => Bound::Excluded(level),
                None if after < prefix.as_str() => Bound::Unbounded,
                None => return Vec::new(),
            },
        };
        let levels = node.children.range::<str, _>((from, Bound::Unbounded)).map(|(level, _)| level);
        levels.take(limit).filter_map(|level| NamespaceIdent::from_key(&format!("{prefix}{level}")).ok()).collect()
    }

    /// Returns up to `limit` names of tables or views in a namespace with grants on them, sorted, after `after`.
    #[must_use]
    pub fn named(
        &self,
        warehouse: WarehouseId,
        namespace: &NamespaceIdent,
        kind: SecurableKind,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<String> {
        let Some(node) = self.node(warehouse, Some(namespace)) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = if kind == SecurableKind::View { &node.views } else { &node.tables };
        names.range::<str, _>((from, Bound::Unbounded)).take(limit).map(ToString::to_string).collect()
    }

    fn node(&self, warehouse: WarehouseId, namespace: Option<&NamespaceIdent>) -> Option<&Node> {
        let top = &self.warehouses.get(&warehouse)?.top;
        let Some(namespace) = namespace else { return Some(top) };
        namespace.levels().try_fold(top, |node, level| node.children.get(level))
    }
}

/// About how much memory an entry of a map takes beside its key and value, in bytes.
const ENTRY_BYTES: usize = 32;

impl InWarehouse {
    fn size_bytes(&self) -> u64 {
        let keys: usize = self.by_key.keys().map(|key| key.len() + size_of::<(Box<str>, PrivilegeSet)>()).sum();
        let tabulars = self.tabulars.len() * (size_of::<(TableId, PrivilegeSet)>() + ENTRY_BYTES);
        let own = size_of::<Self>() + keys + self.by_key.len() * ENTRY_BYTES + tabulars;
        (own + self.top.size_bytes()) as u64
    }

    fn add_tabular(&mut self, id: TableId, name: Option<&TableIdent>, implied: PrivilegeSet, kind: SecurableKind) {
        let granted = self.tabulars.entry(id).or_default();
        *granted = granted.with(implied);
        let sees = if kind == SecurableKind::View { SEES_VIEW } else { SEES_TABLE };
        if let Some(name) = name.filter(|_| implied.intersects(sees)) {
            let node = self.top.at(&name.namespace);
            let names = if kind == SecurableKind::View { &mut node.views } else { &mut node.tables };
            names.insert(name.name().into());
        }
    }
}

impl Node {
    fn size_bytes(&self) -> usize {
        let names = self.tables.iter().chain(&self.views);
        let names: usize = names.map(|name| name.len() + size_of::<Box<str>>() + ENTRY_BYTES).sum();
        let below = self.children.iter().map(|(level, child)| level.len() + child.size_bytes() + ENTRY_BYTES);
        size_of::<(Box<str>, Self)>() + names + below.sum::<usize>()
    }

    /// Adds the namespaces below to an index, each with the privileges on it and on the objects around it.
    fn index(&self, key: &str, around: PrivilegeSet, by_key: &mut HashMap<Box<str>, PrivilegeSet>) {
        for (level, child) in &self.children {
            let key = if key.is_empty() { level.to_string() } else { format!("{key}{LEVEL_SEPARATOR}{level}") };
            let privileges = around.with(child.granted);
            child.index(&key, privileges, by_key);
            by_key.insert(key.into(), privileges);
        }
    }

    fn at(&mut self, namespace: &NamespaceIdent) -> &mut Self {
        namespace.levels().fold(self, |node, level| node.children.entry(level.into()).or_default())
    }
}
