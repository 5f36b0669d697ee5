/* A module that breaks the rules of the ABI wherever the host can notice. The
 * filter's name says which; a CHECK that fails becomes a fault with its text,
 * so that the host's test sees it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("hostile", "1.0.0")

static const sidegate_host_v1 *host;
static sidegate_module *self;

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            host->fault(hook->stream, sidegate_str("line " TEXT(__LINE__) ": " #condition));                  \
            return SIDEGATE_STATUS_FAULT;                                                                     \
        }                                                                                                     \
    } while (0)
#define S(text) sidegate_str(text)

typedef uint32_t mode_fn(const sidegate_hook_v1 *hook);

static sidegate_slice slice(const void *ptr, uint64_t len) {
    sidegate_slice made = {ptr, len};
    return made;
}

/* Returns the number in the header x-status. */
static uint32_t status(const sidegate_hook_v1 *hook) {
    sidegate_slice value;
    char text[16] = "";
    CHECK(host->header_get(hook->stream, 0, S("X-Status"), &value) == SIDEGATE_OK && value.len < 16);
    memcpy(text, value.ptr, (size_t)value.len);
    return (uint32_t)strtoul(text, NULL, 0);
}

static uint32_t try_reply(const sidegate_hook_v1 *hook, uint32_t code, const char *name, const char *value) {
    sidegate_header field = {S(name), S(value)};
    sidegate_reply_v1 reply = {sizeof reply, code, 0, &field, 1, S("body")};
    return host->reply(hook->stream, &reply);
}

static uint32_t replies(const sidegate_hook_v1 *hook) {
    sidegate_reply_v1 reply = {sizeof reply, 200, 0, NULL, 0, {NULL, 0}};
    CHECK(try_reply(hook, 403, "x-a", "a\r\nset-cookie: b") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 403, "x-a", "a\nb") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 403, "x-a\r\nb", "a") == SIDEGATE_BAD_NAME);
    CHECK(try_reply(hook, 403, "", "a") == SIDEGATE_BAD_NAME);
    CHECK(try_reply(hook, 403, "Content-Length", "5") == SIDEGATE_RESERVED);
    CHECK(try_reply(hook, 403, "transfer-encoding", "chunked") == SIDEGATE_RESERVED);
    CHECK(try_reply(hook, 403, "Connection", "close") == SIDEGATE_RESERVED);
    CHECK(try_reply(hook, 0, "x-a", "a") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 99, "x-a", "a") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 101, "x-a", "a") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 600, "x-a", "a") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 1000, "x-a", "a") == SIDEGATE_BAD_VALUE);
    CHECK(try_reply(hook, 65536 + 200, "x-a", "a") == SIDEGATE_BAD_VALUE);
    CHECK(host->reply(hook->stream, NULL) == SIDEGATE_BAD_ARGUMENT);
    reply.size = 8;
    CHECK(host->reply(hook->stream, &reply) == SIDEGATE_BAD_ARGUMENT);
    reply.size = sizeof reply;
    reply.headers_len = 1;
    CHECK(host->reply(hook->stream, &reply) == SIDEGATE_BAD_ARGUMENT);
    reply.headers_len = UINT64_MAX;
    CHECK(host->reply(hook->stream, &reply) == SIDEGATE_LIMIT);
    reply.headers_len = 0;
    reply.body = slice(NULL, 1);
    CHECK(host->reply(hook->stream, &reply) == SIDEGATE_BAD_ARGUMENT);
    reply.body = slice("x", UINT64_MAX);
    CHECK(host->reply(hook->stream, &reply) == SIDEGATE_BAD_ARGUMENT);
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t nulls(const sidegate_hook_v1 *hook) {
    const uint32_t bad = SIDEGATE_BAD_ARGUMENT;
    const sidegate_slice none = slice(NULL, 5);
    const sidegate_slice ends[] = {{NULL, 5}, {(const uint8_t *)"x", UINT64_MAX}, {(const uint8_t *)"x", INT64_MAX}};
    sidegate_stream *stream = hook->stream;
    sidegate_slice value;
    sidegate_resume *resume;
    uint64_t number;
    size_t i;
    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        CHECK(host->log(self, SIDEGATE_LOG_INFO, ends[i]) == bad);
        CHECK(host->metric_define(self, SIDEGATE_METRIC_COUNTER, ends[i], NULL, 0, &number) == bad);
        CHECK(host->header_get(stream, 0, ends[i], &value) == bad);
        CHECK(host->header_get_all(stream, 0, ends[i], NULL, 0, &number) == bad);
        CHECK(host->header_set(stream, 0, S("x"), ends[i]) == bad);
        CHECK(host->header_set(stream, 0, ends[i], S("x")) == bad);
        CHECK(host->header_add(stream, 0, S("x"), ends[i]) == bad);
        CHECK(host->header_remove(stream, 0, ends[i], NULL) == bad);
        CHECK(host->variable_set(stream, SIDEGATE_VAR_PATH, ends[i]) == bad);
        CHECK(host->named_get(stream, ends[i], &value) == bad);
        CHECK(host->named_set(stream, S("x"), ends[i]) == bad);
        CHECK(host->body_append(stream, 0, ends[i]) == bad);
        CHECK(host->body_replace(stream, 0, &ends[i], 1) == bad);
        CHECK(host->fault(stream, ends[i]) == bad);
    }
    CHECK(host->log(NULL, SIDEGATE_LOG_INFO, S("x")) == bad);
    CHECK(host->log(self, 0, S("x")) == bad && host->log(self, 99, S("x")) == bad);
    CHECK(host->log_enabled(NULL, SIDEGATE_LOG_ERROR) == 0 && host->log_enabled(self, 99) == 0);
    CHECK(host->metric_define(self, SIDEGATE_METRIC_COUNTER, S("n"), NULL, 1, &number) == bad);
    CHECK(host->metric_define(self, SIDEGATE_METRIC_COUNTER, S("n"), NULL, 0, NULL) == bad);
    CHECK(host->metric_define(NULL, SIDEGATE_METRIC_COUNTER, S("n"), NULL, 0, &number) == bad);
    CHECK(host->metric_define(self, 9, S("n"), NULL, 0, &number) == SIDEGATE_UNSUPPORTED);
    CHECK(host->metric_add(self, UINT64_MAX, 1) == bad && host->metric_add(NULL, 0, 1) == bad);
    CHECK(host->metric_set(self, 4711, 1) == bad && host->metric_observe(self, 4711, 1.0) == bad);
    CHECK(host->header_get(stream, 0, S("host"), NULL) == bad);
    CHECK(host->header_get(NULL, 0, S("host"), &value) == bad);
    CHECK(host->header_get(stream, 4, S("host"), &value) == SIDEGATE_UNSUPPORTED);
    CHECK(host->header_get(stream, 0, none, NULL) == bad);
    CHECK(host->header_get(stream, 0, (sidegate_slice){NULL, 0}, &value) == SIDEGATE_NOT_FOUND);
    CHECK(host->header_get_all(stream, 0, S("host"), NULL, 1, &number) == bad);
    CHECK(host->header_get_all(stream, 0, S("host"), NULL, 0, NULL) == bad);
    CHECK(host->headers_visit(stream, 0, NULL, NULL) == bad);
    CHECK(host->header_set(stream, UINT32_MAX, S("x"), S("y")) == SIDEGATE_UNSUPPORTED);
    CHECK(host->variable_get(stream, SIDEGATE_VAR_PATH, NULL) == bad);
    CHECK(host->variable_get(stream, 0, &value) == SIDEGATE_UNSUPPORTED);
    CHECK(host->variable_get(stream, SIDEGATE_VAR_STATUS, &value) == SIDEGATE_UNSUPPORTED);
    CHECK(host->variable_get_u64(stream, SIDEGATE_VAR_STATUS, NULL) == bad);
    CHECK(host->variable_get_u64(stream, SIDEGATE_VAR_PATH, &number) == SIDEGATE_UNSUPPORTED);
    CHECK(host->variable_set(stream, 4711, S("x")) == SIDEGATE_UNSUPPORTED);
    CHECK(host->named_get(stream, S("x"), NULL) == bad);
    CHECK(host->body_len(stream, 0, NULL) == bad && host->body_len(stream, 2, &number) == SIDEGATE_UNSUPPORTED);
    CHECK(host->body_len(stream, 0, &number) == SIDEGATE_NOT_NOW);
    CHECK(host->body_read(stream, 0, NULL, 1, &number) == bad && host->body_read(stream, 0, NULL, 0, NULL) == bad);
    CHECK(host->body_replace(stream, 0, NULL, 1) == bad);
    CHECK(host->body_replace(stream, 0, &none, UINT64_MAX) == bad);
    CHECK(host->body_drain(stream, 0, 1, NULL) == SIDEGATE_NOT_NOW);
    CHECK(host->resume_handle(stream, NULL) == bad && host->resume_handle(NULL, &resume) == bad);
    CHECK(host->resume(NULL) == SIDEGATE_GONE && host->resume_release(NULL) == SIDEGATE_GONE);
    CHECK(host->route_config(NULL) == NULL && host->route_config(stream) == NULL);
    CHECK(host->fault(NULL, S("x")) == bad);
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t encodings(const sidegate_hook_v1 *hook) {
    const sidegate_slice bad = S("\xff\xfe\x80 \x1b[31m\n");
    sidegate_header label = {S("l"), S("\xff")};
    uint64_t number;
    CHECK(host->log(self, SIDEGATE_LOG_ERROR, bad) == SIDEGATE_OK);
    CHECK(host->metric_define(self, SIDEGATE_METRIC_COUNTER, bad, NULL, 0, &number) == SIDEGATE_BAD_NAME);
    CHECK(host->metric_define(self, SIDEGATE_METRIC_COUNTER, S("m"), &label, 1, &number) == SIDEGATE_BAD_VALUE);
    CHECK(host->header_set(hook->stream, 0, bad, S("x")) == SIDEGATE_BAD_NAME);
    CHECK(host->header_set(hook->stream, 0, S("x"), bad) == SIDEGATE_BAD_VALUE);
    CHECK(host->header_set(hook->stream, 0, S("x"), slice("a\0b", 3)) == SIDEGATE_BAD_VALUE);
    CHECK(host->variable_set(hook->stream, SIDEGATE_VAR_PATH, bad) == SIDEGATE_BAD_VALUE);
    CHECK(host->variable_set(hook->stream, SIDEGATE_VAR_METHOD, S("G T")) == SIDEGATE_BAD_VALUE);
    CHECK(host->named_set(hook->stream, bad, S("x")) == SIDEGATE_BAD_NAME);
    CHECK(host->named_set(hook->stream, S("any-bytes"), bad) == SIDEGATE_OK);
    CHECK(host->fault(hook->stream, bad) == SIDEGATE_OK);
    return SIDEGATE_STATUS_FAULT;
}

struct visit {
    const sidegate_hook_v1 *hook;
    uint32_t seen, edits_refused, nested;
};

static uint32_t count_only(void *user, const sidegate_header *header) {
    (void)header;
    ++*(uint32_t *)user;
    return 0;
}

static uint32_t editing_visitor(void *user, const sidegate_header *header) {
    struct visit *visit = user;
    sidegate_stream *stream = visit->hook->stream;
    visit->seen++;
    visit->edits_refused += host->header_set(stream, 0, header->name, S("other")) == SIDEGATE_NOT_NOW;
    visit->edits_refused += host->header_add(stream, 0, S("x-new"), S("other")) == SIDEGATE_NOT_NOW;
    visit->edits_refused += host->header_remove(stream, 0, header->name, NULL) == SIDEGATE_NOT_NOW;
    visit->edits_refused += host->variable_set(stream, SIDEGATE_VAR_AUTHORITY, S("other")) == SIDEGATE_NOT_NOW;
    host->headers_visit(stream, 0, count_only, &visit->nested);
    return 0;
}

static uint32_t visitor(const sidegate_hook_v1 *hook) {
    struct visit visit = {hook, 0, 0, 0};
    uint32_t one = 0;
    CHECK(host->headers_visit(hook->stream, 0, editing_visitor, &visit) == SIDEGATE_OK);
    CHECK(visit.seen > 1 && visit.edits_refused == 4 * visit.seen && visit.nested == visit.seen * visit.seen);
    CHECK(host->headers_visit(hook->stream, 0, count_only, &one) == SIDEGATE_OK && one == visit.seen);
    CHECK(host->header_set(hook->stream, 0, S("x-after"), S("ok")) == SIDEGATE_OK);
    return SIDEGATE_STATUS_CONTINUE;
}

/* Passes back what the host lent, so that it overlaps what is changed. */
static uint32_t alias(const sidegate_hook_v1 *hook) {
    sidegate_stream *stream = hook->stream;
    sidegate_slice value, again;
    int i;
    CHECK(host->header_set(stream, 0, S("x-own"), S("0123456789abcdef")) == SIDEGATE_OK);
    for (i = 0; i < 300; i++) {
        CHECK(host->header_get(stream, 0, S("x-own"), &value) == SIDEGATE_OK && value.len == 16);
        CHECK(host->header_add(stream, 0, S("x-copy"), value) == SIDEGATE_OK);
        CHECK(host->header_get(stream, 0, S("x-own"), &value) == SIDEGATE_OK);
        CHECK(host->header_set(stream, 0, S("x-own"), value) == SIDEGATE_OK);
        CHECK(host->header_get(stream, 0, S("x-own"), &again) == SIDEGATE_OK);
        CHECK(sidegate_slice_eq(again, S("0123456789abcdef")));
    }
    CHECK(host->variable_get(stream, SIDEGATE_VAR_TARGET, &value) == SIDEGATE_OK);
    CHECK(host->variable_set(stream, SIDEGATE_VAR_TARGET, value) == SIDEGATE_OK);
    CHECK(host->variable_get(stream, SIDEGATE_VAR_AUTHORITY, &value) == SIDEGATE_OK);
    CHECK(host->variable_set(stream, SIDEGATE_VAR_AUTHORITY, value) == SIDEGATE_OK);
    CHECK(host->named_set(stream, S("n"), S("named value")) == SIDEGATE_OK);
    CHECK(host->named_get(stream, S("n"), &value) == SIDEGATE_OK);
    CHECK(host->named_set(stream, S("n"), value) == SIDEGATE_OK);
    CHECK(host->named_get(stream, S("n"), &value) == SIDEGATE_OK && sidegate_slice_eq(value, S("named value")));
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t limits(const sidegate_hook_v1 *hook) {
    static char big[2 << 20];
    uint64_t number;
    char name[24];
    int i;
    memset(big, 'a', sizeof big);
    CHECK(host->header_set(hook->stream, 0, S("x-big"), slice(big, sizeof big)) == SIDEGATE_LIMIT);
    CHECK(host->named_set(hook->stream, S("n"), slice(big, sizeof big)) == SIDEGATE_LIMIT);
    CHECK(host->header_get(hook->stream, 0, slice(big, sizeof big), &(sidegate_slice){0}) == SIDEGATE_NOT_FOUND);
    for (i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "series_%d", i);
        if (host->metric_define(self, SIDEGATE_METRIC_COUNTER, S(name), NULL, 0, &number) != SIDEGATE_OK) break;
    }
    CHECK(i > 500 && i < 5000);
    CHECK(host->metric_define(self, SIDEGATE_METRIC_COUNTER, S("series_0"), NULL, 0, &number) == SIDEGATE_OK);
    CHECK(host->metric_add(self, number, -1) == SIDEGATE_BAD_VALUE && host->metric_add(self, number, 7) == SIDEGATE_OK);
    CHECK(host->metric_set(self, number, 1) == SIDEGATE_BAD_ARGUMENT);
    CHECK(host->metric_observe(self, number, 1.0) == SIDEGATE_BAD_ARGUMENT);
    for (i = 0; i < 100000; i++)
        if (host->log(self, SIDEGATE_LOG_ERROR, S("again")) == SIDEGATE_LIMIT) break;
    CHECK(i >= 900 && i < 100000);
    return SIDEGATE_STATUS_CONTINUE;
}

/* Two filters of one stream each: the first keeps what the second must not use. */
static sidegate_stream *kept_stream;
static sidegate_resume *kept_resume;

static uint32_t keep(const sidegate_hook_v1 *hook) {
    kept_stream = hook->stream;
    CHECK(host->resume_handle(hook->stream, &kept_resume) == SIDEGATE_OK);
    CHECK(host->resume_retain(kept_resume) == SIDEGATE_OK);
    return SIDEGATE_STATUS_PENDING;
}

static void *elsewhere(void *user) {
    const sidegate_hook_v1 *hook = user;
    sidegate_slice value;
    uintptr_t right = 0;
    right += host->header_get(hook->stream, 0, S("host"), &value) == SIDEGATE_GONE;
    right += host->header_get(kept_stream, 0, S("host"), &value) == SIDEGATE_GONE;
    right += host->resume(kept_resume) == SIDEGATE_GONE;
    return (void *)right;
}

static uint32_t use_kept(const sidegate_hook_v1 *hook) {
    sidegate_slice value;
    pthread_t thread;
    void *right = NULL;
    CHECK(kept_stream && kept_stream != hook->stream);
    CHECK(host->header_get(kept_stream, 0, S("host"), &value) == SIDEGATE_GONE);
    CHECK(host->header_set(kept_stream, 0, S("x"), S("y")) == SIDEGATE_GONE);
    CHECK(host->fault(kept_stream, S("not mine")) == SIDEGATE_GONE);
    CHECK(host->resume(kept_resume) == SIDEGATE_GONE);
    CHECK(pthread_create(&thread, NULL, elsewhere, (void *)hook) == 0 && pthread_join(thread, &right) == 0);
    CHECK((uintptr_t)right == 3);
    CHECK(host->resume_release(kept_resume) == SIDEGATE_OK);
    CHECK(host->resume(kept_resume) == SIDEGATE_GONE);
    CHECK(host->resume_release(kept_resume) == SIDEGATE_OK);
    CHECK(host->resume_release(kept_resume) == SIDEGATE_GONE);
    CHECK(host->resume_retain(kept_resume) == SIDEGATE_GONE);
    CHECK(host->resume(kept_resume) == SIDEGATE_GONE);
    CHECK(host->resume((sidegate_resume *)(uintptr_t)0xdeadbeefdeadbeef) == SIDEGATE_GONE);
    return SIDEGATE_STATUS_CONTINUE;
}

/* Body hook: passes the body back to itself and asks for too much. */
static uint32_t body(void *filter, const sidegate_hook_v1 *hook) {
    static char big[1 << 20];
    sidegate_slice lent[4];
    uint64_t count = 9, len = 0, drained = 0;
    (void)filter;
    CHECK(host->body_len(hook->stream, SIDEGATE_BODY_REQUEST, &len) == SIDEGATE_OK && len == 5);
    CHECK(host->body_read(hook->stream, 0, NULL, 0, &count) == SIDEGATE_OK && count == 1);
    CHECK(host->body_read(hook->stream, 0, lent, 4, &count) == SIDEGATE_OK && count == 1);
    CHECK(sidegate_slice_eq(lent[0], S("hello")));
    lent[1] = lent[0];
    CHECK(host->body_replace(hook->stream, 0, lent, 2) == SIDEGATE_OK);
    CHECK(host->body_read(hook->stream, 0, lent, 1, &count) == SIDEGATE_OK);
    CHECK(host->body_append(hook->stream, 0, lent[0]) == SIDEGATE_OK);
    CHECK(host->body_len(hook->stream, 0, &len) == SIDEGATE_OK && len == 20);
    CHECK(host->body_drain(hook->stream, 0, 15, &drained) == SIDEGATE_OK && drained == 15);
    CHECK(host->body_append(hook->stream, 0, slice(big, sizeof big)) == SIDEGATE_LIMIT);
    CHECK(host->body_len(hook->stream, SIDEGATE_BODY_RESPONSE, &len) == SIDEGATE_NOT_NOW);
    CHECK(host->body_drain(hook->stream, 0, UINT64_MAX, &drained) == SIDEGATE_OK && drained == 5);
    CHECK(host->body_read(hook->stream, 0, lent, 4, &count) == SIDEGATE_OK && count == 0);
    CHECK(host->body_append(hook->stream, 0, S("bye")) == SIDEGATE_OK);
    return SIDEGATE_STATUS_CONTINUE;
}

/* Calls, counted in metrics for the test to read. */
enum counter { MADE, DESTROYED, COMPLETED, FACTORY_DESTROYED, ATTACHED, DETACHED, ROUTE_MADE, ROUTE_DESTROYED, COUNTERS };
static const char *const counter_names[COUNTERS] = {
    "filters_made", "filters_destroyed", "completed",   "factories_destroyed",
    "attached",     "detached",          "routes_made", "routes_destroyed",
};
static uint64_t counters[COUNTERS];

#define COUNT(counter) ((void)host->metric_add(self, counters[counter], 1))

static const struct {
    const char *name;
    mode_fn *run;
} modes[] = {
    {"status", status}, {"replies", replies}, {"nulls", nulls},       {"encodings", encodings}, {"visitor", visitor},
    {"alias", alias},   {"limits", limits},   {"keep", keep},         {"use-kept", use_kept},   {"life", status},
    {"body", NULL},     {"no-filter", NULL},  {"no-attach", status},
};

struct factory {
    mode_fn *run;
    const char *name;
};

/* Shows the route's own setting as a header. */
static void show_route(const sidegate_hook_v1 *hook) {
    const char *setting = host->route_config(hook->stream);
    if (setting) host->header_set(hook->stream, 0, S("x-route"), S(setting));
    if (hook->worker_state) host->header_set(hook->stream, 0, S("x-worker"), S((const char *)hook->worker_state));
}

static uint32_t on_headers(void *filter, const sidegate_hook_v1 *hook) {
    struct factory *factory = *(struct factory **)filter;
    show_route(hook);
    return factory->run ? factory->run(hook) : SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_resume(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter;
    CHECK(host->header_set(hook->stream, 0, S("x-resumed"), S("yes")) == SIDEGATE_OK);
    CHECK(hook->phase == SIDEGATE_PHASE_BEFORE_ROUTE && hook->flags == SIDEGATE_HOOK_END);
    return SIDEGATE_STATUS_CONTINUE;
}

static void on_complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *completion) {
    (void)filter, (void)hook;
    if (completion->size == sizeof *completion && completion->status == 200) COUNT(COMPLETED);
}

static uint32_t create_filter(void *object, uint32_t worker, void *state, void **filter) {
    struct factory *factory = object;
    struct factory **made = malloc(sizeof *made);
    (void)worker, (void)state;
    if (!made) return SIDEGATE_LIMIT;
    if (strcmp(factory->name, "no-filter") == 0) {
        free(made);
        *filter = (void *)8;
        return SIDEGATE_FAILED;
    }
    *made = factory;
    *filter = made;
    COUNT(MADE);
    return SIDEGATE_OK;
}

static void destroy_filter(void *filter) {
    COUNT(DESTROYED);
    free(filter);
}

static void destroy_factory(void *factory) {
    COUNT(FACTORY_DESTROYED);
    free(factory);
}

static uint32_t attach(void *object, uint32_t worker, void **state) {
    struct factory *factory = object;
    if (strcmp(factory->name, "no-attach") == 0) return SIDEGATE_FAILED;
    COUNT(ATTACHED);
    *state = malloc(16);
    if (*state) snprintf(*state, 16, "worker-%u", worker);
    return SIDEGATE_OK;
}

static void detach(void *factory, uint32_t worker, void *state) {
    (void)factory, (void)worker;
    COUNT(DETACHED);
    free(state);
}

static uint32_t create_route(void *factory, sidegate_slice config, sidegate_error_out_v1 *error, void **object) {
    char *text;
    (void)factory;
    if (config.len < 3 || config.ptr[0] != '"') return sidegate_error(error, "", "expected a string");
    text = malloc((size_t)config.len);
    if (!text) return SIDEGATE_LIMIT;
    memcpy(text, config.ptr + 1, (size_t)config.len - 2);
    text[config.len - 2] = 0;
    *object = text;
    COUNT(ROUTE_MADE);
    return SIDEGATE_OK;
}

static void destroy_route(void *factory, void *object) {
    (void)factory;
    COUNT(ROUTE_DESTROYED);
    free(object);
}

static const sidegate_factory_table_v1 factory_table = {
    sizeof factory_table, destroy_factory, create_filter, create_route, destroy_route, attach, detach, NULL, NULL};
static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table,
    .destroy = destroy_filter,
    .on_request_headers = on_headers,
    .on_request_body = body,
    .on_resume = on_resume,
    .on_complete = on_complete,
};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    size_t i;
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    self = args->module;
    for (i = 0; i < COUNTERS; i++)
        if (host->metric_define(self, SIDEGATE_METRIC_COUNTER, S(counter_names[i]), NULL, 0, &counters[i]) != SIDEGATE_OK)
            return sidegate_error(args->error, NULL, "a counter was not defined");
    for (i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct factory *factory;
        if (!sidegate_slice_eq(args->filter_name, S(modes[i].name))) continue;
        factory = malloc(sizeof *factory);
        if (!factory) return SIDEGATE_LIMIT;
        factory->run = modes[i].run;
        factory->name = modes[i].name;
        result->factory_table = &factory_table;
        result->filter_table = &filter_table;
        result->factory = factory;
        result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
        if (strcmp(modes[i].name, "body") == 0) result->interests.request_body = SIDEGATE_BODY_WHOLE;
        result->interests.hooks = SIDEGATE_WANT_COMPLETE;
        return SIDEGATE_OK;
    }
    return SIDEGATE_NOT_FOUND;
}
