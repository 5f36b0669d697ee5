/* Runs auth.c's hook with a fake host: see test.sh. */
#include <assert.h>
#include <stdio.h>

#include "auth.c"

/* One request and what the module did to it. */
struct sidegate_stream {
    const sidegate_header *headers;
    size_t count;
    uint32_t replied;
};

static uint32_t get_all(sidegate_stream *stream, uint32_t map, sidegate_slice name, sidegate_slice *values,
                        uint64_t capacity, uint64_t *count) {
    size_t i;
    assert(map == SIDEGATE_MAP_REQUEST);
    *count = 0;
    for (i = 0; i < stream->count; i++) {
        if (!sidegate_slice_eq_nocase(stream->headers[i].name, name)) continue;
        if (*count < capacity) values[*count] = stream->headers[i].value;
        ++*count;
    }
    return SIDEGATE_OK;
}

static uint32_t take_reply(sidegate_stream *stream, const sidegate_reply_v1 *reply) {
    assert(reply->size == sizeof *reply && reply->body.len > 0);
    stream->replied = reply->status;
    return SIDEGATE_OK;
}

static uint32_t take_fault(sidegate_stream *stream, sidegate_slice message) {
    (void)stream;
    (void)message;
    return SIDEGATE_OK;
}

static const sidegate_host_v1 fake_host = {
    .size = sizeof fake_host,
    .abi_major = SIDEGATE_ABI_MAJOR,
    .header_get_all = get_all,
    .reply = take_reply,
    .fault = take_fault,
};

static char message[128], path[128];

static uint32_t create(const char *config, sidegate_create_result_v1 *result) {
    sidegate_error_out_v1 error = {sizeof error, (uint8_t *)message, sizeof message - 1, 0,
                                   (uint8_t *)path, sizeof path - 1, 0};
    sidegate_create_args_v1 args = {0};
    /* A copy of exactly that length: reading beyond it is caught. */
    size_t len = strlen(config);
    uint8_t *copy = (uint8_t *)malloc(len);
    uint32_t code;
    assert(copy);
    memcpy(copy, config, len);
    args.size = sizeof args;
    args.host = &fake_host;
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

static void refused(const char *config, const char *where, const char *why) {
    sidegate_create_result_v1 result;
    uint32_t code = create(config, &result);
    if (code != SIDEGATE_FAILED || strcmp(path, where) != 0 || strcmp(message, why) != 0) {
        fprintf(stderr, "%s: %u at `%s`: %s\n", config, code, path, message);
        exit(1);
    }
}

/* Sends one request; 0 if it passed, else the reply's status. */
static uint32_t send(const char *config, const sidegate_header *headers, size_t count) {
    sidegate_create_result_v1 made;
    sidegate_stream stream = {headers, count, 0};
    sidegate_hook_v1 hook = {sizeof hook, &stream, NULL, SIDEGATE_PHASE_BEFORE_ROUTE, SIDEGATE_HOOK_END};
    void *filter = NULL;
    uint32_t status;
    if (create(config, &made) != SIDEGATE_OK) {
        fprintf(stderr, "%s: refused at `%s`: %s\n", config, path, message);
        exit(1);
    }
    assert(made.interests.phases == 1U << SIDEGATE_PHASE_BEFORE_ROUTE);
    assert(made.factory_table->create_filter(made.factory, 0, NULL, &filter) == SIDEGATE_OK);
    status = made.filter_table->on_request_headers(filter, &hook);
    made.filter_table->destroy(filter);
    made.factory_table->destroy(made.factory);
    assert(status == (stream.replied ? SIDEGATE_STATUS_STOP : SIDEGATE_STATUS_CONTINUE));
    return stream.replied;
}

/* Sends one request with the single header User. */
static uint32_t send_user(const char *config, const char *user) {
    sidegate_header header = {sidegate_str("user"), sidegate_str(user)};
    return send(config, &header, 1);
}

static void requests(void) {
    const char *config = " { \"User\" : \"admin\", \"X-Team\":\"edge\" } ";
    sidegate_header both[12] = {{sidegate_str("USER"), sidegate_str("admin")},
                                {sidegate_str("x-team"), sidegate_str("edge")}};
    size_t i;
    assert(send(config, both, 2) == 0);
    assert(send(config, both, 1) == 403);
    assert(send(config, both, 0) == 403);
    assert(send("{}", NULL, 0) == 0);
    both[0].value = sidegate_str("Admin");
    assert(send(config, both, 2) == 403);
    /* All of many fields must match, wherever the wrong one stands. */
    both[0].value = sidegate_str("admin");
    for (i = 2; i < 12; i++) {
        both[i].name = sidegate_str("user");
        both[i].value = sidegate_str("admin");
    }
    assert(send(config, both, 12) == 0);
    both[11].value = sidegate_str("guest");
    assert(send(config, both, 12) == 403);
    assert(send(config, both, 11) == 0);
    both[0].value = sidegate_str("guest");
    assert(send(config, both, 11) == 403);
}

static void escapes(void) {
    assert(send_user("{\"\\u0075ser\":\"a\\\"b\\\\c\\/d\\be\\ff\\ng\\rh\\ti\"}", "a\"b\\c/d\be\ff\ng\rh\ti") == 0);
    assert(send_user("{\"user\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") == 0);
    assert(send_user("{\"user\":\"one\",\"user\":\"two\"}", "two") == 0);
    assert(send_user("{\"user\":\"a\\u0000b\"}", "a") == 403);
}

static void refusals(void) {
    const char *object = "expected an object of strings", *pair = "expected \"key\": value";
    const char *string = "expected the end of the string or a valid escape";
    const char *bad[] = {"\\", "\\\"", "\\x", "\\u", "\\u12", "\\u12g4\"", "\\ud800\"", "\\ud800\\u0041\"",
                         "\\udc00\"", "\\ud83d\\", "\t\"", "end"};
    char config[64];
    size_t i;
    refused("", "", object);
    refused("[]", "", object);
    refused("{", "", pair);
    refused("{\"a", "", pair);
    refused("{\"a\"", "", pair);
    refused("{\"a\":", "a", "expected a string");
    refused("{\"User\":5}", "User", "expected a string");
    refused("{\"ok\":\"x\",\"no\":{\"a\":\"b\"}}", "no", "expected a string");
    refused("{\"a\":\"b\",}", "", pair);
    refused("{\"a\":\"b\"", "", "expected `,` or `}`");
    refused("{} {}", "", "expected nothing after the object");
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(config, sizeof config, "{\"a\":\"%s", bad[i]);
        refused(config, "a", string);
    }
}

int main(void) {
    requests();
    escapes();
    refusals();
    puts("auth-c: all tests passed");
    return 0;
}
