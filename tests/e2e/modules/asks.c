/*
 * Asks the plugin `one`, and sometimes `two`, as the header x-how says, and
 * tells in x-came what came of it:
 *
 *   one       one call, and its answer
 *   twice     its answer read twice
 *   two       two calls at once, by x-do-1 and x-do-2, told as they come
 *   later     begun with the request, read with the response
 *   cancel    one given up, one answered
 *   forget    begun and never asked for
 *   many      as many as are taken, and what is said then
 *   odd       arguments that are refused
 *   short     a bound that is shorter than the configuration's
 *   big       3 MiB in the call; 65 MiB are too many
 *   body      the request's body goes to the plugin, what it answers upstream
 *   sleep     pending without an end of a call being read
 *   fault     begun, and then a fault
 *
 * Without x-how the path says it. x-do is what the plugin does. The end of a stream tells in the log what calls
 * are answered then.
 */
#include <stdio.h>
#include "sidegate.h"

struct asks {
    char how[16];
    char came[512];
    uint64_t calls[2];
    int left;
};

static void came(struct asks *asks, const char *format, int64_t first, int64_t second) {
    size_t at = strlen(asks->came);
    snprintf(asks->came + at, sizeof asks->came - at, format, (int)first, (int)second);
}

static sidegate_slice field(sidegate_stream *stream, const char *name) {
    sidegate_slice value = sidegate_str("");
    sidegate_host->header_get(stream, SIDEGATE_MAP_REQUEST, sidegate_str(name), &value);
    return value;
}

static int is(const struct asks *asks, const char *how) { return strcmp(asks->how, how) == 0; }

/* A call of a plugin, which does what the header `deeds` says. */
static sidegate_plugin_call_v1 call_of(sidegate_stream *stream, const char *plugin, const char *deeds,
                                       sidegate_header *header) {
    sidegate_plugin_call_v1 call;
    header->name = sidegate_str("X-Do");
    header->value = field(stream, deeds);
    memset(&call, 0, sizeof call);
    call.size = sizeof call;
    call.plugin = sidegate_str(plugin);
    call.kind = sidegate_str("ask");
    call.headers = header;
    call.headers_len = 1;
    return call;
}

static uint32_t begin(struct asks *asks, sidegate_stream *stream, const char *plugin, const char *deeds) {
    sidegate_header header;
    const sidegate_plugin_call_v1 call = call_of(stream, plugin, deeds, &header);
    return sidegate_call_plugin(sidegate_host, stream, &call, &asks->calls[asks->left++]);
}

/* Takes the answer of a call if it is there. */
static uint32_t take(struct asks *asks, sidegate_stream *stream, int which) {
    sidegate_plugin_answer_v1 answer;
    uint32_t found;
    uint64_t i;
    memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    found = sidegate_host->plugin_answer(stream, asks->calls[which], &answer);
    if (found == SIDEGATE_NOT_NOW) return found;
    if (found != SIDEGATE_OK) {
        came(asks, "refused %d;", found, 0);
        return found;
    }
    asks->left--;
    came(asks, is(asks, "two") ? "call %d:" : "", which + 1, 0);
    if (answer.outcome == SIDEGATE_PLUGIN_ANSWERED) came(asks, "status %d;", answer.status, 0);
    else came(asks, answer.message.len > 0 ? "outcome %d;" : "no message of %d;", answer.outcome, 0);
    for (i = 0; i < answer.headers_len; i++)
        sidegate_host->header_set(stream, SIDEGATE_MAP_REQUEST, answer.headers[i].name, answer.headers[i].value);
    if (is(asks, "body") && answer.outcome == SIDEGATE_PLUGIN_ANSWERED)
        sidegate_host->body_replace(stream, SIDEGATE_BODY_REQUEST, &answer.body, 1);
    return SIDEGATE_OK;
}

static uint32_t go_on(struct asks *asks, sidegate_stream *stream, uint32_t map) {
    sidegate_host->header_set(stream, map, sidegate_str("x-came"), sidegate_str(asks->came));
    return SIDEGATE_STATUS_CONTINUE;
}

static void many(struct asks *asks, sidegate_stream *stream) {
    sidegate_header header;
    const sidegate_plugin_call_v1 call = call_of(stream, "one", "x-do", &header);
    uint64_t id, last = 0;
    uint32_t said;
    while ((said = sidegate_call_plugin(sidegate_host, stream, &call, &id)) == SIDEGATE_OK && last < 100) last = id;
    came(asks, "%d calls, then %d;", (int64_t)last, said);
}

static void odd(struct asks *asks, sidegate_stream *stream) {
    static const uint8_t no_text[] = {0xff};
    sidegate_plugin_answer_v1 answer;
    sidegate_header header;
    sidegate_plugin_call_v1 call = call_of(stream, "nobody", "x-do", &header);
    uint64_t id = 0;
    came(asks, "%d,", sidegate_call_plugin(sidegate_host, stream, &call, &id), 0);
    call.plugin = sidegate_str("one");
    call.kind = sidegate_bytes(no_text, 1);
    came(asks, "%d,", sidegate_call_plugin(sidegate_host, stream, &call, &id), 0);
    call.kind = sidegate_str("");
    header.name = sidegate_bytes(no_text, 1);
    came(asks, "%d,", sidegate_call_plugin(sidegate_host, stream, &call, &id), 0);
    call.headers = NULL;
    came(asks, "%d,", sidegate_call_plugin(sidegate_host, stream, &call, &id), 0);
    call.headers_len = 0;
    call.size = 8;
    came(asks, "%d,%d;", sidegate_call_plugin(sidegate_host, stream, &call, &id),
         sidegate_host->plugin_call(stream, NULL, &id));
    call.size = sizeof call;
    came(asks, "%d,%d;", sidegate_host->plugin_call(stream, &call, NULL), sidegate_host->plugin_call(NULL, &call, &id));
    answer.size = sizeof answer;
    came(asks, "%d,%d,", sidegate_host->plugin_answer(stream, 0, &answer),
         sidegate_host->plugin_answer(stream, 1, &answer));
    came(asks, "%d,%d;", sidegate_host->plugin_answer(stream, 1, NULL), sidegate_host->plugin_cancel(stream, 1));
}

static uint32_t big(struct asks *asks, sidegate_stream *stream) {
    const size_t fits = 3 << 20, too_many = 65 << 20;
    uint8_t *bytes = (uint8_t *)calloc(too_many, 1);
    sidegate_header header;
    sidegate_plugin_call_v1 call = call_of(stream, "one", "x-do", &header);
    uint64_t id;
    if (!bytes) return SIDEGATE_STATUS_FAULT;
    call.body = sidegate_bytes(bytes, too_many);
    came(asks, "%d;", sidegate_call_plugin(sidegate_host, stream, &call, &id), 0);
    call.body.len = fits;
    asks->left = 1;
    came(asks, "%d;", sidegate_call_plugin(sidegate_host, stream, &call, &asks->calls[0]), 0);
    free(bytes);
    return SIDEGATE_STATUS_PENDING;
}

static uint32_t request(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    struct asks *asks = (struct asks *)filter;
    sidegate_slice how = field(hook->stream, "x-how");
    uint32_t said = SIDEGATE_OK;
    if (how.len == 0 && sidegate_host->variable_get(hook->stream, SIDEGATE_VAR_PATH, &how) == SIDEGATE_OK)
        how = sidegate_bytes(how.ptr + 1, how.len - 1);
    snprintf(asks->how, sizeof asks->how, "%.*s", (int)how.len, how.ptr ? (const char *)how.ptr : "");
    if (is(asks, "") || is(asks, "body")) return SIDEGATE_STATUS_CONTINUE;
    if (is(asks, "big")) return big(asks, hook->stream);
    if (is(asks, "many") || is(asks, "odd")) {
        (is(asks, "many") ? many : odd)(asks, hook->stream);
        return go_on(asks, hook->stream, SIDEGATE_MAP_REQUEST);
    }
    if (is(asks, "short")) {
        sidegate_header header;
        sidegate_plugin_call_v1 call = call_of(hook->stream, "one", "x-do", &header);
        call.timeout_ns = UINT64_C(50000000);
        asks->left = 1;
        return sidegate_call_plugin(sidegate_host, hook->stream, &call, &asks->calls[0]) == SIDEGATE_OK
                   ? SIDEGATE_STATUS_PENDING
                   : SIDEGATE_STATUS_FAULT;
    }
    said = begin(asks, hook->stream, "one", is(asks, "two") || is(asks, "cancel") ? "x-do-1" : "x-do");
    if (said == SIDEGATE_OK && (is(asks, "two") || is(asks, "cancel")))
        said = begin(asks, hook->stream, "two", "x-do-2");
    if (said != SIDEGATE_OK) {
        came(asks, "refused %d;", said, 0);
        return go_on(asks, hook->stream, SIDEGATE_MAP_REQUEST);
    }
    if (is(asks, "fault")) return SIDEGATE_STATUS_FAULT;
    if (is(asks, "forget") || is(asks, "later")) return SIDEGATE_STATUS_CONTINUE;
    if (is(asks, "cancel")) {
        came(asks, "%d,", sidegate_host->plugin_cancel(hook->stream, asks->calls[0]), 0);
        came(asks, "%d;", sidegate_host->plugin_cancel(hook->stream, asks->calls[0]), 0);
        asks->calls[0] = asks->calls[1];
        asks->left = 1;
    }
    return SIDEGATE_STATUS_PENDING;
}

static uint32_t request_body(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    struct asks *asks = (struct asks *)filter;
    sidegate_header header;
    sidegate_plugin_call_v1 call;
    sidegate_slice pieces[64];
    uint64_t count = 0;
    if (!is(asks, "body")) return SIDEGATE_STATUS_CONTINUE;
    call = call_of(hook->stream, "one", "x-do", &header);
    if (sidegate_host->body_read(hook->stream, SIDEGATE_BODY_REQUEST, pieces, 64, &count) != SIDEGATE_OK || count > 1)
        return SIDEGATE_STATUS_FAULT;
    if (count == 1) call.body = pieces[0];
    asks->left = 1;
    return sidegate_call_plugin(sidegate_host, hook->stream, &call, &asks->calls[0]) == SIDEGATE_OK
               ? SIDEGATE_STATUS_PENDING
               : SIDEGATE_STATUS_FAULT;
}

static uint32_t resumed(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    struct asks *asks = (struct asks *)filter;
    const int calls = is(asks, "two") ? 2 : 1;
    int which;
    if (is(asks, "sleep")) return SIDEGATE_STATUS_PENDING;
    for (which = 0; which < calls; which++) {
        if (asks->calls[which] == 0 || take(asks, hook->stream, which) == SIDEGATE_NOT_NOW) continue;
        if (is(asks, "twice")) take(asks, hook->stream, which);
        asks->calls[which] = 0;
    }
    if (asks->left > 0) return SIDEGATE_STATUS_PENDING;
    return go_on(asks, hook->stream, is(asks, "later") ? SIDEGATE_MAP_RESPONSE : SIDEGATE_MAP_REQUEST);
}

static uint32_t response(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    struct asks *asks = (struct asks *)filter;
    return is(asks, "later") ? resumed(filter, hook) : SIDEGATE_STATUS_CONTINUE;
}

static void complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *how) SIDEGATE_NOEXCEPT {
    struct asks *asks = (struct asks *)filter;
    char line[80];
    (void)how;
    if (!is(asks, "odd")) return;
    snprintf(line, sizeof line, "a call at the end is answered %u", (unsigned)begin(asks, hook->stream, "one", "x-do"));
    SIDEGATE_LOG(SIDEGATE_LOG_INFO, line);
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    (void)object;
    if (sidegate_has_plugin(args, sidegate_str("one")) != SIDEGATE_OK ||
        sidegate_has_plugin(args, sidegate_str("nobody")) != SIDEGATE_NOT_FOUND)
        return sidegate_error(args->error, "", "expected a plugin `one` in so_config.plugins");
    return SIDEGATE_OK;
}

static uint32_t made(void *object, void *config, void *worker) SIDEGATE_NOEXCEPT {
    (void)object, (void)config, (void)worker;
    return SIDEGATE_OK;
}

SIDEGATE_FILTER(asks, "asks", SIDEGATE_CONFIG(int, configure, NULL), SIDEGATE_STREAM(struct asks, made, NULL),
                SIDEGATE_ON_REQUEST_HEADERS(request, SIDEGATE_IN_BEFORE_ROUTE),
                SIDEGATE_ON_REQUEST_BODY(request_body, SIDEGATE_BODY_WHOLE), SIDEGATE_ON_RESPONSE_HEADERS(response),
                SIDEGATE_ON_RESUME(resumed), SIDEGATE_ON_COMPLETE(complete))
SIDEGATE_MODULE("asks", "1.0.0", asks)
