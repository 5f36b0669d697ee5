//! Tests of other areas, once more with HTTP/2 on one side or both: what holds
//! for HTTP/1.1 holds for all.

macro_rules! pairs {
    ($($name:ident = $($segment:ident)::+ { $($test:ident),+ $(,)? })+) => {
        $(mod $name {
            use sidegate_harness::Pair;

            use crate::$($segment)::+ as area;

            $(
                #[test]
                fn $test() {
                    for pair in Pair::WITH_HTTP2 {
                        // Shown if it fails.
                        println!("{pair:?}");
                        pair.run(area::$test);
                    }
                }
            )+
        })+
    };
}

pairs! {
    balancing = balancing {
        a_route_without_metadata_gets_any_host_of_a_cluster_with_subsets,
        a_subset_is_never_left,
        subsets_and_fallbacks_are_counted,
        the_same_header_goes_to_the_same_host,
    }
    bodies = bodies { an_unknown_expectation_is_417_or_passed_on }
    builtin_dsl = builtin::dsl {
        a_failing_expression_is_counted_and_the_request_goes_on,
        every_place_sees_what_is_there_by_then,
        hostile_headers_cost_a_failure_and_no_more,
        local_replies_pass_expressions_too,
        mosns_sample_runs_as_mosn_says,
    }
    builtin_fault = builtin::fault { only_the_named_cluster_is_hit }
    builtin_flow_control = builtin::flow_control {
        after_the_interval_requests_pass_again,
        arguments_and_headers_have_limits_of_their_own,
        one_request_per_interval_passes_and_the_others_are_told,
    }
    builtin_guards = builtin::guards { addresses_are_let_in_or_not, the_last_forwarded_address_counts }
    builtin_gzip = builtin::gzip {
        replies_of_the_proxy_itself_are_compressed_if_long_enough,
        trailers_follow_a_compressed_body,
    }
    builtin_jwt = builtin::jwt {
        requests_without_a_good_token_are_answered_401,
        what_was_verified_goes_on_as_it_is_wanted,
    }
    builtin_metadata = builtin::metadata { headers_choose_the_subset_of_hosts }
    builtin_mirror = builtin::mirror {
        a_broadcast_reaches_every_host_once_and_the_origin_not_at_all,
        requests_are_copied_as_often_as_the_filter_says,
    }
    filters = filters { no_key, one_key, several_filters_run_in_order, several_keys }
    identity = identity {
        other_spellings_of_the_client_do_not_get_past_a_strict_policy,
        x_forwarded_for_follows_its_policy,
        x_request_id_follows_its_policy,
    }
    log_formats = log_formats {
        a_request_that_a_filter_answers_was_received_and_not_forwarded,
        an_unreachable_upstream_is_named,
        requests_are_shown_before_and_after_rewrites,
    }
    logs = logs { logged_values_cannot_forge_lines, the_default_format_has_status_and_flags }
    matching = matching {
        a_dot_at_the_end_of_a_host_does_not_count,
        routes_are_tried_in_order_and_by_kind,
        slashes_are_merged_unless_the_router_says_otherwise,
        the_most_specific_domain_wins_whatever_the_order,
        the_sole_service_header_of_mosn_files_means_any_value,
        variables_are_linked_by_and_and_or,
    }
    metrics = metrics {
        a_request_fails_by_the_proxys_own_doing,
        durations_of_upstream_requests_are_summed_in_nanoseconds,
        replies_of_filters_are_counted_by_status,
        routes_beyond_the_bound_are_counted_together,
        routes_have_requests_classes_and_time,
    }
    modules_bodies = modules::bodies { observing_changes_nothing, what_nobody_touches_is_not_framed }
    modules_chains = modules::chains {
        filters_of_one_module_run_in_their_order_with_their_own_configurations,
        named_variables_pass_between_filters_and_between_modules,
    }
    modules_edits = modules::edits { the_host_owns_the_framing_of_what_was_changed }
    modules_endings = modules::endings {
        each_filter_has_a_quarantine_of_its_own,
        too_many_faults_take_a_filter_out_of_service,
    }
    modules_hostile = modules::hostile {
        a_fault_message_cannot_forge_log_lines,
        a_module_cannot_send_what_http_forbids,
        functions_out_of_their_place_are_refused,
    }
    modules_minor1 = modules::minor1 {
        an_injector_leaves_the_length_of_other_bodies_alone,
        filter_and_module_that_answered_are_in_the_log,
        two_modules_that_answer_alike_can_be_told_apart,
    }
    modules_panics = modules::panics { a_panic_where_the_filter_is_made_ends_that_one_stream }
    modules_phases = modules::phases {
        a_filter_sees_the_settings_of_its_route,
        the_proxys_own_replies_pass_the_response_hooks,
    }
    modules_settings = modules::settings { the_nearest_settings_are_found_from_the_route_on }
    modules_waiting = modules::waiting {
        a_body_waits_with_its_filter,
        a_filter_cannot_wait_for_ever_by_being_resumed,
        a_filter_may_reply_when_it_is_resumed,
        a_resumed_stream_goes_on,
    }
    retries = retries { a_host_that_refuses_is_passed_over_without_a_policy_or_a_flag, attempts_are_in_the_access_log }
    routing = routing {
        a_cluster_without_hosts_is_502,
        a_refusing_host_is_502,
        a_refusing_host_is_passed_over_for_one_that_works,
        a_silent_host_is_504_after_the_connect_timeout,
        headers_are_added_and_removed_at_all_three_levels,
        no_route_is_404,
        redirects_answer_with_the_new_location,
        rewrites_change_what_the_origin_gets,
    }
    routing_clusters = routing_clusters {
        a_header_or_a_variable_names_the_cluster,
        metadata_of_routes_and_of_weighted_clusters_choose_hosts,
    }
    timeouts = timeouts { a_response_that_never_starts_is_504, idle_upstream_connections_are_closed }
    upstream_faults = upstream_faults { an_endless_response_head_is_502 }
}

// The example modules, as they are.
pairs! {
    access_log = examples::access_log { each_request_has_a_line }
    async_check = examples::async_check {
        the_server_decides_and_verdicts_are_kept,
        waiting_holds_up_nobody_and_has_its_bounds,
        the_proxy_ends_while_a_request_waits,
    }
    auth = examples { every_auth_example_guards_with_its_own_configuration }
    body_rewrite = examples::body_rewrite { links_change_wherever_chunks_end }
    headers = examples::headers { the_rust_one_edits_both_directions, the_c_one_edits_both_directions_and_counts }
    jwt = examples::jwt { a_valid_token_opens_and_names_its_owner }
    multi = examples::multi { one_filter_tells_the_other_what_it_found }
    rate_limit = examples::rate_limit {
        requests_above_the_burst_are_told_when_to_come_back,
        a_reload_of_the_module_gives_no_new_burst,
    }
}
