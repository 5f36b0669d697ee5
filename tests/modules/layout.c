/* Carries type layouts that are none: ABI_STABLE is the version that its record
 * names, DIGEST the first byte of its digest. */
#include <stddef.h>
#include "sidegate.h"

#ifndef DIGEST
#define DIGEST 0
#endif

const sidegate_module_record_v1 sidegate_module_v1 = {
    {'S', 'I', 'D', 'E', 'G', 'A', 'T', 'E'},
    sizeof(sidegate_module_record_v1),
    SIDEGATE_ABI_MAJOR,
    SIDEGATE_ABI_MINOR,
    0,
    SIDEGATE_PANIC_NONE,
    0,
    "layout",
    "1.0.0",
    "sidegate.h",
    "1.0",
    "cc",
    ABI_STABLE,
    {DIGEST},
};

SIDEGATE_EXPORT const void *sidegate_layout_v1(void) { return NULL; }

static void destroy(void *object) { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state, (void)filter;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = destroy, .create_filter = create_filter};
static void on_complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *completion) {
    (void)filter, (void)hook, (void)completion;
}

static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table, .destroy = destroy, .on_complete = on_complete};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    (void)args;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.hooks = SIDEGATE_WANT_COMPLETE;
    return SIDEGATE_OK;
}
