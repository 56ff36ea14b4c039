//! Decisions as values: who may ask, and the permit that comes of it.

use std::marker::PhantomData;
use std::ops::Deref;

use tidewater_core::access::{self, Action as Kind, Denial, Visibility};

use super::action::{Action, On};
use super::object::{InWarehouse, Object};
use super::principal::Principal;
use crate::vending::Access;

/// A principal that may do `A` to some object, perhaps not to all of them. It gives the permits.
///
/// Nothing is loaded yet, so that whoever may do `A` to nothing is refused before a body is read or a name is looked up.
#[derive(Debug)]
pub struct Authorizer<A> {
    principal: Principal,
    action: PhantomData<A>,
}

/// The proof that a principal may do `A` to an object, which was loaded before the decision.
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
///     action: std::marker::PhantomData,
/// };
/// ```
///
/// Nor is a permit for one action good for another, nor an action for an object of another kind:
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
    action: PhantomData<A>,
}

impl<A: Action> Authorizer<A> {
    /// Asks whether the principal may do `A` to any object at all.
    ///
    /// # Errors
    /// What is missing.
    #[inline]
    pub fn new(principal: Principal) -> Result<Self, Denial> {
        access::decide_early(&principal.facts(), A::ACTION)?;
        Ok(Self { principal, action: PhantomData })
    }

    /// Decides whether the principal may do `A` to `object`.
    ///
    /// # Errors
    /// What is missing.
    #[inline]
    pub fn permit<O: Object>(self, object: O) -> Result<Permit<A, O>, Denial>
    where
        A: On<O>,
    {
        access::decide(&self.principal.facts(), A::ACTION, &object.as_decided())?;
        Ok(Permit { principal: self.principal, object, action: PhantomData })
    }

    /// Asks for another action, for the same principal.
    ///
    /// # Errors
    /// What is missing.
    pub fn for_action<B: Action>(&self) -> Result<Authorizer<B>, Denial> {
        Authorizer::new(self.principal.clone())
    }
}

impl<A> Authorizer<A> {
    /// Returns who asks.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

// By hand, since the type of an action need not be `Clone`.
impl<A> Clone for Authorizer<A> {
    fn clone(&self) -> Self {
        Self { principal: self.principal.clone(), action: PhantomData }
    }
}

impl<A: Action, O: Object> Permit<A, O> {
    /// Decides again, about an object that was loaded since: a name that is looked up again may be another object's.
    ///
    /// # Errors
    /// What is missing.
    pub fn renew<P: Object>(&self, object: P) -> Result<Permit<A, P>, Denial>
    where
        A: On<P>,
    {
        self.authorizer().permit(object)
    }

    /// Returns what permits for other objects come from.
    #[must_use]
    pub fn authorizer(&self) -> Authorizer<A> {
        Authorizer { principal: self.principal.clone(), action: PhantomData }
    }

    /// Returns who has the permit.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the object, without the proof.
    #[must_use]
    pub fn into_object(self) -> O {
        self.object
    }

    /// Returns which entries of the object's list the principal sees. For a role that is all of them: nothing is looked at.
    ///
    /// # Errors
    /// What is missing.
    #[inline]
    pub fn visibility(&self) -> Result<Visibility, Denial> {
        access::visibility(&self.principal.facts(), A::ACTION, &self.object.as_decided())
    }

    /// Decides whether the principal may do another action to the object, too.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, also: Kind) -> Result<(), Denial> {
        access::decide(&self.principal.facts(), also, &self.object.as_decided()).map(drop)
    }
}

impl<A: Action, O: InWarehouse> Permit<A, O> {
    /// Returns what the principal's credentials may do with the files of the object: nothing, read, or read and write with or
    /// without removing. Whether they may remove is also the warehouse's to say.
    #[must_use]
    pub fn storage_access(&self) -> Option<Access> {
        // Whoever creates a table owns it.
        let creates = A::ACTION == Kind::CreateTable && self.principal.id().is_some();
        let may = |action: Kind| creates || self.check(action).is_ok();
        let no_delete = self.object.warehouse().options.no_delete || self.principal.no_delete();
        may(Kind::ReadTableData).then(|| Access::new(may(Kind::WriteTableData), no_delete))
    }
}

/// The object can be read through its permit, and not changed: the decision was about this one.
impl<A, O> Deref for Permit<A, O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.object
    }
}
