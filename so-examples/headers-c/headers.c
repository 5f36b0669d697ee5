/*
 * Removes, sets and adds headers of requests and responses as configured; see
 * edits.h. Counts the messages it worked on in `headers_edited`.
 */
#include "sidegate.h"

#include "edits.h"

/* The same for every configuration of this module. */
static uint64_t edited;

static uint32_t one(sidegate_stream *stream, uint32_t map, const edit *item) {
    switch (item->kind) {
    case EDIT_REMOVE: return sidegate_host->header_remove(stream, map, item->name, NULL);
    case EDIT_SET: return sidegate_host->header_set(stream, map, item->name, item->value);
    default: return sidegate_host->header_add(stream, map, item->name, item->value);
    }
}

static uint32_t all(const sidegate_hook_v1 *hook, uint32_t map, const edits *list) {
    char why[160] = "the host refused to edit header ";
    size_t kind, i;
    for (kind = 0; kind < EDIT_KINDS; kind++) {
        for (i = 0; i < list->count; i++) {
            const edit *item = &list->items[i];
            if ((size_t)item->kind != kind || one(hook->stream, map, item) == SIDEGATE_OK) continue;
            /* A value that HTTP forbids, or a header that is the host's. */
            sidegate_append(why, sizeof why, item->name);
            sidegate_host->fault(hook->stream, sidegate_str(why));
            return SIDEGATE_STATUS_FAULT;
        }
    }
    if (list->count > 0) sidegate_host->metric_add(sidegate_self, edited, 1);
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    return all(hook, SIDEGATE_MAP_REQUEST, &((const config *)filter)->request);
}

static uint32_t on_response_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    return all(hook, SIDEGATE_MAP_RESPONSE, &((const config *)filter)->response);
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    uint32_t defined = sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "headers_edited", &edited);
    return defined != SIDEGATE_OK ? defined : config_parse(args->config, (config *)object, args->error);
}

static void release(void *object) SIDEGATE_NOEXCEPT { config_free((config *)object); }

SIDEGATE_FILTER(headers, "headers-c", SIDEGATE_CONFIG(config, configure, release),
                SIDEGATE_ON_REQUEST_HEADERS(on_request_headers, SIDEGATE_IN_BEFORE_ROUTE),
                SIDEGATE_ON_RESPONSE_HEADERS(on_response_headers))
SIDEGATE_MANIFEST(
    "{\"description\": \"Removes, sets and adds headers of requests and responses.\", \"licence\": "
    "\"Apache-2.0\", \"filters\": [{\"name\": \"headers-c\", \"hooks\": [\"request_headers\", "
    "\"response_headers\"], \"bodies\": {\"request\": \"none\", \"response\": \"none\"}, \"config\": "
    "{\"type\": \"object\", \"properties\": {\"request\": {\"type\": \"object\", \"description\": "
    "\"edits of request headers\", \"properties\": {\"remove\": {\"type\": \"array\", \"items\": "
    "{\"type\": \"string\"}, \"description\": \"names; all fields of these names go\"}, \"set\": "
    "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}, \"description\": "
    "\"replaces all fields of a name by one\"}, \"add\": {\"type\": \"object\", "
    "\"additionalProperties\": {\"type\": \"string\"}, \"description\": \"appends a field\"}}, "
    "\"additionalProperties\": false}, \"response\": {\"type\": \"object\", \"description\": \"edits of "
    "response headers\", \"properties\": {\"remove\": {\"type\": \"array\", \"items\": {\"type\": "
    "\"string\"}, \"description\": \"names; all fields of these names go\"}, \"set\": {\"type\": "
    "\"object\", \"additionalProperties\": {\"type\": \"string\"}, \"description\": \"replaces all "
    "fields of a name by one\"}, \"add\": {\"type\": \"object\", \"additionalProperties\": {\"type\": "
    "\"string\"}, \"description\": \"appends a field\"}}, \"additionalProperties\": false}}, "
    "\"additionalProperties\": false}}], \"metrics\": [{\"name\": \"headers_edited\", \"type\": "
    "\"counter\"}]}")
SIDEGATE_MODULE("headers-c", "1.0.0", headers)
