/*
 * Lets a request through if it carries every configured header with the
 * configured value, and answers 403 otherwise. The configuration is an object
 * of strings: {"User": "admin"}. Names are compared without case, values
 * exactly; of several fields of one name all must match, since which of them
 * the upstream looks at is not known here.
 */
#include "sidegate.h"

#include "rules.h"

/* Whether there is a field of that name, and all have exactly that value. */
static int has_value(sidegate_stream *stream, const rule *required) {
    sidegate_slice few[8], *values = few;
    uint64_t count = 0, i;
    int matches;
    if (sidegate_host->header_get_all(stream, SIDEGATE_MAP_REQUEST, required->name, few, 8, &count) != SIDEGATE_OK)
        return 0;
    if (count > 8) {
        uint64_t capacity = count;
        values = (sidegate_slice *)calloc((size_t)capacity, sizeof *values);
        if (!values ||
            sidegate_host->header_get_all(stream, SIDEGATE_MAP_REQUEST, required->name, values, capacity, &count) !=
                SIDEGATE_OK ||
            count > capacity)
            count = 0;
    }
    matches = count > 0;
    for (i = 0; i < count && matches; i++) matches = sidegate_slice_eq(values[i], required->value);
    if (values != few) free(values);
    return matches;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    const rules *required = (const rules *)filter;
    size_t i;
    for (i = 0; i < required->count; i++)
        if (!has_value(hook->stream, &required->items[i]))
            return sidegate_reply_text(sidegate_host, hook->stream, 403, "forbidden\n");
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    return rules_parse(args->config, (rules *)object, args->error);
}

static void release(void *object) SIDEGATE_NOEXCEPT { rules_free((rules *)object); }

SIDEGATE_FILTER(auth, "auth-c", SIDEGATE_CONFIG(rules, configure, release),
                SIDEGATE_ON_REQUEST_HEADERS(on_request_headers, SIDEGATE_IN_BEFORE_ROUTE))
SIDEGATE_MANIFEST(
    "{\"description\": \"Lets a request through if it carries every configured header with the "
    "configured value, and answers 403 otherwise.\", \"licence\": \"Apache-2.0\", \"filters\": "
    "[{\"name\": \"auth-c\", \"hooks\": [\"request_headers\"], \"bodies\": {\"request\": \"none\", "
    "\"response\": \"none\"}, \"config\": {\"type\": \"object\", \"additionalProperties\": {\"type\": "
    "\"string\"}, \"description\": \"required value by header name\"}}]}")
SIDEGATE_MODULE("auth-c", "1.0.0", auth)
