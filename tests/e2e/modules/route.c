/* Shows the origin what a route's own settings say: sets x-route to the
 * `per_filter_config` of the route, a string, once the route is known. */
#include <stdlib.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("route", "1.0.0")

static const sidegate_host_v1 *host;

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) {
    const char *setting = host->route_config(hook->stream);
    (void)filter;
    if (setting) host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-route"), sidegate_str(setting));
    return SIDEGATE_STATUS_CONTINUE;
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
    return SIDEGATE_OK;
}

static void destroy_route(void *factory, void *object) {
    (void)factory;
    free(object);
}

static void keep(void *object) { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state, (void)filter;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {.size = sizeof factory_table,
                                                        .destroy = keep,
                                                        .create_filter = create_filter,
                                                        .create_route_config = create_route,
                                                        .destroy_route_config = destroy_route};
static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table, .destroy = keep, .on_request_headers = on_request_headers};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_AFTER_ROUTE;
    return SIDEGATE_OK;
}
