/* Each generation stamps its number, which it was compiled with, on requests:
 * x-stamp for the origin. Refuses to be made if it was told to. */
#include "sidegate.h"

#ifndef STAMP
#define STAMP "0"
#endif

SIDEGATE_MODULE_RECORD("stamp", STAMP)

static const sidegate_host_v1 *host;

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter;
    host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-stamp"), sidegate_str(STAMP));
    return SIDEGATE_STATUS_CONTINUE;
}

static void keep(void *object) { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state, (void)filter;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = keep, .create_filter = create_filter};
static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table, .destroy = keep, .on_request_headers = on_request_headers};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
#ifdef REFUSE
    return SIDEGATE_FAILED;
#endif
    host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
