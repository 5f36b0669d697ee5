/*
 * What minor 1 of the ABI appended:
 *
 *   inject    appends to HTML and waives every other response body
 *   shows     puts the target as it was sent into x-original
 *   logs      logs who answered, at the end
 *   nothing   wants no hook at all
 *   peer      shows who a client of TLS is as x-peer-...
 */
#include <stdio.h>
#include "sidegate.h"

static int is_html(sidegate_stream *stream) {
    sidegate_slice type;
    return sidegate_host->header_get(stream, SIDEGATE_MAP_RESPONSE, sidegate_str("content-type"), &type) == SIDEGATE_OK &&
           type.len >= 9 && memcmp(type.ptr, "text/html", 9) == 0;
}

static uint32_t response(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    /* Nothing was declared of requests. */
    if (sidegate_waive_body(sidegate_host, hook->stream, SIDEGATE_BODY_REQUEST) != SIDEGATE_NOT_NOW ||
        sidegate_waive_body(sidegate_host, hook->stream, 7) != SIDEGATE_UNSUPPORTED)
        return SIDEGATE_STATUS_FAULT;
    if (is_html(hook->stream)) return SIDEGATE_STATUS_CONTINUE;
    return sidegate_waive_body(sidegate_host, hook->stream, SIDEGATE_BODY_RESPONSE) == SIDEGATE_OK
               ? SIDEGATE_STATUS_CONTINUE
               : SIDEGATE_STATUS_FAULT;
}

static uint32_t response_body(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    if (!is_html(hook->stream)) return SIDEGATE_STATUS_FAULT;
    if (hook->flags & SIDEGATE_HOOK_BODY_END)
        sidegate_host->body_append(hook->stream, SIDEGATE_BODY_RESPONSE, sidegate_str("<!-- injected -->"));
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t show(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    sidegate_slice sent;
    (void)filter;
    if (sidegate_host->variable_get(hook->stream, SIDEGATE_VAR_ORIGINAL_TARGET, &sent) != SIDEGATE_OK ||
        sidegate_host->variable_set(hook->stream, SIDEGATE_VAR_ORIGINAL_TARGET, sidegate_str("/x")) != SIDEGATE_NOT_NOW)
        return SIDEGATE_STATUS_FAULT;
    sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-original"), sent);
    return SIDEGATE_STATUS_CONTINUE;
}

static void complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *how) SIDEGATE_NOEXCEPT {
    sidegate_slice name = sidegate_str("nobody"), module = sidegate_str("none");
    char line[200];
    (void)filter, (void)how;
    sidegate_host->variable_get(hook->stream, SIDEGATE_VAR_REPLY_FILTER, &name);
    sidegate_host->variable_get(hook->stream, SIDEGATE_VAR_REPLY_MODULE, &module);
    snprintf(line, sizeof line, "answered by %.*s of %.*s", (int)name.len, (const char *)name.ptr, (int)module.len,
             (const char *)module.ptr);
    SIDEGATE_LOG(SIDEGATE_LOG_INFO, line);
}

static uint32_t peer(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    static const struct {
        const char *name;
        uint32_t variable;
    } shown[] = {
        {"x-peer-verified", SIDEGATE_VAR_TLS_PEER_VERIFIED}, {"x-peer-subject", SIDEGATE_VAR_TLS_PEER_SUBJECT},
        {"x-peer-uri", SIDEGATE_VAR_TLS_PEER_URI_SAN},       {"x-peer-spiffe", SIDEGATE_VAR_TLS_PEER_SPIFFE_ID},
        {"x-peer-serial", SIDEGATE_VAR_TLS_PEER_SERIAL},     {"x-peer-version", SIDEGATE_VAR_TLS_VERSION},
    };
    size_t i;
    uint32_t variable;
    (void)filter;
    for (i = 0; i < sizeof shown / sizeof *shown; i++) {
        sidegate_slice value = sidegate_str("-");
        uint32_t got = sidegate_host->variable_get(hook->stream, shown[i].variable, &value);
        if (got != SIDEGATE_OK && got != SIDEGATE_NOT_FOUND) return SIDEGATE_STATUS_FAULT;
        if (sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str(shown[i].name), value) != SIDEGATE_OK)
            return SIDEGATE_STATUS_FAULT;
    }
    /* All of them are known, text, and for the host alone to say. */
    for (variable = SIDEGATE_VAR_TLS_PEER_VERIFIED; variable <= SIDEGATE_VAR_TLS_CIPHER; variable++) {
        sidegate_slice value;
        uint64_t number;
        uint32_t got = sidegate_host->variable_get(hook->stream, variable, &value);
        if (got != SIDEGATE_OK && got != SIDEGATE_NOT_FOUND) return SIDEGATE_STATUS_FAULT;
        if (sidegate_host->variable_get_u64(hook->stream, variable, &number) != SIDEGATE_UNSUPPORTED ||
            sidegate_host->variable_set(hook->stream, variable, sidegate_str("x")) != SIDEGATE_NOT_NOW)
            return SIDEGATE_STATUS_FAULT;
    }
    return SIDEGATE_STATUS_CONTINUE;
}

SIDEGATE_FILTER(inject, "inject", SIDEGATE_ON_RESPONSE_HEADERS(response),
                SIDEGATE_ON_RESPONSE_BODY(response_body, SIDEGATE_BODY_WHOLE))
SIDEGATE_FILTER(shows, "shows", SIDEGATE_ON_REQUEST_HEADERS(show, SIDEGATE_IN_BEFORE_ROUTE))
SIDEGATE_FILTER(logs, "logs", SIDEGATE_ON_COMPLETE(complete))
SIDEGATE_FILTER(nothing, "nothing", SIDEGATE_ON_RESUME(show))
SIDEGATE_FILTER(peer_, "peer", SIDEGATE_ON_REQUEST_HEADERS(peer, SIDEGATE_IN_BEFORE_ROUTE))
SIDEGATE_MODULE("minor1", "1.0.0", inject, shows, logs, nothing, peer_)
