//! The header's macros: modules that use each of them, run with a host's part
//! played by C.

use std::process::Command;

use crate::header::compilers;
use crate::{ffi_api, run, TempDir};

/// Two filters with every option between them, and a host that calls them.
/// What goes on is printed, for the test to compare.
const PROGRAM: &str = r#"
#include <stdio.h>
#include "sidegate.h"

typedef struct config { int limit; } config;
typedef struct state { const config *made_from; int seen; } state;

static uint64_t counter;

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    config *it = (config *)object;
    printf("configure, zeroed %d\n", it->limit == 0);
    if (args->config.len < 3) return sidegate_error(args->error, "limit", "expected a limit");
    it->limit = 3;
    return sidegate_metric(args, SIDEGATE_METRIC_COUNTER, args->config.len > 5 ? "refused" : "taken", &counter);
}
static void release(void *object) SIDEGATE_NOEXCEPT { printf("release %d\n", ((config *)object)->limit); }
static uint32_t begin(void *object, void *made_from, void *worker_state) SIDEGATE_NOEXCEPT {
    state *it = (state *)object;
    printf("begin, zeroed %d\n", it->seen == 0);
    it->made_from = (const config *)made_from;
    return worker_state ? SIDEGATE_OK : SIDEGATE_FAILED;
}
static void end(void *object) SIDEGATE_NOEXCEPT { printf("end after %d\n", ((state *)object)->seen); }
static uint32_t count(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)hook;
    return ++((state *)filter)->seen < ((state *)filter)->made_from->limit ? SIDEGATE_STATUS_CONTINUE
                                                                           : SIDEGATE_STATUS_TERMINATE;
}
static uint32_t route(void *factory, sidegate_slice text, sidegate_error_out_v1 *error, void **made) SIDEGATE_NOEXCEPT {
    (void)factory; (void)text; (void)error; (void)made;
    return SIDEGATE_OK;
}
static void route_end(void *factory, void *made) SIDEGATE_NOEXCEPT { (void)factory; (void)made; }
static uint32_t attach(void *factory, uint32_t worker, void **made) SIDEGATE_NOEXCEPT {
    (void)factory; (void)worker; (void)made;
    return SIDEGATE_OK;
}
static void detach(void *factory, uint32_t worker, void *made) SIDEGATE_NOEXCEPT { (void)factory; (void)worker; (void)made; }
static uint32_t hand_over(void *factory, sidegate_state_out *out, sidegate_error_out_v1 *error) SIDEGATE_NOEXCEPT {
    (void)error;
    return sidegate_state_write(sidegate_host, out, sidegate_bytes(&((config *)factory)->limit, sizeof(int)));
}
static uint32_t take_over(void *factory, sidegate_slice text, sidegate_error_out_v1 *error) SIDEGATE_NOEXCEPT {
    if (text.len != sizeof(int)) return sidegate_error(error, NULL, "expected an int");
    memcpy(&((config *)factory)->limit, text.ptr, sizeof(int));
    return SIDEGATE_OK;
}
static void complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *completion) SIDEGATE_NOEXCEPT {
    (void)filter; (void)hook; (void)completion;
}
static uint32_t plain(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)hook;
    SIDEGATE_LOG(SIDEGATE_LOG_INFO, filter ? "an object" : "no object");
    return SIDEGATE_STATUS_CONTINUE;
}

SIDEGATE_FILTER(full, "full",
    SIDEGATE_ON_REQUEST_HEADERS(count, SIDEGATE_IN_BEFORE_ROUTE | SIDEGATE_IN_AFTER_CHOOSE_HOST),
    SIDEGATE_ON_REQUEST_BODY(count, SIDEGATE_BODY_STREAM), SIDEGATE_ON_REQUEST_TRAILERS(count),
    SIDEGATE_ON_RESPONSE_HEADERS(count), SIDEGATE_ON_RESPONSE_BODY(count, SIDEGATE_BODY_WHOLE),
    SIDEGATE_ON_RESPONSE_TRAILERS(count), SIDEGATE_ON_RESUME(count), SIDEGATE_ON_COMPLETE(complete),
    SIDEGATE_CONFIG(config, configure, release), SIDEGATE_STREAM(state, begin, end),
    SIDEGATE_ROUTE_CONFIG(route, route_end), SIDEGATE_WORKER(attach, detach),
    SIDEGATE_STATE(hand_over, take_over))
SIDEGATE_FILTER(small, "small", SIDEGATE_ON_REQUEST_HEADERS(plain, SIDEGATE_IN_AFTER_ROUTE))
SIDEGATE_MODULE("macros", "1.0.0", full, small)

/* ---- The host. ---- */

static uint32_t host_log(sidegate_module *module, uint32_t level, sidegate_slice text) {
    printf("log %d %u %.*s\n", module == (sidegate_module *)&counter, level, (int)text.len, (const char *)text.ptr);
    return SIDEGATE_OK;
}
static uint32_t host_metric(sidegate_module *module, uint32_t kind, sidegate_slice name,
                            const sidegate_header *labels, uint64_t labels_len, uint64_t *metric) {
    (void)module; (void)labels;
    printf("metric %u %.*s %d\n", kind, (int)name.len, (const char *)name.ptr, (int)labels_len);
    *metric = 5;
    return sidegate_slice_eq(name, sidegate_str("taken")) ? SIDEGATE_OK : SIDEGATE_LIMIT;
}

static uint32_t host_state(sidegate_state_out *out, sidegate_slice bytes) {
    memcpy(out, bytes.ptr, (size_t)bytes.len);
    return SIDEGATE_OK;
}

static sidegate_create_result_v1 made;

static void create(sidegate_host_v1 *host, const char *filter, const char *text) {
    uint8_t message[100], path[20];
    sidegate_error_out_v1 error = {sizeof error, message, sizeof message, 0, path, sizeof path, 0};
    sidegate_create_args_v1 args;
    uint32_t result;
    memset(&args, 0, sizeof args);
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    args.size = sizeof args;
    args.host = host;
    args.module = (sidegate_module *)&counter;
    args.filter_name = sidegate_str(filter);
    args.config = sidegate_str(text);
    args.error = &error;
    result = sidegate_create_filter_factory_v1(&args, &made);
    printf("create %s: %u `%.*s` %.*s\n", filter, result, (int)error.path_len, (const char *)path,
           (int)error.message_len, (const char *)message);
}

int main(void) {
    sidegate_host_v1 host;
    sidegate_hook_v1 hook;
    void *filter = NULL;
    int handed = 0;
    memset(&host, 0, sizeof host);
    memset(&hook, 0, sizeof hook);
    create(&host, "full", "{}");
    host.size = sizeof host;
    host.abi_major = SIDEGATE_ABI_MAJOR;
    host.log = host_log;
    host.metric_define = host_metric;
    create(&host, "", "{ }");
    create(&host, "fully", "{ }");
    create(&host, "full", "{}");
    create(&host, "full", "{      }");
    create(&host, "full", "{ }");
    printf("wants %u %u %u %u\n", made.interests.phases, made.interests.request_body, made.interests.response_body,
           made.interests.hooks);
    printf("tables %d %d\n", made.factory_table->size == sizeof *made.factory_table,
           made.filter_table->size == sizeof *made.filter_table);
    printf("hooks %d\n", made.filter_table->on_request_headers == count && made.filter_table->on_request_body == count &&
           made.filter_table->on_request_trailers == count && made.filter_table->on_response_headers == count &&
           made.filter_table->on_response_body == count && made.filter_table->on_response_trailers == count &&
           made.filter_table->on_resume == count && made.filter_table->on_complete == complete &&
           made.factory_table->create_route_config == route && made.factory_table->destroy_route_config == route_end &&
           made.factory_table->worker_attach == attach && made.factory_table->worker_detach == detach);
    printf("state of a host of 1.0: %u\n", made.factory_table->export_state(made.factory, NULL, NULL));
    host.state_write = host_state;
    printf("state: %u", made.factory_table->export_state(made.factory, (sidegate_state_out *)&handed, NULL));
    printf(" %d", handed);
    printf(", %u", made.factory_table->import_state(made.factory, sidegate_bytes(&handed, sizeof handed), NULL));
    printf(" %u\n", made.factory_table->import_state(made.factory, sidegate_str("?"), NULL));
    printf("no worker state: %u\n", made.factory_table->create_filter(made.factory, 0, NULL, &filter));
    printf("stream: %u\n", made.factory_table->create_filter(made.factory, 0, &hook, &filter));
    while (made.filter_table->on_request_headers(filter, &hook) == SIDEGATE_STATUS_CONTINUE) puts("again");
    made.filter_table->destroy(filter);
    made.factory_table->destroy(made.factory);
    create(&host, "small", "{ }");
    printf("small: %u\n", made.factory_table->create_filter(made.factory, 0, NULL, &filter));
    made.filter_table->on_request_headers(filter, &hook);
    printf("wants %u %u, others %d\n", made.interests.phases, made.interests.hooks,
           made.filter_table->on_complete || made.factory_table->worker_attach || made.factory_table->import_state);
    made.filter_table->destroy(filter);
    made.factory_table->destroy(made.factory);
    return 0;
}
"#;

const PRINTED: &str = "\
create full: 11 `` this host is too old
create : 1 `` expected one of this module's filters: full, small
create fully: 1 `` expected one of this module's filters: full, small
configure, zeroed 1
create full: 11 `limit` expected a limit
configure, zeroed 1
metric 1 refused 0
create full: 11 `` the host did not take metric refused
configure, zeroed 1
metric 1 taken 0
create full: 0 ``\x20
wants 10 2 3 15
tables 1 1
hooks 1
state of a host of 1.0: 7
state: 0 3, 0 11
begin, zeroed 1
no worker state: 11
begin, zeroed 1
stream: 0
again
again
end after 3
release 3
create small: 0 ``\x20
small: 0
log 1 3 no object
wants 4 0, others 0
";

#[test]
fn the_macros_make_what_they_say() {
    for compiler in compilers() {
        let dir = TempDir::new();
        let printed = run(&mut Command::new(compiler.compile(PROGRAM, &[], &dir, "macros")));
        assert_eq!(printed, PRINTED, "{}", compiler.program);
    }
}

#[test]
fn the_module_at_the_top_of_the_header_compiles() {
    let header = std::fs::read_to_string(ffi_api().join("include/sidegate.h")).unwrap();
    let (_, rest) = header.split_once(" * A whole module").unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with(" *     #include"));
    let lines = lines.take_while(|line| !line.starts_with(" *     cc "));
    let module: String = lines.map(|line| format!("{}\n", line.trim_start_matches(" *"))).collect();
    for compiler in compilers() {
        let dir = TempDir::new();
        let file = compiler.compile(&module, &["-shared", "-fPIC"], &dir, "libmarks.so");
        assert_eq!(crate::record::find(&std::fs::read(file).unwrap()).name, "marks");
    }
}
