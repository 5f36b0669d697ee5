/* Gives up the route's hosts once an attempt has failed: when a host is chosen
 * a second time, x-elsewhere is set and the route is matched again. With a
 * configuration the request's body is held meanwhile, and passes. */
#include <stdlib.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("elsewhere", "1.0.0")

#define S(text) sidegate_str(text)

static const sidegate_host_v1 *host;

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) {
    unsigned *chosen = filter;
    if (++*chosen != 2) return SIDEGATE_STATUS_CONTINUE;
    host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, S("x-elsewhere"), S("1"));
    return SIDEGATE_STATUS_REMATCH_ROUTE;
}

static uint32_t on_request_body(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter, (void)hook;
    return SIDEGATE_STATUS_CONTINUE;
}

static void keep(void *object) { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state;
    *filter = calloc(1, sizeof(unsigned));
    return *filter ? SIDEGATE_OK : SIDEGATE_LIMIT;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = keep, .create_filter = create_filter};
static const sidegate_filter_table_v1 filter_table = {.size = sizeof filter_table,
                                                      .destroy = free,
                                                      .on_request_headers = on_request_headers,
                                                      .on_request_body = on_request_body};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_AFTER_CHOOSE_HOST;
    if (args->config.len > 2) result->interests.request_body = SIDEGATE_BODY_WHOLE;
    return SIDEGATE_OK;
}
