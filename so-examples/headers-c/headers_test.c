/* Runs headers.c's hooks with a fake host: see test.sh. */
#include <assert.h>
#include <stdio.h>

#include "headers.c"

/* The headers of one message, with what the host lets a module do to them. */
struct sidegate_stream {
    sidegate_header fields[16];
    size_t count;
    uint32_t map;
    char fault[160];
};

static uint64_t counted;

static uint32_t host_remove(sidegate_stream *stream, uint32_t map, sidegate_slice name, uint64_t *removed) {
    size_t i, kept = 0;
    assert(map == stream->map && !removed);
    for (i = 0; i < stream->count; i++)
        if (!sidegate_slice_eq_nocase(stream->fields[i].name, name)) stream->fields[kept++] = stream->fields[i];
    stream->count = kept;
    return SIDEGATE_OK;
}

static uint32_t host_add(sidegate_stream *stream, uint32_t map, sidegate_slice name, sidegate_slice value) {
    assert(map == stream->map);
    assert(stream->count < 16);
    stream->fields[stream->count].name = name;
    stream->fields[stream->count++].value = value;
    return SIDEGATE_OK;
}

static uint32_t host_set(sidegate_stream *stream, uint32_t map, sidegate_slice name, sidegate_slice value) {
    if (sidegate_slice_eq_nocase(name, sidegate_str("full"))) return SIDEGATE_LIMIT;
    host_remove(stream, map, name, NULL);
    return host_add(stream, map, name, value);
}

static uint32_t host_fault(sidegate_stream *stream, sidegate_slice message) {
    stream->fault[0] = 0;
    sidegate_append(stream->fault, sizeof stream->fault, message);
    return SIDEGATE_OK;
}

static uint32_t metric_define(sidegate_module *module, uint32_t kind, sidegate_slice name,
                              const sidegate_header *labels, uint64_t labels_len, uint64_t *metric) {
    (void)module;
    assert(kind == SIDEGATE_METRIC_COUNTER && !labels && labels_len == 0);
    assert(sidegate_slice_eq(name, sidegate_str("headers_edited")));
    *metric = 7;
    return SIDEGATE_OK;
}

static uint32_t metric_add(sidegate_module *module, uint64_t metric, int64_t delta) {
    (void)module;
    assert(metric == 7 && delta == 1);
    counted++;
    return SIDEGATE_OK;
}

static const sidegate_host_v1 fake_host = {
    .size = sizeof fake_host,
    .abi_major = SIDEGATE_ABI_MAJOR,
    .header_remove = host_remove,
    .header_set = host_set,
    .header_add = host_add,
    .metric_define = metric_define,
    .metric_add = metric_add,
    .fault = host_fault,
};

static char message[160], path[160];

static uint32_t create(const char *filter, const char *text, sidegate_create_result_v1 *result) {
    sidegate_error_out_v1 error = {sizeof error, (uint8_t *)message, sizeof message - 1, 0,
                                   (uint8_t *)path, sizeof path - 1, 0};
    sidegate_create_args_v1 args = {0};
    /* A copy of exactly that length: reading beyond it is caught. */
    size_t len = strlen(text);
    uint8_t *copy = (uint8_t *)malloc(len);
    uint32_t code;
    assert(copy);
    memcpy(copy, text, len);
    args.size = sizeof args;
    args.host = &fake_host;
    args.filter_name = sidegate_str(filter);
    args.config = sidegate_bytes(copy, len);
    args.error = &error;
    args.workers = 1;
    memset(result, 0, sizeof *result);
    result->size = sizeof *result;
    code = sidegate_create_filter_factory_v1(&args, result);
    message[error.message_len] = path[error.path_len] = 0;
    free(copy);
    return code;
}

static void refused(const char *text, const char *where, const char *why) {
    sidegate_create_result_v1 result;
    uint32_t code = create("", text, &result);
    if (code == SIDEGATE_FAILED && strcmp(path, where) == 0 && strcmp(message, why) == 0) return;
    fprintf(stderr, "%s: %u at `%s`: %s\n", text, code, path, message);
    exit(1);
}

/* Runs the hook of `map` on `stream` and returns its status. */
static uint32_t run(const char *text, uint32_t map, sidegate_stream *stream) {
    sidegate_create_result_v1 made;
    sidegate_hook_v1 hook = {sizeof hook, stream, NULL, SIDEGATE_PHASE_BEFORE_ROUTE, SIDEGATE_HOOK_END};
    void *filter = NULL;
    uint32_t status;
    if (create("headers-c", text, &made) != SIDEGATE_OK) {
        fprintf(stderr, "%s: refused at `%s`: %s\n", text, path, message);
        exit(1);
    }
    stream->map = map;
    assert(made.interests.phases == 1U << SIDEGATE_PHASE_BEFORE_ROUTE);
    assert(made.interests.hooks == SIDEGATE_WANT_RESPONSE_HEADERS);
    assert(made.factory_table->create_filter(made.factory, 0, NULL, &filter) == SIDEGATE_OK);
    status = map == SIDEGATE_MAP_REQUEST ? made.filter_table->on_request_headers(filter, &hook)
                                         : made.filter_table->on_response_headers(filter, &hook);
    made.filter_table->destroy(filter);
    /* What was set is in the factory's memory: compare it before it is freed. */
    if (map == SIDEGATE_MAP_REQUEST && status == SIDEGATE_STATUS_CONTINUE && stream->count == 4) {
        static const char *const wanted[] = {"keep", "1", "x-hop", "a", "x-team", "edge", "x-hop", "b"};
        size_t i;
        for (i = 0; i < 4; i++) {
            assert(sidegate_slice_eq(stream->fields[i].name, sidegate_str(wanted[2 * i])));
            assert(sidegate_slice_eq(stream->fields[i].value, sidegate_str(wanted[2 * i + 1])));
        }
        stream->map = UINT32_MAX;
    }
    made.factory_table->destroy(made.factory);
    return status;
}

static void edits_in_order(void) {
    const char *text = "{\"request\": {\"add\": {\"x-hop\": \"b\"}, \"set\": {\"x-team\": \"edge\"}, \"remove\": "
                       "[\"X-Debug\", \"x-gone\"]}, \"response\": {\"remove\": [\"server\"]}}";
    sidegate_stream request = {{{sidegate_str("keep"), sidegate_str("1")},
                                {sidegate_str("x-debug"), sidegate_str("1")},
                                {sidegate_str("x-team"), sidegate_str("core")},
                                {sidegate_str("x-debug"), sidegate_str("2")},
                                {sidegate_str("x-team"), sidegate_str("old")}},
                               5, 0, ""};
    sidegate_stream response = {{{sidegate_str("server"), sidegate_str("x")}}, 1, 0, ""};
    sidegate_stream same = response;
    /* `add` keeps what is there, so start with one. */
    request.fields[5].name = sidegate_str("x-hop");
    request.fields[5].value = sidegate_str("a");
    request.count = 6;
    counted = 0;
    assert(run(text, SIDEGATE_MAP_REQUEST, &request) == SIDEGATE_STATUS_CONTINUE);
    /* `set` appends its field, so it stands behind what stayed. */
    assert(request.count == 4 && counted == 1);
    assert(run(text, SIDEGATE_MAP_RESPONSE, &response) == SIDEGATE_STATUS_CONTINUE);
    assert(response.count == 0 && counted == 2);
    assert(run("{}", SIDEGATE_MAP_RESPONSE, &same) == SIDEGATE_STATUS_CONTINUE);
    assert(same.count == 1 && counted == 2);
}

static void refusals_of_the_host(void) {
    sidegate_stream stream = {{{{NULL, 0}, {NULL, 0}}}, 0, 0, ""};
    assert(run("{\"request\":{\"set\":{\"Full\":\"x\"}}}", 0, &stream) == SIDEGATE_STATUS_FAULT);
    assert(strcmp(stream.fault, "the host refused to edit header Full") == 0 && stream.count == 0);
}

static void refused_configurations(void) {
    const char *name = "expected the name of a header", *top = "unknown key: expected `request` or `response`";
    const char *reserved = "a header of framing or the connection is the proxy's";
    const char *host = "`host` of a request can be set only";
    sidegate_create_result_v1 result;
    refused("[]", "", "expected an object with `request` or `response`");
    refused("{\"requests\":{}}", "requests", top);
    refused("{\"request\":[]}", "request", "expected an object with `set`, `add` or `remove`");
    refused("{\"request\":{\"Set\":{}}}", "request.Set", "unknown key: expected `set`, `add` or `remove`");
    refused("{\"request\":{\"set\":[]}}", "request.set", "expected an object of strings");
    refused("{\"request\":{\"set\":{\"a\":1}}}", "request.set.a", "expected a string");
    refused("{\"request\":{\"set\":{\"a b\":\"c\"}}}", "request.set.a b", name);
    refused("{\"response\":{\"add\":{\"\":\"c\"}}}", "response.add.", name);
    refused("{\"request\":{\"remove\":[\"TE\"]}}", "request.remove", reserved);
    refused("{\"response\":{\"set\":{\"Connection\":\"close\"}}}", "response.set.Connection", reserved);
    refused("{\"request\":{\"add\":{\"a\":\"b\\nc\"}}}", "request.add.a", "expected the value of a header");
    refused("{\"request\":{\"add\":{\"a\":\" b\"}}}", "request.add.a", "expected the value of a header");
    refused("{\"request\":{\"remove\":[\"Host\"]}}", "request", host);
    refused("{\"request\":{\"add\":{\"host\":\"a\"}}}", "request", host);
    refused("{\"response\":{\"remove\":{}}}", "response.remove", "expected an array of header names");
    refused("{\"response\":{\"remove\":[\"a\",\"b\\u0000\"]}}", "response.remove", name);
    refused("{\"response\":{\"remove\":[\"a\"}}", "response.remove", "expected `,` or `]`");
    refused("{\"response\":{}", "", "expected `,` or `}`");
    refused("{} x", "", "expected nothing after the object");
    assert(create("other", "{}", &result) == SIDEGATE_NOT_FOUND);
    assert(strcmp(message, "expected one of this module's filters: headers-c") == 0);
}

int main(void) {
    edits_in_order();
    refusals_of_the_host();
    refused_configurations();
    puts("headers-c: all tests passed");
    return 0;
}
