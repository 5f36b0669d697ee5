/*
 * Filters `whole` and `stream`: turn the letters of bodies into capitals, both
 * ways, and append "!" to what no trailers follow; `whole` gets them in one piece,
 * `stream` chunk by chunk. Trailers of requests get x-checked: yes.
 */
#include <stdlib.h>

#include "sidegate.h"

static uint32_t capitals(const sidegate_hook_v1 *hook, uint32_t direction) {
    sidegate_slice lent[16], made;
    uint64_t count = 0, len = 0, at = 0, i, j;
    uint32_t result;
    uint8_t *copy;
    if (sidegate_host->body_len(hook->stream, direction, &len) != SIDEGATE_OK) return SIDEGATE_STATUS_FAULT;
    if (sidegate_host->body_read(hook->stream, direction, lent, 16, &count) != SIDEGATE_OK || count > 16)
        return SIDEGATE_STATUS_FAULT;
    copy = (uint8_t *)malloc((size_t)len + 1);
    if (!copy) return SIDEGATE_STATUS_FAULT;
    for (i = 0; i < count; i++)
        for (j = 0; j < lent[i].len && at < len; j++) {
            uint8_t c = lent[i].ptr[j];
            copy[at++] = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
        }
    made = sidegate_bytes(copy, (size_t)at);
    result = sidegate_host->body_replace(hook->stream, direction, &made, 1);
    free(copy);
    if (result == SIDEGATE_OK && (hook->flags & SIDEGATE_HOOK_END))
        result = sidegate_host->body_append(hook->stream, direction, sidegate_str("!"));
    if (result == SIDEGATE_OK) return SIDEGATE_STATUS_CONTINUE;
    sidegate_host->fault(hook->stream, sidegate_str("the host did not take the body"));
    return SIDEGATE_STATUS_FAULT;
}

static uint32_t on_request_body(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    return capitals(hook, SIDEGATE_BODY_REQUEST);
}

static uint32_t on_response_body(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    return capitals(hook, SIDEGATE_BODY_RESPONSE);
}

static uint32_t on_request_trailers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    if (sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST_TRAILERS, sidegate_str("x-checked"),
                                  sidegate_str("yes")) != SIDEGATE_OK)
        return SIDEGATE_STATUS_FAULT;
    return SIDEGATE_STATUS_CONTINUE;
}

SIDEGATE_FILTER(whole, "whole", SIDEGATE_ON_REQUEST_BODY(on_request_body, SIDEGATE_BODY_WHOLE),
                SIDEGATE_ON_REQUEST_TRAILERS(on_request_trailers),
                SIDEGATE_ON_RESPONSE_BODY(on_response_body, SIDEGATE_BODY_WHOLE))
SIDEGATE_FILTER(stream, "stream", SIDEGATE_ON_REQUEST_BODY(on_request_body, SIDEGATE_BODY_STREAM),
                SIDEGATE_ON_REQUEST_TRAILERS(on_request_trailers),
                SIDEGATE_ON_RESPONSE_BODY(on_response_body, SIDEGATE_BODY_STREAM))
SIDEGATE_MODULE("body", "1.0.0", whole, stream)
