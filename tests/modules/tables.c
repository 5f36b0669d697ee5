/* A module whose factories are wrong in many ways: the filter's name says how. */
#include <stdlib.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("tables", "1.0.0")

static const sidegate_host_v1 *host;
static sidegate_module *self;
/* Calls of the factory's destroy, for the test to read. */
static uint64_t destroyed;

static void destroy_filter(void *object) { (void)object; }
static void destroy_factory(void *object) {
    (void)object;
    host->metric_add(self, destroyed, 1);
}
static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state, (void)filter;
    return SIDEGATE_OK;
}
static uint32_t go_on(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter, (void)hook;
    return SIDEGATE_STATUS_CONTINUE;
}
static uint32_t attach(void *factory, uint32_t worker, void **state) {
    (void)factory, (void)worker, (void)state;
    return SIDEGATE_OK;
}
static uint32_t route(void *factory, sidegate_slice config, sidegate_error_out_v1 *error, void **object) {
    (void)factory, (void)config, (void)object;
    return sidegate_error(error, "limit", "expected a number");
}

static int is(const sidegate_create_args_v1 *args, const char *mode) {
    return sidegate_slice_eq(args->filter_name, sidegate_str(mode));
}

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    /* Own memory of exactly the size that is claimed, so that a host that
     * reads further is seen by a memory checker. Never freed: tables stay. */
    sidegate_factory_table_v1 factory = {.size = sizeof factory, .destroy = destroy_factory, .create_filter = create_filter};
    sidegate_filter_table_v1 filter = {.size = sizeof filter, .destroy = destroy_filter, .on_request_headers = go_on};
    size_t factory_bytes = sizeof factory, filter_bytes = sizeof filter;
    static void *kept[256];
    static unsigned used;

    host = args->host;
    self = args->module;
    host->metric_define(self, SIDEGATE_METRIC_COUNTER, sidegate_str("destroyed"), NULL, 0, &destroyed);
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    if (is(args, "factory-0")) factory.size = 0, factory_bytes = 8;
    if (is(args, "factory-4")) factory.size = 4, factory_bytes = 8;
    if (is(args, "factory-16")) factory.size = 16, factory_bytes = 16;
    if (is(args, "factory-least")) factory.size = 24, factory_bytes = 24;
    if (is(args, "factory-uneven")) factory.size = 29, factory_bytes = 32;
    if (is(args, "factory-huge")) factory.size = UINT64_MAX;
    if (is(args, "filter-0")) filter.size = 0, filter_bytes = 8;
    if (is(args, "filter-8")) filter.size = 8, filter_bytes = 8;
    if (is(args, "filter-short")) filter.size = 16, filter_bytes = 16;
    if (is(args, "filter-least")) filter.size = 24, filter_bytes = 24;
    if (is(args, "filter-huge")) filter.size = UINT64_MAX;
    if (is(args, "no-destroy")) factory.destroy = NULL;
    if (is(args, "no-create")) factory.create_filter = NULL;
    if (is(args, "no-filter-destroy")) filter.destroy = NULL;
    if (is(args, "no-hook")) filter.on_request_headers = NULL;
    if (is(args, "no-detach")) factory.worker_attach = attach;
    if (is(args, "no-route-destroy")) factory.create_route_config = route;
    if (is(args, "no-body-hook")) result->interests.request_body = SIDEGATE_BODY_WHOLE;
    if (is(args, "no-complete-hook")) result->interests.hooks = SIDEGATE_WANT_COMPLETE;
    if (is(args, "phases")) result->interests.phases = 1U << SIDEGATE_PHASE_SEND;
    if (is(args, "hooks")) result->interests.hooks = 1U << 31;
    if (is(args, "nothing")) result->interests.phases = 0;
    if (is(args, "body")) result->interests.request_body = 4, filter.on_request_body = go_on;

    char *factory_memory = malloc(factory_bytes), *filter_memory = malloc(filter_bytes);
    if (!factory_memory || !filter_memory || used + 2 > sizeof kept / sizeof *kept) return SIDEGATE_LIMIT;
    memcpy(factory_memory, &factory, factory_bytes);
    memcpy(filter_memory, &filter, filter_bytes);
    kept[used++] = factory_memory;
    kept[used++] = filter_memory;
    result->factory_table = (void *)factory_memory;
    result->filter_table = (void *)filter_memory;

    if (is(args, "factory-null")) result->factory_table = NULL;
    if (is(args, "filter-null")) result->filter_table = NULL;
    if (is(args, "factory-unaligned")) result->factory_table = (void *)(factory_memory + 4);
    if (is(args, "filter-unaligned")) result->filter_table = (void *)(filter_memory + 1);
    if (is(args, "refuse")) return sidegate_error(args->error, "users[1].name", "expected a name, found 7");
    if (is(args, "refuse-silently")) return SIDEGATE_FAILED;
    if (is(args, "refuse-oddly")) return 4711;
    if (is(args, "panic")) {
        sidegate_error(args->error, "", "the factory panicked at src/lib.rs:7:9: oh no");
        return SIDEGATE_PANICKED;
    }
    if (is(args, "unknown")) return SIDEGATE_NOT_FOUND;
    if (is(args, "long-message")) {
        memset(args->error->message, 'm', (size_t)args->error->message_capacity);
        args->error->message_len = UINT64_MAX;
        args->error->path_len = args->error->path_capacity + 1;
        memset(args->error->path, '\xff', (size_t)args->error->path_capacity);
        args->error->message = NULL;
        return SIDEGATE_FAILED;
    }
    return SIDEGATE_OK;
}
