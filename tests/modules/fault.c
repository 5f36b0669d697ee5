/* Does in its first request hook what the header `x-do` asks for; everything
 * else passes. Filter name: empty. Configuration: none.
 *
 *   fault       returns FAULT with the text "asked for a fault"
 *   badstatus   returns a number that is no status
 *   terminate   closes without a reply
 *   stop        stops without a reply
 *   reply       replies 418 with the body "short and stout" and x-module: fault
 *   badreply    tries replies that are not allowed; 418 "accepted: ..." if the
 *               host takes one, else continues: 500 by the host
 *   secondbest  tries them, then replies 203 with x-refused: <how many>
 *   pending     waits, and nobody resumes
 *   rematch     matches the route again, once, with x-rematched: 1 set
 *   rechoose    chooses the host again, once, with x-rechosen: 1 set
 *   loop        matches the route again for ever
 *
 * `x-do-response: fault|badstatus|terminate|reply` does the same in the
 * response head's hook. The response gets x-fault-module: seen.
 */
#include <stdio.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("fault", "1.0.0")

#define S(text) sidegate_str(text)

static const sidegate_host_v1 *host;

static int asked(sidegate_stream *stream, const char *header, const char *what) {
    sidegate_slice value;
    return host->header_get(stream, SIDEGATE_MAP_REQUEST, S(header), &value) == SIDEGATE_OK &&
           sidegate_slice_eq(value, S(what));
}

/* Whether this is the first time that `flag` is set on the request. */
static int first_time(sidegate_stream *stream, const char *flag) {
    sidegate_slice value;
    if (host->header_get(stream, SIDEGATE_MAP_REQUEST, S(flag), &value) == SIDEGATE_OK) return 0;
    return host->header_set(stream, SIDEGATE_MAP_REQUEST, S(flag), S("1")) == SIDEGATE_OK;
}

static uint32_t reply_with(sidegate_stream *stream, uint32_t status, const char *name, const char *value) {
    sidegate_header field = {S(name), S(value)};
    sidegate_reply_v1 reply = {sizeof reply, status, 0, &field, 1, S("short and stout")};
    return host->reply(stream, &reply);
}

static uint32_t bad_replies(sidegate_stream *stream, size_t *refused) {
    static const struct {
        uint32_t status;
        const char *name, *value;
    } bad[] = {
        {99, "x-a", "a"},   {101, "x-a", "a"}, {600, "x-a", "a"}, {1000, "x-a", "a"}, {403, "content-length", "3"},
        {403, "x-a", "a\r\nset-cookie: b"},    {403, "x-a", "a\nb"},   {403, "x a", "a"}, {403, "transfer-encoding", "chunked"},
    };
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++)
        if (reply_with(stream, bad[i].status, bad[i].name, bad[i].value) == SIDEGATE_OK)
            return sidegate_reply_text(host, stream, 418, bad[i].name);
    *refused = i;
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t second_best(sidegate_stream *stream) {
    char count[8];
    size_t refused = 0;
    bad_replies(stream, &refused);
    snprintf(count, sizeof count, "%zu", refused);
    return reply_with(stream, 203, "x-refused", count) == SIDEGATE_OK ? SIDEGATE_STATUS_STOP : SIDEGATE_STATUS_FAULT;
}

static uint32_t act(const sidegate_hook_v1 *hook, const char *header) {
    sidegate_stream *stream = hook->stream;
    if (asked(stream, header, "fault")) {
        host->fault(stream, S("asked for a fault"));
        return SIDEGATE_STATUS_FAULT;
    }
    if (asked(stream, header, "badstatus")) return 4711;
    if (asked(stream, header, "terminate")) return SIDEGATE_STATUS_TERMINATE;
    if (asked(stream, header, "stop")) return SIDEGATE_STATUS_STOP;
    if (asked(stream, header, "reply"))
        return reply_with(stream, 418, "x-module", "fault") == SIDEGATE_OK ? SIDEGATE_STATUS_STOP : SIDEGATE_STATUS_FAULT;
    if (asked(stream, header, "badreply")) return bad_replies(stream, &(size_t){0});
    if (asked(stream, header, "secondbest")) return second_best(stream);
    if (asked(stream, header, "pending")) return SIDEGATE_STATUS_PENDING;
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter;
    if (hook->phase == SIDEGATE_PHASE_BEFORE_ROUTE) return act(hook, "x-do");
    if (hook->phase == SIDEGATE_PHASE_AFTER_ROUTE) {
        if (asked(hook->stream, "x-do", "loop")) return SIDEGATE_STATUS_REMATCH_ROUTE;
        if (asked(hook->stream, "x-do", "rematch") && first_time(hook->stream, "x-rematched"))
            return SIDEGATE_STATUS_REMATCH_ROUTE;
    }
    if (hook->phase == SIDEGATE_PHASE_AFTER_CHOOSE_HOST && asked(hook->stream, "x-do", "rechoose") &&
        first_time(hook->stream, "x-rechosen"))
        return SIDEGATE_STATUS_RECHOOSE_HOST;
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_response_headers(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter;
    host->header_set(hook->stream, SIDEGATE_MAP_RESPONSE, S("x-fault-module"), S("seen"));
    return act(hook, "x-do-response");
}

static uint32_t on_resume(void *filter, const sidegate_hook_v1 *hook) {
    (void)filter, (void)hook;
    return SIDEGATE_STATUS_CONTINUE;
}

static void destroy(void *object) { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state, (void)filter;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = destroy, .create_filter = create_filter};
static const sidegate_filter_table_v1 filter_table = {.size = sizeof filter_table,
                                                      .destroy = destroy,
                                                      .on_request_headers = on_request_headers,
                                                      .on_response_headers = on_response_headers,
                                                      .on_resume = on_resume};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE | 1U << SIDEGATE_PHASE_AFTER_ROUTE |
                               1U << SIDEGATE_PHASE_AFTER_CHOOSE_HOST;
    result->interests.hooks = SIDEGATE_WANT_RESPONSE_HEADERS;
    return SIDEGATE_OK;
}
