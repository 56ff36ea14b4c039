//! Decisions as values: the authorizer of an action, and its permits.

use std::marker::PhantomData;
use std::ops::Deref;

use tidewater_core::access::{self, Action as Kind, Denial, Facts, Rule, Visibility};

use super::action::{Action, On};
use super::object::{InWarehouse, Object, View};
use super::principal::Principal;
use crate::vending::Access;

/// A principal that may do `A` to some objects, perhaps not to all. It decides about objects and returns permits.
///
/// It exists before anything is loaded: a principal that may not do `A` to any object is refused before a body is read or a
/// name is looked up.
#[derive(Debug)]
pub struct Authorizer<A> {
    principal: Principal,
    action: PhantomData<A>,
}

/// The proof that a principal may do `A` to a loaded object.
///
/// Only [`Authorizer::permit`] makes one:
///
/// ```
/// use tidewater::access::action::Administer;
/// use tidewater::access::{Authorizer, Denial, Organisation, Permit, Principal};
/// # use tidewater::store::Actor;
/// # use tidewater_core::ids::OrganisationId;
/// # let (id, other) = (OrganisationId(uuid::Uuid::from_u128(1)), OrganisationId(uuid::Uuid::from_u128(2)));
/// let authorizer = Authorizer::<Administer>::new(Principal::administrator(id, Actor::Catalog, None))?;
/// assert!(authorizer.clone().permit(Organisation(other)).is_err());
/// let permit: Permit<Administer, Organisation> = authorizer.permit(Organisation(id))?;
/// # Ok::<(), Denial>(())
/// ```
///
/// No other module can:
///
/// ```compile_fail,E0451
/// use tidewater::access::action::Administer;
/// use tidewater::access::{Organisation, Permit, Principal};
/// # use tidewater::store::Actor;
/// # use tidewater_core::ids::OrganisationId;
/// # let id = OrganisationId(uuid::Uuid::from_u128(1));
/// let forged: Permit<Administer, Organisation> = Permit {
///     principal: Principal::administrator(id, Actor::Catalog, None),
///     object: Organisation(id),
///     through: Vec::new(),
///     action: std::marker::PhantomData,
/// };
/// ```
///
/// An action cannot be done to an object of another kind:
///
/// ```compile_fail,E0277
/// use tidewater::access::action::CommitTable;
/// use tidewater::access::{Authorizer, Organisation, Principal};
/// # use tidewater::store::Actor;
/// # use tidewater_core::ids::OrganisationId;
/// # let id = OrganisationId(uuid::Uuid::from_u128(1));
/// let authorizer = Authorizer::<CommitTable>::new(Principal::administrator(id, Actor::Catalog, None)).unwrap();
/// let permit = authorizer.permit(Organisation(id));
/// ```
#[derive(Debug)]
pub struct Permit<A, O> {
    principal: Principal,
    object: O,
    /// The views that lead to the object, the outermost first.
    through: Vec<View>,
    action: PhantomData<A>,
}

impl<A: Action> Authorizer<A> {
    /// Checks that the principal may do `A` to some object.
    ///
    /// # Errors
    /// The missing permission.
    #[inline]
    pub fn new(principal: Principal) -> Result<Self, Denial> {
        access::decide_early(&principal.facts(), A::ACTION)?;
        Ok(Self { principal, action: PhantomData })
    }

    /// Decides whether the principal may do `A` to `object`.
    ///
    /// # Errors
    /// The missing permission.
    #[inline]
    pub fn permit<O: Object>(self, object: O) -> Result<Permit<A, O>, Denial>
    where
        A: On<O>,
    {
        access::decide(&self.principal.facts(), A::ACTION, &object.as_decided())?;
        Ok(Permit { principal: self.principal, object, through: Vec::new(), action: PhantomData })
    }

    /// Decides whether the principal may do `A` to `object`, which it reaches through these views, the outermost first.
    ///
    /// # Errors
    /// What is missing.
    pub fn permit_through<O: Object>(self, object: O, through: Vec<View>) -> Result<Permit<A, O>, Denial>
    where
        A: On<O>,
    {
        decide(&self.principal.facts(), A::ACTION, &object, &through)?;
        Ok(Permit { principal: self.principal, object, through, action: PhantomData })
    }

    /// Returns the authorizer of another action, for the same principal.
    ///
    /// # Errors
    /// The missing permission.
    pub fn for_action<B: Action>(&self) -> Result<Authorizer<B>, Denial> {
        Authorizer::new(self.principal.clone())
    }
}

impl<A> Authorizer<A> {
    /// Returns the principal.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

// Not derived, because the type of an action need not be `Clone`.
impl<A> Clone for Authorizer<A> {
    fn clone(&self) -> Self {
        Self { principal: self.principal.clone(), action: PhantomData }
    }
}

impl<A: Action, O: Object> Permit<A, O> {
    /// Returns the authorizer of the same action.
    #[must_use]
    pub fn authorizer(&self) -> Authorizer<A> {
        Authorizer { principal: self.principal.clone(), action: PhantomData }
    }

    /// Returns the principal.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the object, without the proof.
    #[must_use]
    pub fn into_object(self) -> O {
        self.object
    }

    /// Returns which entries of the object's list are visible to the principal. A built-in role sees all entries.
    ///
    /// # Errors
    /// The missing permission.
    #[inline]
    pub fn visibility(&self) -> Result<Visibility, Denial> {
        access::visibility(&self.principal.facts(), A::ACTION, &self.object.as_decided())
    }

    /// Checks that the principal may also do another action to the object.
    ///
    /// # Errors
    /// The missing permission.
    pub fn check(&self, action: Kind) -> Result<(), Denial> {
        decide(&self.principal.facts(), action, &self.object, &self.through).map(drop)
    }
}

impl<A: Action, O: InWarehouse> Permit<A, O> {
    /// Returns whether the principal's own credentials cannot remove files.
    #[must_use]
    pub fn is_no_delete(&self) -> bool {
        self.principal.no_delete()
    }

    /// Returns the storage access for the object's files: none, read, or read and write with or without removing. The
    /// warehouse may also forbid removing. With an engine, it is the lower of both.
    #[must_use]
    pub fn storage_access(&self) -> Option<Access> {
        let facts = self.principal.facts();
        // The creator of a table owns it.
        let creates = A::ACTION == Kind::CreateTable && self.principal.id().is_some();
        let may = |action: Kind| match facts.of_engine().filter(|_| creates) {
            Some(engine) => decide(&engine, action, &self.object, &self.through).is_ok(),
            None => creates || decide(&facts, action, &self.object, &self.through).is_ok(),
        };
        let no_delete = self.object.warehouse().options.no_delete || self.principal.no_delete();
        may(Kind::ReadTableData).then(|| Access::new(may(Kind::WriteTableData), no_delete))
    }
}

fn decide(facts: &Facts<'_>, action: Kind, object: &impl Object, through: &[View]) -> Result<Rule, Denial> {
    match through {
        [] => access::decide(facts, action, &object.as_decided()),
        views => {
            let views: Vec<_> = views.iter().map(Object::as_decided).collect();
            access::decide_through(facts, action, &object.as_decided(), &views)
        }
    }
}

/// The object can be read through its permit, and not changed: the decision was about this one.
impl<A, O> Deref for Permit<A, O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.object
    }
}
