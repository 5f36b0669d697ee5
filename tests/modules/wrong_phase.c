/* Calls functions where they have no place, in every hook and after it, and
 * compares what the host answers. What differs is logged with its line and
 * counted in `wrong`; `checked` counts all. Nothing of a stream is changed for
 * good: requests pass with x-phases: seen. */
#include "sidegate.h"

#define S(text) sidegate_str(text)
#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define IS(call, wanted)                                                                       \
    do {                                                                                       \
        sidegate_host->metric_add(sidegate_self, checked, 1);                                  \
        if ((call) != (wanted)) {                                                              \
            sidegate_host->metric_add(sidegate_self, wrong, 1);                                \
            SIDEGATE_LOG(SIDEGATE_LOG_ERROR, "line " TEXT(__LINE__) ": " #call " is not " #wanted); \
        }                                                                                      \
    } while (0)

enum { OK = SIDEGATE_OK, NOT_NOW = SIDEGATE_NOT_NOW, NOT_FOUND = SIDEGATE_NOT_FOUND };
enum { REQUEST, REQUEST_TRAILERS, RESPONSE, RESPONSE_TRAILERS };

static uint64_t wrong, checked;

struct stream {
    /* The stream as a hook knew it. */
    sidegate_stream *kept;
};

static uint32_t set(sidegate_stream *stream, uint32_t map) {
    return sidegate_host->header_set(stream, map, S("x-wrong"), S("1"));
}

static uint32_t get(sidegate_stream *stream, uint32_t map) {
    sidegate_slice value;
    return sidegate_host->header_get(stream, map, S("x-nobody-has-this"), &value);
}

static uint32_t reply(sidegate_stream *stream) {
    sidegate_reply_v1 made = {sizeof made, 200, 0, NULL, 0, {NULL, 0}};
    return sidegate_host->reply(stream, &made);
}

/* None of a body's functions has a place here. */
static void no_body(sidegate_stream *stream, uint32_t direction) {
    const sidegate_host_v1 *host = sidegate_host;
    sidegate_slice slice = S("x");
    uint64_t number;
    IS(host->body_len(stream, direction, &number), NOT_NOW);
    IS(host->body_read(stream, direction, &slice, 1, &number), NOT_NOW);
    slice = S("x");
    IS(host->body_replace(stream, direction, &slice, 1), NOT_NOW);
    IS(host->body_append(stream, direction, slice), NOT_NOW);
    IS(host->body_drain(stream, direction, 1, &number), NOT_NOW);
}

/* What never can be set. */
static void no_setting(sidegate_stream *stream) {
    static const uint32_t fixed[] = {
        SIDEGATE_VAR_SCHEME, SIDEGATE_VAR_PROTOCOL, SIDEGATE_VAR_DOWNSTREAM_REMOTE_ADDRESS,
        SIDEGATE_VAR_LISTENER_NAME, SIDEGATE_VAR_ROUTE_NAME, SIDEGATE_VAR_CLUSTER_NAME, SIDEGATE_VAR_UPSTREAM_HOST,
        SIDEGATE_VAR_REQUEST_ID, SIDEGATE_VAR_BYTES_SENT, SIDEGATE_VAR_RESPONSE_FLAGS, SIDEGATE_VAR_RESPONSE_DETAILS,
    };
    size_t i;
    for (i = 0; i < sizeof fixed / sizeof *fixed; i++)
        IS(sidegate_host->variable_set(stream, fixed[i], S("http")), NOT_NOW);
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) {
    sidegate_stream *stream = hook->stream;
    sidegate_slice text;
    uint64_t number;
    if (((struct stream *)filter)->kept) IS(get(((struct stream *)filter)->kept, REQUEST), SIDEGATE_GONE);
    ((struct stream *)filter)->kept = stream;
    IS(get(stream, RESPONSE), NOT_FOUND);
    IS(get(stream, REQUEST_TRAILERS), NOT_FOUND);
    IS(set(stream, RESPONSE), NOT_NOW);
    IS(set(stream, RESPONSE_TRAILERS), NOT_NOW);
    IS(sidegate_host->variable_get_u64(stream, SIDEGATE_VAR_STATUS, &number), NOT_FOUND);
    IS(sidegate_host->variable_set(stream, SIDEGATE_VAR_STATUS, S("200")), NOT_NOW);
    no_body(stream, SIDEGATE_BODY_REQUEST);
    no_body(stream, SIDEGATE_BODY_RESPONSE);
    no_setting(stream);
    IS(sidegate_host->variable_get(stream, SIDEGATE_VAR_ROUTE_NAME, &text),
       hook->phase == SIDEGATE_PHASE_BEFORE_ROUTE ? NOT_FOUND : OK);
    IS(sidegate_host->variable_get(stream, SIDEGATE_VAR_UPSTREAM_HOST, &text),
       hook->phase == SIDEGATE_PHASE_AFTER_CHOOSE_HOST ? OK : NOT_FOUND);
    IS(sidegate_host->route_config(stream) == NULL, 1);
    IS(sidegate_host->header_set(stream, REQUEST, S("x-phases"), S("seen")), OK);
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_request_body(void *filter, const sidegate_hook_v1 *hook) {
    sidegate_slice text = S("x");
    uint64_t number;
    (void)filter;
    no_body(hook->stream, SIDEGATE_BODY_RESPONSE);
    /* The interest is to observe only. */
    IS(sidegate_host->body_len(hook->stream, SIDEGATE_BODY_REQUEST, &number), OK);
    IS(sidegate_host->body_replace(hook->stream, SIDEGATE_BODY_REQUEST, &text, 1), NOT_NOW);
    IS(sidegate_host->body_append(hook->stream, SIDEGATE_BODY_REQUEST, text), NOT_NOW);
    IS(sidegate_host->body_drain(hook->stream, SIDEGATE_BODY_REQUEST, 1, NULL), NOT_NOW);
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_response_headers(void *filter, const sidegate_hook_v1 *hook) {
    sidegate_stream *stream = hook->stream;
    uint64_t number;
    IS(get(((struct stream *)filter)->kept, REQUEST), SIDEGATE_GONE);
    IS(get(stream, REQUEST), NOT_FOUND);
    IS(set(stream, REQUEST), NOT_NOW);
    IS(sidegate_host->header_add(stream, REQUEST, S("x-wrong"), S("1")), NOT_NOW);
    IS(sidegate_host->header_remove(stream, REQUEST, S("x-phases"), &number), NOT_NOW);
    IS(set(stream, REQUEST_TRAILERS), NOT_NOW);
    IS(sidegate_host->variable_set(stream, SIDEGATE_VAR_PATH, S("/")), NOT_NOW);
    IS(sidegate_host->variable_set(stream, SIDEGATE_VAR_AUTHORITY, S("a")), NOT_NOW);
    IS(sidegate_host->header_set(stream, REQUEST, S("host"), S("a")), NOT_NOW);
    no_setting(stream);
    no_body(stream, SIDEGATE_BODY_REQUEST);
    no_body(stream, SIDEGATE_BODY_RESPONSE);
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_response_body(void *filter, const sidegate_hook_v1 *hook) {
    uint64_t number;
    (void)filter;
    IS(set(hook->stream, RESPONSE), NOT_NOW);
    IS(sidegate_host->variable_set(hook->stream, SIDEGATE_VAR_STATUS, S("200")), NOT_NOW);
    IS(sidegate_host->body_len(hook->stream, SIDEGATE_BODY_RESPONSE, &number), OK);
    no_body(hook->stream, SIDEGATE_BODY_REQUEST);
    return SIDEGATE_STATUS_CONTINUE;
}

static void on_complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *completion) {
    sidegate_resume *handle;
    (void)completion;
    IS(set(hook->stream, REQUEST), NOT_NOW);
    IS(set(hook->stream, RESPONSE), NOT_NOW);
    IS(set(hook->stream, REQUEST_TRAILERS), NOT_NOW);
    IS(set(hook->stream, RESPONSE_TRAILERS), NOT_NOW);
    IS(reply(hook->stream), NOT_NOW);
    IS(sidegate_host->variable_set(hook->stream, SIDEGATE_VAR_STATUS, S("200")), NOT_NOW);
    no_body(hook->stream, SIDEGATE_BODY_REQUEST);
    no_body(hook->stream, SIDEGATE_BODY_RESPONSE);
    /* There is nothing left to wait for. */
    IS(sidegate_host->resume_handle(hook->stream, &handle), SIDEGATE_GONE);
    ((struct stream *)filter)->kept = hook->stream;
}

static void end(void *filter) {
    const struct stream *self = filter;
    IS(get(self->kept, REQUEST), SIDEGATE_GONE);
    IS(set(self->kept, REQUEST), SIDEGATE_GONE);
    IS(reply(self->kept), SIDEGATE_GONE);
    IS(sidegate_host->fault(self->kept, S("late")), SIDEGATE_GONE);
    IS(sidegate_host->route_config(self->kept) == NULL, 1);
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) {
    uint32_t refused = sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "wrong", &wrong);
    (void)object;
    return refused ? refused : sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "checked", &checked);
}

SIDEGATE_FILTER(phases, "wrong-phase", SIDEGATE_CONFIG(char, configure, NULL), SIDEGATE_STREAM(struct stream, NULL, end),
                SIDEGATE_ON_REQUEST_HEADERS(on_request_headers, SIDEGATE_IN_BEFORE_ROUTE | SIDEGATE_IN_AFTER_ROUTE |
                                                                    SIDEGATE_IN_AFTER_CHOOSE_HOST),
                SIDEGATE_ON_REQUEST_BODY(on_request_body, SIDEGATE_BODY_OBSERVE),
                SIDEGATE_ON_RESPONSE_HEADERS(on_response_headers),
                SIDEGATE_ON_RESPONSE_BODY(on_response_body, SIDEGATE_BODY_OBSERVE), SIDEGATE_ON_COMPLETE(on_complete))
SIDEGATE_MODULE("wrong-phase", "1.0.0", phases)
