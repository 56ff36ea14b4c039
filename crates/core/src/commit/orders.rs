//! Updates to sort orders.

use std::sync::Arc;

use super::CommitError;
use super::apply::Draft;
use super::schemas::{next_id, resolve};
use crate::document::{SortOrder, UNSORTED_ORDER_ID};

impl Draft {
    /// Adds an order under the next id, unless an equal one exists. Both count as the last added order. The order that does
    /// not sort always has id 0.
    pub(super) fn add_sort_order(&mut self, order: &SortOrder) -> Result<(), CommitError> {
        self.definitions.count_one()?;
        let document = &mut self.document;
        if let Some(known) = self.definitions.find_order(&document.sort_orders, order) {
            self.last_added_order = Some(known);
            return Ok(());
        }
        let Some(schema) = document.schema(document.current_schema_id) else {
            return Err(CommitError::bad("Attempting to add a sort order before a schema is added"));
        };
        order.check_new(&schema.index()?, document.format_version)?;
        let order = if order.fields().is_empty() {
            SortOrder::unsorted()?
        } else {
            let highest = document.sort_orders.iter().map(|order| order.id()).max();
            order.with_id(next_id(highest, UNSORTED_ORDER_ID + 1, "sort order")?)?
        };
        self.last_added_order = Some(order.id());
        document.sort_orders.push(Arc::new(order));
        self.changed = true;
        self.columns_changed = true;
        Ok(())
    }

    pub(super) fn set_default_sort_order(&mut self, id: i32) -> Result<(), CommitError> {
        let id = resolve(id, self.last_added_order, "sort order")?;
        if self.document.default_sort_order_id == id {
            return Ok(());
        }
        if self.document.sort_order(id).is_none() {
            return Err(CommitError::bad(format!("Cannot set default sort order to unknown sort order: {id}")));
        }
        self.document.default_sort_order_id = id;
        self.changed = true;
        self.columns_changed = true;
        Ok(())
    }
}
