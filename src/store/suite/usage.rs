//! The requests of a day.

use tidewater_core::ids::OrganisationId;

use super::fixture::{Subject, assert_refused, store_warehouse};
use crate::base::clock::fresh_uuid;
use crate::store::{Resource, StoreError, UsageTaken};

const DAY: i64 = 20_780;

pub(in crate::store) async fn usage_is_taken_up_to_the_limit(store: Subject) {
    let organisation = store_warehouse(&store).await.organisation;
    let take = async |wanted| store.usage_take(organisation, DAY, wanted, Some(10)).await.unwrap();
    assert_eq!(take(4).await, UsageTaken { granted: 4, total: 4 });
    assert_eq!(take(4).await, UsageTaken { granted: 4, total: 8 });
    assert_eq!(take(4).await, UsageTaken { granted: 2, total: 10 });
    assert_eq!(take(4).await, UsageTaken { granted: 0, total: 10 });
    assert_eq!(take(0).await, UsageTaken { granted: 0, total: 10 });
    assert_eq!(store.usage_get(organisation, DAY).await.unwrap(), 10);

    let tomorrow = store.usage_take(organisation, DAY + 1, 25, Some(10)).await.unwrap();
    assert_eq!(tomorrow, UsageTaken { granted: 10, total: 10 }, "each day has its own budget");
    assert_eq!(store.usage_get(organisation, DAY - 1).await.unwrap(), 0);
    let nothing = store.usage_take(organisation, DAY + 2, 5, Some(0)).await.unwrap();
    assert_eq!(nothing, UsageTaken { granted: 0, total: 0 });
}

pub(in crate::store) async fn usage_without_limit_is_counted(store: Subject) {
    let organisation = store_warehouse(&store).await.organisation;
    for round in 1..=3 {
        let taken = store.usage_take(organisation, DAY, 1_000_000, None).await.unwrap();
        assert_eq!(taken, UsageTaken { granted: 1_000_000, total: round * 1_000_000 });
    }
    assert_eq!(store.usage_get(organisation, DAY).await.unwrap(), 3_000_000);
}

pub(in crate::store) async fn usage_given_back_can_be_taken_again(store: Subject) {
    let organisation = store_warehouse(&store).await.organisation;
    store.usage_take(organisation, DAY, 10, Some(10)).await.unwrap();
    store.usage_give_back(organisation, DAY, 3).await.unwrap();
    let again = store.usage_take(organisation, DAY, 10, Some(10)).await.unwrap();
    assert_eq!(again, UsageTaken { granted: 3, total: 10 });
    store.usage_give_back(organisation, DAY, 11).await.unwrap();
    assert_eq!(store.usage_get(organisation, DAY).await.unwrap(), 0, "never below none");
    store.usage_give_back(organisation, DAY + 1, 5).await.unwrap();
    assert_eq!(store.usage_get(organisation, DAY + 1).await.unwrap(), 0);
}

pub(in crate::store) async fn usage_under_a_lowered_limit_gives_nothing(store: Subject) {
    let organisation = store_warehouse(&store).await.organisation;
    store.usage_take(organisation, DAY, 80, Some(100)).await.unwrap();
    let lowered = store.usage_take(organisation, DAY, 1, Some(50)).await.unwrap();
    assert_eq!(lowered, UsageTaken { granted: 0, total: 80 }, "served requests stay counted");
    let raised = store.usage_take(organisation, DAY, 1, Some(81)).await.unwrap();
    assert_eq!(raised, UsageTaken { granted: 1, total: 81 });
}

pub(in crate::store) async fn usage_accepts_the_largest_numbers(store: Subject) {
    let organisation = store_warehouse(&store).await.organisation;
    let limited = store.usage_take(organisation, DAY, u64::MAX, Some(7)).await.unwrap();
    assert_eq!(limited, UsageTaken { granted: 7, total: 7 });
    for _ in 0..2 {
        let taken = store.usage_take(organisation, DAY, u64::MAX, None).await.unwrap();
        assert!(taken.total >= 7 && taken.total >= taken.granted);
    }
    store.usage_give_back(organisation, DAY, u64::MAX).await.unwrap();
    assert_eq!(store.usage_get(organisation, DAY).await.unwrap(), 0);
}

pub(in crate::store) async fn usage_of_an_unknown_organisation_is_refused(store: Subject) {
    let unknown = OrganisationId(fresh_uuid());
    let taken = store.usage_take(unknown, DAY, 1, None).await;
    assert_refused!(taken, StoreError::NotFound(Resource::Organisation));
    store.usage_give_back(unknown, DAY, 1).await.unwrap();
    assert_eq!(store.usage_get(unknown, DAY).await.unwrap(), 0);
}
