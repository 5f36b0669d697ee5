/* Runs auth.cpp's hook on the host in memory: see test.sh. */
#include "sidegate_test.h"

#include "auth.cpp"

namespace {

/* Status of a request with these headers. */
uint32_t send(const char *config, const std::string &headers) {
    sidegate_test *test = sidegate_test_start(nullptr, config);
    sidegate_stream *stream = sidegate_test_request(test, "GET", "/", headers.c_str());
    sidegate_test_run(stream);
    const uint32_t status = stream->status;
    SIDEGATE_EXPECT(stream->fault == nullptr);
    SIDEGATE_EXPECT(status == (stream->reached ? 200U : 403U));
    if (stream->replied) SIDEGATE_EXPECT_TEXT(sidegate_test_body_of(stream, SIDEGATE_BODY_RESPONSE), "forbidden\n");
    sidegate_test_end(test);
    return status;
}

void requests() {
    const char *config = R"( { "User" : "admin", "X-Team":"edge" } )";
    const std::string both = "USER: admin\nx-team: edge\n";
    SIDEGATE_EXPECT(send(config, both) == 200);
    SIDEGATE_EXPECT(send(config, "user: admin\n") == 403);
    SIDEGATE_EXPECT(send(config, "user: Admin\nx-team: edge\n") == 403);
    SIDEGATE_EXPECT(send(config, "") == 403);
    SIDEGATE_EXPECT(send("{}", "") == 200);
    /* All of many fields must match, wherever the wrong one stands. */
    std::string many = both;
    for (int i = 0; i < 10; i++) many += "user: admin\n";
    SIDEGATE_EXPECT(send(config, many) == 200);
    SIDEGATE_EXPECT(send(config, many + "user: guest\n") == 403);
    SIDEGATE_EXPECT(send(config, "user: guest\n" + many) == 403);
    SIDEGATE_EXPECT(send(R"({"user":"one","user":"two"})", "user: two\n") == 200);
    SIDEGATE_EXPECT(send(R"({"\u0075ser":"a\"b\\c\/d"})", "user: a\"b\\c/d\n") == 200);
}

void refusals() {
    const auto told = [](const char *config) { return sidegate_test_refusal("auth-cpp", config); };
    SIDEGATE_EXPECT_TEXT(told("[]"), "expected an object of strings");
    SIDEGATE_EXPECT_TEXT(told(R"({"User":5})"), "User: expected a string");
    SIDEGATE_EXPECT_TEXT(told(R"({"ok":"x","no":{"a":"b"}})"), "no: expected a string");
    SIDEGATE_EXPECT_TEXT(told(R"({"a":"b",})"), "expected \"key\": value");
    SIDEGATE_EXPECT_TEXT(told("{} {}"), "expected nothing after the object");
    SIDEGATE_EXPECT_TEXT(sidegate_test_refusal("other", "{}"), "expected one of this module's filters: auth-cpp");
}

} // namespace

int main() {
    requests();
    refusals();
    puts("auth-cpp: all tests passed");
}
