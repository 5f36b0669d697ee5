/*
 * A guard that does not look at what its reply is answered; see `refuse` of the
 * Rust module `probe`.
 */
#include "sidegate.h"

static int asked(sidegate_stream *stream, const char *name, const char *what) {
    sidegate_slice value;
    return sidegate_host->header_get(stream, SIDEGATE_MAP_REQUEST, sidegate_str(name), &value) == SIDEGATE_OK &&
           sidegate_slice_eq(value, sidegate_str(what));
}

static uint32_t act(sidegate_stream *stream, const char *hook) {
    sidegate_slice asked_for = {NULL, 0};
    sidegate_header field = {sidegate_str("x-ok"), sidegate_str("1")};
    sidegate_reply_v1 reply = {sizeof reply, 0, 0, &field, 1, {NULL, 0}};
    sidegate_resume *resume;
    uint64_t i = 0;
    if (!asked(stream, "x-in", hook)) return SIDEGATE_STATUS_CONTINUE;
    sidegate_host->header_get(stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-reply"), &asked_for);
    for (; i < asked_for.len && asked_for.ptr[i] != ' '; i++) reply.status = reply.status * 10 + (asked_for.ptr[i] - '0');
    if (i < asked_for.len) field.name = sidegate_bytes(asked_for.ptr + i + 1, asked_for.len - i - 1);
    reply.flags = asked(stream, "x-flags", "1");
    sidegate_host->reply(asked(stream, "x-stale", "1") ? (sidegate_stream *)1 : stream, &reply);
    if (asked(stream, "x-then", "stop")) return SIDEGATE_STATUS_STOP;
    if (asked(stream, "x-then", "pending")) {
        sidegate_host->resume_handle(stream, &resume);
        sidegate_host->resume(resume);
        sidegate_host->resume_release(resume);
        return SIDEGATE_STATUS_PENDING;
    }
    if (asked(stream, "x-then", "terminate")) return SIDEGATE_STATUS_TERMINATE;
    if (asked(stream, "x-then", "fault")) {
        sidegate_host->fault(stream, sidegate_str("on purpose"));
        return SIDEGATE_STATUS_FAULT;
    }
    if (asked(stream, "x-then", "unknown")) return 4711;
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t request(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    return act(hook->stream, "request");
}

static uint32_t response(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    return act(hook->stream, "response");
}

static uint32_t response_body(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    (void)filter;
    return act(hook->stream, "response-body");
}

SIDEGATE_FILTER(refuse, "refuse", SIDEGATE_ON_REQUEST_HEADERS(request, SIDEGATE_IN_BEFORE_ROUTE),
                SIDEGATE_ON_RESPONSE_HEADERS(response), SIDEGATE_ON_RESPONSE_BODY(response_body, SIDEGATE_BODY_OBSERVE))
SIDEGATE_MODULE("refuse", "1.0.0", refuse)
