//! What every store promises, as tests that know nothing of any one of them.
//!
//! Each case takes a fresh, empty store. A backend runs them all with [`conformance!`].

mod administration;
mod concurrency;
mod dropped;
mod events;
mod fixture;
mod grants;
mod isolation;
mod locations;
mod namespaces;
mod old_documents;
mod paging;
mod receipts;
mod replaced;
mod reports;
mod tables;
mod tenants;
mod transactions;
mod usage;

pub(super) use administration::*;
pub(super) use concurrency::*;
pub(super) use dropped::*;
pub(super) use events::*;
pub(super) use grants::*;
pub(super) use isolation::*;
pub(super) use locations::*;
pub(super) use namespaces::*;
pub(super) use old_documents::*;
pub(super) use paging::*;
pub(super) use receipts::*;
pub(super) use replaced::*;
pub(super) use reports::*;
pub(super) use tables::*;
pub(super) use tenants::*;
pub(super) use transactions::*;
pub(super) use usage::*;

/// Makes a test of each case. `$fresh` is an async function that gives an empty `Arc<dyn Store>`, and whatever has to live
/// as long as it.
macro_rules! conformance {
    ($fresh:path) => {
        conformance! { @each $fresh,
            // Organisations, keys, warehouses
            a_fresh_store_answers_and_is_empty,
            an_organisation_is_found_as_it_was_made,
            an_organisation_name_is_taken_once,
            a_tier_changes_and_nothing_else,
            a_key_is_found_by_its_id_and_its_digest,
            a_key_needs_its_organisation,
            keys_are_listed_oldest_first_with_the_revoked,
            a_revoked_key_keeps_its_first_time,
            the_last_use_of_a_key_never_goes_back,
            signing_keys_are_listed_newest_first,
            a_signing_key_is_added_only_if_none_when_asked,
            old_signing_keys_go_but_never_the_newest,
            the_first_warehouse_is_the_default,
            a_warehouse_can_be_made_the_default_as_it_is_made,
            a_warehouse_name_is_taken_once_in_an_organisation,
            the_default_moves_and_is_only_one,
            a_missing_warehouse_cannot_be_the_default,
            a_place_belongs_to_one_warehouse,
            a_warehouse_keeps_how_its_storage_is_reached,
            a_warehouse_goes_only_when_it_is_empty,
            options_of_a_warehouse_and_a_key_are_kept,
            // Administration
            operator_is_found_by_its_digest_until_and_after_its_revocation,
            event_names_the_operator_who_made_the_change,
            organisations_come_in_pages,
            update_of_an_organisation_changes_what_it_names,
            update_of_a_key_changes_what_it_names,
            rotated_key_ends_and_the_new_one_is_there,
            usage_is_listed_by_day_and_by_key,
            deleted_organisation_is_restored_until_its_time_is_over,
            organisation_is_forgotten_in_small_steps_and_no_other_with_it,
            // Who may do what
            principal_has_what_its_roles_were_granted,
            grants_follow_a_table_by_its_id,
            grants_on_a_namespace_go_with_it,
            creator_owns_a_table_through_all_that_becomes_of_it,
            rotated_key_is_the_same_principals,
            roles_are_listed_in_pages_and_their_names_taken_once,
            roles_of_another_organisation_are_not_found,
            grants_beyond_the_limit_are_refused,
            each_change_of_access_is_counted_and_leaves_its_event,
            // Events
            each_change_leaves_its_event,
            a_change_that_is_refused_leaves_no_event,
            an_event_tells_who_when_and_from_where,
            a_transaction_leaves_an_event_for_each_table,
            the_end_of_a_dropped_table_leaves_its_event,
            events_are_filtered,
            events_come_in_pages_newest_first,
            old_events_go_in_batches_and_their_ids_never_return,
            events_are_their_tenants_alone,
            events_that_are_too_many_are_told_and_go,
            // Namespaces
            a_namespace_keeps_its_properties,
            a_namespace_name_is_taken_once,
            a_namespace_needs_its_parent_and_its_warehouse,
            names_of_any_script_and_look_are_kept_apart,
            properties_are_set_and_removed,
            properties_may_be_many_and_large,
            properties_of_a_missing_namespace_cannot_be_changed,
            a_namespace_goes_only_when_it_is_empty,
            only_direct_children_are_listed,
            children_of_a_missing_namespace_cannot_be_listed,
            // Tables and views
            a_table_is_found_as_it_was_made,
            tables_of_many_names_are_found_in_their_order,
            a_table_needs_its_namespace,
            tables_and_views_share_their_names,
            a_table_id_is_used_once,
            tables_beyond_the_limit_are_refused,
            a_swap_moves_the_pointer,
            a_swap_from_elsewhere_is_refused,
            a_swap_of_a_missing_table_says_so,
            a_dropped_table_is_gone_and_its_name_free,
            a_drop_must_name_the_right_kind,
            a_renamed_table_keeps_its_id_and_pointer,
            a_rename_tells_what_stands_in_its_way,
            views_are_listed_apart_from_tables,
            tables_are_counted_over_all_warehouses,
            long_locations_are_kept_whole,
            // Which locations are whose
            a_location_belongs_to_one_table,
            locations_that_properties_name_are_taken_too,
            a_location_is_one_however_it_is_spelt,
            a_swap_takes_what_is_new_and_frees_what_is_left,
            a_table_may_overlap_itself,
            locations_pass_between_the_tables_of_one_transaction,
            one_transaction_gives_a_location_to_one_table,
            what_is_dropped_holds_all_its_locations,
            locations_are_free_when_a_table_is_gone_for_good,
            what_is_registered_again_has_all_its_locations,
            a_restore_claims_what_was_not_known,
            a_new_name_changes_no_location,
            a_check_tells_and_takes_nothing,
            what_is_alone_is_told,
            locations_of_other_tenants_are_in_nobodys_way,
            of_many_who_want_one_location_one_wins,
            any_changes_leave_each_location_to_one_table,
            // Several tables as one
            a_transaction_moves_all_pointers_and_creates_tables,
            a_transaction_that_one_change_forbids_does_nothing,
            a_transaction_says_which_change_was_in_the_way,
            tables_of_one_transaction_have_locations_apart,
            a_location_passes_from_one_table_to_another,
            all_creates_of_a_transaction_count_towards_the_limit,
            a_transaction_reaches_no_other_tenant,
            // What was dropped
            a_dropped_table_is_kept_and_restored_as_it_was,
            a_drop_without_terms_leaves_nothing,
            a_restore_tells_what_stands_in_its_way,
            a_restore_has_its_time,
            what_is_dropped_does_not_count,
            a_dropped_location_stays_taken,
            table_created_at_a_dropped_tables_location_takes_its_place,
            replaced_table_is_never_purged_and_forgotten_in_time,
            location_whose_files_are_being_removed_is_held,
            blocked_purge_gives_way,
            view_takes_the_place_of_a_dropped_table_and_the_other_way_round,
            view_reserves_its_documents_and_no_subtree,
            dropped_view_reserves_nothing,
            of_a_create_and_a_purge_at_once_one_wins,
            removal_that_is_told_to_keep_files_is_forgotten_once_it_has_stopped,
            removal_that_is_told_to_keep_files_and_falls_silent_is_forgotten_after_its_lease,
            removal_that_was_to_stop_can_be_asked_for_again,
            a_dropped_table_holds_its_warehouse_and_not_its_namespace,
            drops_are_listed_newest_first_in_pages,
            what_is_kept_for_nothing_is_forgotten_in_time,
            a_purge_is_leased_to_one_at_a_time,
            a_purge_tells_how_far_it_has_come,
            a_dropped_table_is_removed_when_asked,
            keyed_drops_and_restores_happen_once,
            what_was_dropped_is_its_tenants_alone,
            of_a_restore_and_a_purge_at_once_one_wins,
            // Old documents
            old_documents_are_claimed_when_they_are_due_by_one_at_a_time,
            commit_that_does_not_happen_leaves_no_old_document,
            table_that_moves_keeps_its_old_documents,
            documents_of_a_dropped_table_stay,
            registered_document_is_the_origin_and_survives_a_drop,
            old_document_that_is_registered_stays_unless_it_is_being_removed,
            table_that_is_registered_anew_keeps_its_old_documents,
            old_documents_of_organisations_take_turns,
            // Reports
            reports_are_listed_newest_first_in_pages,
            reports_stay_with_their_table_and_go_with_it,
            of_too_many_reports_the_oldest_go,
            of_too_many_bytes_of_reports_the_oldest_go,
            old_reports_go_in_batches,
            reports_on_no_table_are_passed_over,
            // Idempotency keys
            an_answer_is_kept_with_its_change,
            each_kind_of_answer_is_kept_whole,
            a_used_key_changes_nothing_more,
            a_change_that_fails_leaves_its_key_free,
            undone_change_leaves_no_table_no_location_and_its_key_free,
            change_that_others_have_built_on_is_not_undone,
            a_key_is_free_again_once_it_has_expired,
            an_organisation_sees_only_its_own_keys,
            expired_receipts_go_in_batches,
            // Lists in pages
            pages_hold_every_name_once_and_in_order,
            a_page_starts_after_a_name_that_need_not_exist,
            a_page_of_none_tells_whether_there_are_any,
            namespaces_come_in_pages_too,
            pages_stay_complete_while_others_write,
            names_are_ordered_by_their_bytes,
            // Tenants apart
            another_organisation_reaches_nothing,
            another_warehouse_holds_other_things,
            organisations_may_use_the_same_names,
            // Usage
            usage_is_taken_up_to_the_limit,
            usage_without_limit_is_counted,
            usage_given_back_can_be_taken_again,
            usage_under_a_lowered_limit_gives_nothing,
            usage_bears_the_largest_numbers,
            usage_of_an_unknown_organisation_is_refused,
            // All at once
            of_many_swaps_from_one_pointer_one_wins,
            swaps_in_a_chain_lose_no_update,
            of_many_creates_of_one_name_one_wins,
            a_namespace_dropped_in_a_race_leaves_no_orphan,
            a_parent_dropped_in_a_race_leaves_no_orphan,
            usage_taken_at_once_stays_within_the_limit,
            tables_created_at_once_stay_within_the_limit,
            transactions_at_once_are_each_whole,
            of_changes_with_one_key_at_once_one_happens,
            signing_keys_added_at_once_are_one,
            renames_at_once_lose_nothing,
            properties_changed_at_once_are_all_kept,
            many_writes_at_once_each_get_their_own_answer,
            a_write_is_seen_by_the_next_read,
            a_caller_that_leaves_breaks_nothing,
        }
    };
    (@each $fresh:path, $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let (store, _keep) = $fresh().await;
                $crate::store::suite::$case(store).await;
            }
        )+
    };
}
pub(super) use conformance;
