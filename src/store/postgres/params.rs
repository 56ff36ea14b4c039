//! Parameters of statements, with their types: a statement can then be sent without being prepared first.

use bytes::BytesMut;
use tidewater_core::ids::OrganisationId;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A value with one type in PostgreSQL.
pub(super) trait Typed: ToSql + Sync {
    /// The type of its column.
    const TYPE: Type;
}

macro_rules! typed {
    ($($rust:ty = $type:ident / $array:ident),* $(,)?) => {
        $(
            impl Typed for $rust {
                const TYPE: Type = Type::$type;
            }

            impl Typed for &[$rust] {
                const TYPE: Type = Type::$array;
            }

            impl Typed for Vec<$rust> {
                const TYPE: Type = Type::$array;
            }
        )*
    };
}

typed! {
    Uuid = UUID / UUID_ARRAY,
    i64 = INT8 / INT8_ARRAY,
    bool = BOOL / BOOL_ARRAY,
    &str = TEXT / TEXT_ARRAY,
    String = TEXT / TEXT_ARRAY,
    Option<Uuid> = UUID / UUID_ARRAY,
    Option<i64> = INT8 / INT8_ARRAY,
    Option<&str> = TEXT / TEXT_ARRAY,
    Option<String> = TEXT / TEXT_ARRAY,
    &[u8] = BYTEA / BYTEA_ARRAY,
    Vec<u8> = BYTEA / BYTEA_ARRAY,
    Option<Vec<u8>> = BYTEA / BYTEA_ARRAY,
    Option<bool> = BOOL / BOOL_ARRAY,
}

/// Returns a value as a parameter.
pub(super) fn param<T: Typed>(value: &T) -> Param<'_> {
    (value, T::TYPE)
}

/// Returns the organisation of a statement's parameters: `$1`, if it is a UUID. The nil UUID stands for all organisations, or none.
pub(super) fn organisation_of(params: &[Param<'_>]) -> Option<OrganisationId> {
    let (value, of) = params.first()?;
    if *of != Type::UUID {
        return None;
    }
    let mut bytes = BytesMut::with_capacity(16);
    value.to_sql_checked(of, &mut bytes).ok()?;
    Uuid::from_slice(&bytes).ok().filter(|id| !id.is_nil()).map(OrganisationId)
}

/// Lists the parameters of a statement, in the order of their numbers.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::postgres::params::param(&$value)),*]
    };
}

pub(super) use params;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::fresh_uuid;

    #[test]
    fn first_parameter_tells_the_organisation() {
        let id = fresh_uuid();
        assert_eq!(organisation_of(params![id, 1_i64]), Some(OrganisationId(id)));
        assert_eq!(organisation_of(params![1_i64, id]), None);
        assert_eq!(organisation_of(params![None::<Uuid>]), None);
        assert_eq!(organisation_of(params![Uuid::nil()]), None);
        assert_eq!(organisation_of(params![]), None);
    }
}
