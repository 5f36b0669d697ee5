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
