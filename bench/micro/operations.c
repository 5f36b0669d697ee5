/*
 * Filters that call one function of the host a thousand times in their hook;
 * the filter's name says which. `nothing` only returns.
 */
#include "sidegate.h"

#include <stdlib.h>

SIDEGATE_MODULE_RECORD("operations", "1.0.0")

#define TIMES 1000

typedef struct operations {
    const sidegate_host_v1 *host;
    sidegate_module *module;
    uint64_t counter;
} operations;

static void destroy_filter(void *filter) { (void)filter; }

static uint32_t count_bytes(void *user, const sidegate_header *header) {
    *(uint64_t *)user += header->name.len + header->value.len;
    return 0;
}

static uint32_t nothing(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter;
    (void)hook;
    return SIDEGATE_STATUS_CONTINUE;
}

/* A hook that makes CALL again and again, and its table. A call that fails is a fault: its cost would mean nothing. */
#define OPERATION(operation, CALL)                                                                                \
    static uint32_t operation(void *filter, const sidegate_hook_v1 *hook) {                                       \
        const operations *self = (const operations *)filter;                                                      \
        const sidegate_host_v1 *host = self->host;                                                                \
        sidegate_stream *stream = hook->stream;                                                                   \
        sidegate_slice value = {0};                                                                               \
        uint64_t bytes = 0;                                                                                       \
        uint32_t failed = SIDEGATE_OK;                                                                            \
        int i;                                                                                                    \
        (void)stream;                                                                                             \
        for (i = 0; i < TIMES; i++) failed |= CALL;                                                               \
        return failed == SIDEGATE_OK && value.len + bytes < 1 << 30 ? SIDEGATE_STATUS_CONTINUE                    \
                                                                    : SIDEGATE_STATUS_FAULT;                      \
    }                                                                                                             \
    TABLE(operation)
#define TABLE(operation)                                                                                          \
    static const sidegate_filter_table_v1 operation##_table = {                                                   \
        .size = sizeof operation##_table,                                                                         \
        .destroy = destroy_filter,                                                                                \
        .on_request_headers = operation,                                                                          \
    };

TABLE(nothing)
OPERATION(get, host->header_get(stream, SIDEGATE_MAP_REQUEST, sidegate_str("user"), &value))
OPERATION(set, host->header_set(stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-set"), sidegate_str("sixteen bytes ok")))
OPERATION(visit, host->headers_visit(stream, SIDEGATE_MAP_REQUEST, count_bytes, &bytes))
OPERATION(variable, host->variable_get(stream, SIDEGATE_VAR_PATH, &value))
OPERATION(metric, host->metric_add(self->module, self->counter, 1))

static const struct {
    const char *name;
    const sidegate_filter_table_v1 *table;
} all[] = {
    {"nothing", &nothing_table}, {"get", &get_table},           {"set", &set_table},
    {"visit", &visit_table},     {"variable", &variable_table}, {"metric", &metric_table},
};

static uint32_t create_filter(void *factory, uint32_t worker, void *worker_state, void **filter) {
    (void)worker;
    (void)worker_state;
    *filter = factory;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table,
    .destroy = free,
    .create_filter = create_filter,
};

uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result) {
    operations *self;
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++)
        if (sidegate_slice_eq(args->filter_name, sidegate_str(all[i].name))) result->filter_table = all[i].table;
    if (!result->filter_table) return SIDEGATE_NOT_FOUND;
    self = (operations *)calloc(1, sizeof *self);
    if (!self) return sidegate_error(args->error, NULL, "out of memory");
    self->host = args->host;
    self->module = args->module;
    if (args->host->metric_define(args->module, SIDEGATE_METRIC_COUNTER, sidegate_str("operations_total"), NULL, 0,
                                  &self->counter) != SIDEGATE_OK) {
        free(self);
        return sidegate_error(args->error, NULL, "the counter was refused");
    }
    result->factory_table = &factory_table;
    result->factory = self;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
