//! Conformance tests that every store must pass, independent of its database.
//!
//! Each case takes a fresh, empty store. A backend runs them all with [`conformance!`].

mod administration;
mod audit;
mod concurrency;
mod dropped;
mod entities;
mod events;
mod everything;
mod feed;
mod fixture;
mod grants;
mod isolation;
mod keys;
mod labels;
mod locations;
mod maintenance;
mod names;
mod namespaces;
mod old_documents;
mod organisations;
mod paging;
mod receipts;
mod renamed;
mod replaced;
mod reports;
mod restrictions;
mod search;
mod signing_keys;
mod subscriptions;
mod tables;
mod transactions;
mod usage;
mod users;
mod warehouses;

pub(super) use administration::*;
pub(super) use audit::*;
pub(super) use concurrency::*;
pub(super) use dropped::*;
pub(super) use entities::*;
pub(super) use events::*;
pub(crate) use everything::{answers, fill};
pub(super) use feed::*;
pub(super) use grants::*;
pub(super) use isolation::*;
pub(super) use keys::*;
pub(super) use labels::*;
pub(super) use locations::*;
pub(super) use maintenance::*;
pub(super) use names::*;
pub(super) use namespaces::*;
pub(super) use old_documents::*;
pub(super) use organisations::*;
pub(super) use paging::*;
pub(super) use receipts::*;
pub(super) use renamed::*;
pub(super) use replaced::*;
pub(super) use reports::*;
pub(super) use restrictions::*;
pub(super) use search::*;
pub(super) use signing_keys::*;
pub(super) use subscriptions::*;
pub(super) use tables::*;
pub(super) use transactions::*;
pub(super) use usage::*;
pub(super) use users::*;
pub(super) use warehouses::*;

/// Creates a test for each case. `$fresh` is an async function that returns an empty `Arc<dyn Store>` and a guard that lives as
/// long as the store is used.
macro_rules! conformance {
    ($fresh:path) => {
        conformance! { @each $fresh,
            // Organisations, keys, warehouses
            fresh_store_answers_and_is_empty,
            organisation_is_found_by_name_as_created,
            second_organisation_of_a_name_is_refused,
            set_tier_changes_only_the_tier,
            key_is_found_by_id_and_by_digest,
            key_of_a_missing_organisation_is_refused,
            keys_are_listed_oldest_first_including_revoked,
            second_revocation_keeps_the_first_time,
            last_use_of_a_key_never_decreases,
            name_of_a_usable_key_is_refused_to_another_key,
            expired_key_whose_name_was_taken_stays_expired,
            signing_keys_are_listed_newest_first,
            conditional_add_keeps_an_existing_signing_key,
            old_signing_keys_are_removed_except_the_newest,
            first_warehouse_is_the_default,
            warehouse_can_become_the_default_on_creation,
            second_warehouse_of_a_name_in_an_organisation_is_refused,
            set_default_leaves_exactly_one_default,
            set_default_of_a_missing_warehouse_is_refused,
            root_that_overlaps_another_warehouse_is_refused,
            warehouse_keeps_its_storage_settings,
            only_an_empty_warehouse_can_be_dropped,
            options_of_warehouses_and_keys_are_stored,
            // Administration
            operator_is_found_by_digest_before_and_after_revocation,
            event_names_the_operator_who_made_the_change,
            organisations_come_in_pages,
            update_of_an_organisation_changes_only_named_fields,
            update_of_a_key_changes_only_named_fields,
            rotation_ends_the_old_key_and_adds_the_new_one,
            usage_is_listed_by_day_and_by_key,
            deleted_organisation_can_be_restored_until_its_grace_time_ends,
            organisation_is_removed_in_small_steps_without_affecting_others,
            // Access
            principal_has_the_grants_of_its_roles,
            properties_are_replaced_only_at_the_expected_version,
            change_of_a_warehouse_or_key_raises_its_version,
            removed_entity_has_no_properties,
            grant_on_a_table_stays_after_rename_drop_and_restore,
            restriction_applies_to_all_tokens_of_its_role_and_each_change_leaves_one_event,
            restriction_stays_with_its_table_and_ends_with_it_or_its_role,
            restrictions_are_listed_in_pages_of_few_items_and_bytes,
            table_at_the_location_of_a_dropped_one_gets_its_restrictions,
            change_of_restrictions_or_trust_raises_the_generation_of_the_principal,
            restriction_beyond_the_limit_or_of_what_is_missing_is_refused,
            labels_stay_with_their_table_through_commit_rename_drop_and_restore,
            change_of_labels_leaves_one_event_and_a_repeated_one_none,
            labels_of_namespaces_are_listed_counted_and_end_with_them,
            labelled_tables_are_found_by_name_and_value_in_pages,
            objects_are_found_by_a_part_of_their_name_in_pages,
            tables_and_views_of_a_namespace_are_listed_with_their_labels_in_pages,
            page_of_tables_with_long_labels_ends_early,
            labels_of_what_is_missing_or_another_organisations_are_refused,
            namespace_drop_removes_its_grants,
            creator_owns_a_table_after_drop_and_restore,
            rotated_key_keeps_its_principal,
            roles_are_listed_in_pages_and_a_second_role_of_a_name_is_refused,
            roles_of_another_organisation_are_not_found,
            grants_beyond_the_limit_are_refused,
            change_of_access_is_counted_and_writes_its_event,
            // Users
            user_is_added_at_the_first_sign_in,
            newer_token_changes_a_user_and_an_older_one_does_not,
            roles_of_groups_are_kept_beside_assigned_ones,
            disabled_user_has_no_role_and_is_not_changed,
            users_are_found_by_id_subject_email_and_name,
            users_of_other_organisations_are_not_found,
            user_owns_what_it_creates,
            deleted_user_loses_its_roles_and_returns_as_another,
            requests_and_last_use_of_users_are_recorded,
            // Events
            each_change_writes_its_event,
            setting_to_its_present_value_leaves_no_event,
            refused_change_writes_no_event,
            event_has_actor_time_and_address,
            transaction_writes_an_event_for_each_table,
            end_of_a_dropped_table_writes_its_event,
            events_are_filtered,
            events_come_in_pages_newest_first,
            old_events_are_removed_in_batches_and_ids_are_not_reused,
            events_are_invisible_to_other_organisations,
            surplus_events_are_listed_and_removed,
            // Feed
            feed_has_all_events_of_its_scope_in_order,
            feed_tells_that_events_were_removed,
            new_consumer_reads_from_its_start,
            progress_of_a_consumer_is_stored_by_its_holder,
            lease_of_a_clock_that_was_ahead_has_ended,
            subscription_is_stored_changed_and_removed_by_its_owner,
            subscription_is_found_by_id_before_name,
            concurrent_changes_of_a_subscription_all_stay,
            concurrent_changes_of_a_warehouse_all_stay,
            dead_letters_are_listed_replayed_and_limited,
            // Audit records
            audit_records_are_listed_as_added_and_by_organisation,
            audit_records_are_filtered_and_come_in_pages,
            page_of_large_audit_records_ends_before_its_limit,
            events_and_audit_records_after_a_position_are_listed_oldest_first,
            position_of_an_export_moves_only_from_the_expected_one,
            old_and_surplus_audit_records_are_removed,
            // Namespaces
            namespace_keeps_its_properties,
            second_namespace_of_a_name_is_refused,
            namespace_without_parent_or_warehouse_is_refused,
            similar_unicode_names_are_different,
            properties_are_set_and_removed,
            many_and_large_properties_are_stored,
            update_of_a_missing_namespaces_properties_is_refused,
            only_an_empty_namespace_can_be_dropped,
            only_direct_children_are_listed,
            list_of_children_of_a_missing_namespace_is_refused,
            // Tables and views
            table_is_found_as_created,
            bulk_read_of_tables_keeps_the_requested_order,
            table_in_a_missing_namespace_is_refused,
            table_and_view_cannot_have_the_same_name,
            second_table_with_an_id_is_refused,
            tables_beyond_the_limit_are_refused,
            swap_moves_the_pointer,
            swap_from_another_pointer_is_refused,
            swap_of_a_missing_table_is_not_found,
            dropped_table_is_gone_and_its_name_free,
            drop_and_rename_of_a_name_that_another_has_by_now_are_refused,
            drop_with_the_wrong_kind_is_not_found,
            renamed_table_keeps_id_and_pointer,
            refused_rename_reports_the_reason,
            views_and_tables_have_separate_lists,
            tables_are_counted_over_all_warehouses,
            long_locations_are_stored_whole,
            // Renames between a read and a change
            swap_under_a_former_name_is_refused,
            transaction_with_a_table_under_a_former_name_does_nothing,
            swap_after_the_name_was_given_to_another_table_changes_neither,
            swap_of_a_table_restored_under_another_name_is_refused,
            concurrent_swaps_and_renames_agree_on_the_name,
            // Locations
            table_at_an_overlapping_location_is_refused,
            locations_in_properties_are_reserved,
            spellings_of_one_location_conflict,
            swap_reserves_new_locations_and_frees_former_ones,
            table_may_overlap_itself,
            locations_pass_between_the_tables_of_one_transaction,
            transaction_with_overlapping_locations_is_refused,
            dropped_table_reserves_all_its_locations,
            locations_of_a_removed_table_are_free,
            table_registered_again_reserves_all_its_locations,
            restore_reserves_locations_that_were_not_stored,
            rename_changes_no_location,
            location_check_reports_overlaps_and_reserves_nothing,
            location_alone_lists_locations_without_overlap,
            locations_of_other_tenants_do_not_conflict,
            concurrent_changes_give_a_location_to_one_table,
            random_changes_never_leave_overlapping_locations,
            // Transactions
            transaction_moves_all_pointers_and_creates_tables,
            transaction_with_one_refused_change_does_nothing,
            refused_transaction_names_the_refused_change,
            transaction_that_creates_overlapping_tables_is_refused,
            transaction_can_pass_a_location_to_another_table,
            creates_of_a_transaction_count_towards_the_limit,
            transaction_cannot_change_another_organisations_tables,
            // Dropped tables and views
            dropped_table_is_restored_unchanged,
            drop_without_terms_leaves_no_row,
            refused_restore_reports_the_reason,
            restore_after_the_restore_time_is_refused,
            dropped_tables_do_not_count_towards_the_limit,
            location_of_a_dropped_table_stays_reserved,
            table_created_at_a_dropped_tables_location_replaces_it,
            replaced_table_is_forgotten_when_due_and_never_purged,
            location_under_purge_stays_reserved,
            table_created_at_a_blocked_purges_location_replaces_it,
            view_and_dropped_table_can_replace_each_other,
            view_reserves_its_documents_and_no_subtree,
            dropped_view_reserves_nothing,
            concurrent_create_and_purge_cannot_both_succeed,
            purge_that_is_stopped_is_forgotten_after_it_ends,
            stopped_purge_of_a_dead_server_is_forgotten_after_its_lease,
            stopped_purge_can_be_requested_again,
            dropped_table_blocks_the_drop_of_its_warehouse_but_not_its_namespace,
            drops_are_listed_newest_first_in_pages,
            dropped_table_without_purge_is_forgotten_when_due,
            purge_is_leased_to_one_server_at_a_time,
            begun_purge_of_a_clock_that_was_ahead_is_brought_forward,
            purge_progress_is_stored,
            dropped_table_is_removed_on_request,
            keyed_drops_and_restores_happen_once,
            dropped_tables_are_invisible_to_other_tenants,
            concurrent_restore_and_purge_cannot_both_succeed,
            // Old documents
            due_old_documents_are_claimed_by_one_server_at_a_time,
            refused_commit_adds_no_old_document,
            table_that_moves_keeps_its_old_documents,
            old_documents_of_a_dropped_table_are_not_claimed,
            registered_document_is_the_origin_also_after_drop_and_restore,
            registered_old_document_stays_unless_a_server_removes_it,
            registration_over_a_table_keeps_its_old_documents,
            claimed_old_document_of_a_clock_that_was_ahead_is_brought_forward,
            old_documents_of_organisations_take_turns,
            // Reports
            reports_are_listed_newest_first_in_pages,
            reports_are_removed_with_their_table,
            reports_beyond_the_number_limit_are_removed_oldest_first,
            reports_beyond_the_byte_limit_are_removed_oldest_first,
            old_reports_are_removed_in_batches,
            reports_on_a_missing_table_are_ignored,
            // Maintenance
            policy_is_set_replaced_and_removed_with_its_events,
            policy_of_a_missing_object_or_beyond_the_limit_is_refused,
            policy_goes_with_its_object,
            maintenance_of_a_table_is_leased_to_one_server_at_a_time,
            known_health_of_live_tables_is_summed_up_for_their_organisation,
            runs_of_a_server_that_is_gone_end_without_another_run_on_their_table,
            runs_are_listed_newest_first_and_limited,
            // Idempotency keys
            receipt_is_stored_with_its_change,
            each_kind_of_answer_is_stored_whole,
            repeated_key_changes_nothing,
            failed_change_leaves_its_key_free,
            undone_registration_leaves_no_table_location_or_receipt,
            registration_with_a_later_commit_is_not_undone,
            expired_key_is_free_again,
            receipts_are_invisible_to_other_organisations,
            expired_receipts_are_removed_in_batches,
            // Lists in pages
            pages_list_every_name_once_and_in_order,
            page_can_start_after_a_missing_name,
            page_of_zero_items_says_whether_items_exist,
            namespaces_come_in_pages_too,
            pages_stay_complete_while_others_write,
            names_are_ordered_by_their_bytes,
            // Isolation
            calls_with_another_organisation_reach_nothing,
            calls_with_another_warehouse_reach_nothing,
            organisations_may_use_the_same_names,
            // Usage
            usage_is_taken_up_to_the_limit,
            usage_without_limit_is_counted,
            usage_given_back_can_be_taken_again,
            usage_under_a_lowered_limit_gives_nothing,
            usage_accepts_the_largest_numbers,
            usage_of_an_unknown_organisation_is_refused,
            // Concurrency
            concurrent_swaps_from_one_pointer_have_one_winner,
            swaps_in_a_chain_lose_no_update,
            concurrent_creates_of_one_name_have_one_winner,
            concurrent_keys_of_one_name_have_one_winner,
            concurrent_changes_to_one_name_of_administration_have_one_winner,
            concurrent_roles_and_subscriptions_of_one_name_have_one_winner,
            concurrent_first_sign_ins_add_one_user_and_one_role_of_a_group,
            concurrent_namespace_drop_leaves_no_orphan_table,
            concurrent_parent_drop_leaves_no_orphan_namespace,
            concurrent_usage_stays_within_the_limit,
            concurrent_creates_stay_within_the_limit,
            concurrent_transactions_are_atomic,
            concurrent_changes_with_one_key_happen_once,
            concurrent_first_signing_keys_are_one,
            concurrent_renames_lose_no_table,
            concurrent_property_changes_are_all_kept,
            concurrent_writes_get_their_own_answers,
            write_is_visible_to_the_next_read,
            dropped_future_leaves_the_table_whole,
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
