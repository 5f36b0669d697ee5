/*
 * Filter `guard`, written against the tables alone, without the header's
 * macros. Configuration {"user": "NAME"}: answers 403 unless one of the fields
 * `user` has that value. `x-fault` asks for a fault, `x-terminate` for an end
 * without an answer.
 */
#include <stdlib.h>

#include "sidegate.h"

SIDEGATE_MODULE_RECORD("guard", "1.0.0")

typedef struct guard {
    const sidegate_host_v1 *host;
    char user[64];
} guard;

static int has(const guard *self, sidegate_stream *stream, const char *name) {
    sidegate_slice value;
    return self->host->header_get(stream, SIDEGATE_MAP_REQUEST, sidegate_str(name), &value) == SIDEGATE_OK;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    const guard *self = (const guard *)filter;
    sidegate_slice values[4];
    uint64_t count = 0, i;
    if (has(self, hook->stream, "x-terminate")) return SIDEGATE_STATUS_TERMINATE;
    if (has(self, hook->stream, "x-fault")) {
        self->host->fault(hook->stream, sidegate_str("asked for a fault"));
        return SIDEGATE_STATUS_FAULT;
    }
    if (self->host->header_get_all(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("User"), values, 4, &count) !=
        SIDEGATE_OK)
        return SIDEGATE_STATUS_FAULT;
    for (i = 0; i < count && i < 4; i++)
        if (sidegate_slice_eq(values[i], sidegate_str(self->user))) return SIDEGATE_STATUS_CONTINUE;
    return sidegate_reply_text(self->host, hook->stream, 403, "forbidden\n");
}

static void destroy_filter(void *filter) SIDEGATE_NOEXCEPT { (void)filter; }

static uint32_t create_filter(void *factory, uint32_t worker, void *worker_state, void **filter) SIDEGATE_NOEXCEPT {
    (void)worker;
    (void)worker_state;
    *filter = factory;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {sizeof(factory_table), free, create_filter, NULL, NULL, NULL,
                                                        NULL};
static const sidegate_filter_table_v1 filter_table = {
    sizeof(filter_table), destroy_filter, on_request_headers, NULL, NULL, NULL, NULL, NULL, NULL, NULL};

/* The value of the configuration's only key, if it is `user`. */
static int read_user(sidegate_slice config, char *user, size_t room) {
    static const char start[] = "{\"user\":\"";
    const size_t skip = sizeof start - 1;
    size_t len;
    if (config.len < skip + 2 || memcmp(config.ptr, start, skip) != 0) return 0;
    len = (size_t)config.len - skip - 2;
    if (len >= room || memcmp(config.ptr + skip + len, "\"}", 2) != 0) return 0;
    memcpy(user, config.ptr + skip, len);
    user[len] = 0;
    return 1;
}

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) SIDEGATE_NOEXCEPT {
    guard *self;
    if (!sidegate_host_ok(args->host)) return sidegate_error(args->error, NULL, "this host is too old");
    if (!sidegate_slice_eq(args->filter_name, sidegate_str("guard"))) {
        sidegate_error(args->error, NULL, "expected filter `guard`");
        return SIDEGATE_NOT_FOUND;
    }
    self = (guard *)calloc(1, sizeof *self);
    if (!self) return sidegate_error(args->error, NULL, "out of memory");
    if (!read_user(args->config, self->user, sizeof self->user)) {
        free(self);
        return sidegate_error(args->error, "user", "expected a name");
    }
    self->host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->factory = self;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
