/* Works on bodies. The filter's name says how:
 *
 *   whole      turns letters of the whole request and response body into
 *              capitals and appends "!" to each
 *   stream     does the same chunk by chunk; the "!" comes with the last one
 *   observe    counts bytes in the counters `observed_request` and
 *              `observed_response`; tries to edit as well, which must be
 *              refused (else it faults)
 *   fault      faults in the request body's hook
 *   fault-late replaces the body by "changed", then faults
 *   reply      replies 422 with the body's length in the body
 */
#include <stdio.h>
#include <stdlib.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("body", "1.0.0")

#define S(text) sidegate_str(text)

static const sidegate_host_v1 *host;
static sidegate_module *self;
static uint64_t observed[2];

enum mode { WHOLE, STREAM, OBSERVE, FAULT, FAULT_LATE, REPLY };
static const char *const modes[] = {"whole", "stream", "observe", "fault", "fault-late", "reply"};

/* Replaces the body that this hook sees by capitals. */
static uint32_t capitals(const sidegate_hook_v1 *hook, uint32_t direction) {
    sidegate_slice lent[16], made;
    uint64_t count = 0, len = 0, i, j, at = 0;
    uint8_t *copy;
    if (host->body_len(hook->stream, direction, &len) != SIDEGATE_OK) return SIDEGATE_STATUS_FAULT;
    if (host->body_read(hook->stream, direction, lent, 16, &count) != SIDEGATE_OK || count > 16)
        return SIDEGATE_STATUS_FAULT;
    copy = malloc((size_t)len + 1);
    if (!copy) return SIDEGATE_STATUS_FAULT;
    for (i = 0; i < count; i++)
        for (j = 0; j < lent[i].len && at < len; j++) {
            uint8_t c = lent[i].ptr[j];
            copy[at++] = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
        }
    if (hook->flags & SIDEGATE_HOOK_END) copy[at++] = '!';
    made = sidegate_bytes(copy, (size_t)at);
    i = host->body_replace(hook->stream, direction, &made, 1);
    free(copy);
    if (i == SIDEGATE_OK) return SIDEGATE_STATUS_CONTINUE;
    host->fault(hook->stream, S("the host did not take the body"));
    return SIDEGATE_STATUS_FAULT;
}

static uint32_t observe(const sidegate_hook_v1 *hook, uint32_t direction) {
    uint64_t len = 0;
    if (host->body_len(hook->stream, direction, &len) != SIDEGATE_OK) return SIDEGATE_STATUS_FAULT;
    host->metric_add(self, observed[direction], (int64_t)len);
    if (host->body_append(hook->stream, direction, S("x")) == SIDEGATE_NOT_NOW) return SIDEGATE_STATUS_CONTINUE;
    host->fault(hook->stream, S("an observer could edit"));
    return SIDEGATE_STATUS_FAULT;
}

static uint32_t on_body(enum mode mode, const sidegate_hook_v1 *hook, uint32_t direction) {
    sidegate_slice changed = S("changed");
    char text[32];
    uint64_t len = 0;
    switch (mode) {
    case WHOLE:
    case STREAM: return capitals(hook, direction);
    case OBSERVE: return observe(hook, direction);
    case FAULT_LATE: host->body_replace(hook->stream, direction, &changed, 1); /* fall through */
    case FAULT: host->fault(hook->stream, S("asked for a fault in the body")); return SIDEGATE_STATUS_FAULT;
    case REPLY:
        host->body_len(hook->stream, direction, &len);
        snprintf(text, sizeof text, "%llu", (unsigned long long)len);
        return sidegate_reply_text(host, hook->stream, 422, text);
    }
    return SIDEGATE_STATUS_FAULT;
}

static uint32_t on_request_body(void *filter, const sidegate_hook_v1 *hook) {
    return on_body(*(enum mode *)filter, hook, SIDEGATE_BODY_REQUEST);
}

static uint32_t on_response_body(void *filter, const sidegate_hook_v1 *hook) {
    return on_body(*(enum mode *)filter, hook, SIDEGATE_BODY_RESPONSE);
}

static void keep(void *object) { (void)object; }

/* A filter has no state of its own: it is its factory's mode. */
static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)worker, (void)state;
    *filter = factory;
    return SIDEGATE_OK;
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = free, .create_filter = create_filter};
static const sidegate_filter_table_v1 filter_table = {.size = sizeof filter_table,
                                                      .destroy = keep,
                                                      .on_request_body = on_request_body,
                                                      .on_response_body = on_response_body};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    uint32_t interest;
    enum mode *mode;
    size_t i = 0;
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    self = args->module;
    while (!sidegate_slice_eq(args->filter_name, S(modes[i])))
        if (++i == sizeof modes / sizeof *modes) return SIDEGATE_NOT_FOUND;
    if (host->metric_define(self, SIDEGATE_METRIC_COUNTER, S("observed_request"), NULL, 0, &observed[0]) != SIDEGATE_OK ||
        host->metric_define(self, SIDEGATE_METRIC_COUNTER, S("observed_response"), NULL, 0, &observed[1]) != SIDEGATE_OK)
        return sidegate_error(args->error, NULL, "a counter was not defined");
    mode = malloc(sizeof *mode);
    if (!mode) return sidegate_error(args->error, NULL, "out of memory");
    *mode = (enum mode)i;
    interest = *mode == STREAM ? SIDEGATE_BODY_STREAM : *mode == OBSERVE ? SIDEGATE_BODY_OBSERVE : SIDEGATE_BODY_WHOLE;
    result->factory = mode;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.request_body = interest;
    if (*mode <= OBSERVE) result->interests.response_body = interest;
    return SIDEGATE_OK;
}
