/*
 * Lets a request through if it carries every configured header with the
 * configured value, and answers 403 otherwise. The configuration is an object
 * of strings: {"User": "admin"}. Names are compared without case, values
 * exactly; of several fields of one name any may match.
 */
#include "sidegate.h"

#include <stdlib.h>

#include "rules.h"

SIDEGATE_MODULE_RECORD("auth-c", "1.0.0")

typedef struct auth {
    const sidegate_host_v1 *host;
    rules required;
} auth;

/* Whether any field of that name has exactly that value. */
static int has_value(const sidegate_host_v1 *host, sidegate_stream *stream, const rule *required) {
    sidegate_slice few[8], *values = few;
    uint64_t count = 0, i;
    int found = 0;
    if (host->header_get_all(stream, SIDEGATE_MAP_REQUEST, required->name, few, 8, &count) != SIDEGATE_OK) return 0;
    if (count > 8) {
        uint64_t capacity = count;
        values = (sidegate_slice *)calloc((size_t)capacity, sizeof *values);
        if (!values ||
            host->header_get_all(stream, SIDEGATE_MAP_REQUEST, required->name, values, capacity, &count) !=
                SIDEGATE_OK ||
            count > capacity)
            count = 0;
    }
    for (i = 0; i < count && !found; i++) found = sidegate_slice_eq(values[i], required->value);
    if (values != few) free(values);
    return found;
}

/* A filter keeps nothing of its own: it is its factory. */
static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) {
    const auth *self = (const auth *)filter;
    size_t i;
    for (i = 0; i < self->required.count; i++)
        if (!has_value(self->host, hook->stream, &self->required.items[i]))
            return sidegate_reply_text(self->host, hook->stream, 403, "forbidden\n");
    return SIDEGATE_STATUS_CONTINUE;
}

static void destroy_filter(void *filter) { (void)filter; }

static uint32_t create_filter(void *factory, uint32_t worker, void *worker_state, void **filter) {
    (void)worker;
    (void)worker_state;
    *filter = factory;
    return SIDEGATE_OK;
}

static void destroy_factory(void *factory) {
    rules_free(&((auth *)factory)->required);
    free(factory);
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table,
    .destroy = destroy_factory,
    .create_filter = create_filter,
};

static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table,
    .destroy = destroy_filter,
    .on_request_headers = on_request_headers,
};

uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result) {
    rules_error refused;
    auth *self;
    if (!sidegate_host_ok(args->host)) return sidegate_error(args->error, NULL, "this host is too old");
    if (args->filter_name.len != 0 && !sidegate_slice_eq(args->filter_name, sidegate_str("auth-c"))) {
        sidegate_error(args->error, NULL, "expected filter `auth-c`, the only one in this module");
        return SIDEGATE_NOT_FOUND;
    }
    self = (auth *)calloc(1, sizeof *self);
    if (!self) return sidegate_error(args->error, NULL, "out of memory");
    if (!rules_parse(args->config, &self->required, &refused)) {
        free(self);
        return sidegate_error(args->error, refused.path, refused.message);
    }
    self->host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->factory = self;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
