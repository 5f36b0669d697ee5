/*
 * What sidegate.hpp does with a filter, on the host in memory. Prints nothing
 * if all is well.
 */
#include <thread>

#include "sidegate_test.h"

#include "sidegate.hpp"

using sidegate::Interest;
using sidegate::Status;
using sidegate::Stream;

namespace {

int alive;

struct Counted {
    Counted() { alive++; }
    Counted(const Counted &) = delete;
    ~Counted() { alive--; }
};

/* Does what the header `do` says. */
struct Doer : sidegate::Filter {
    struct Config : Counted {
        explicit Config(std::string_view json) {
            if (json == "{\"path\":1}") throw sidegate::ConfigError("a.b[0]", "expected a string");
            if (json == "{\"std\":1}") throw std::runtime_error("no such file");
            if (json == "{\"int\":1}") throw 5;
            if (json == "{\"name\":1}") sidegate::Counter("not a name");
        }
        std::string export_state() const {
            if (secret.empty()) throw std::runtime_error("nothing to tell");
            return secret;
        }
        void import_state(std::string_view state) {
            if (state == "old") throw std::runtime_error("not of this format");
            secret = state;
        }
        mutable std::string secret;
        sidegate::Counter done{"done_total", {{"kind", "x"}}};
        sidegate::Gauge level{"level"};
        sidegate::Histogram sizes{"sizes"};
    };
    struct Worker : Counted {
        Worker(const Config &, uint32_t) {}
        uint32_t streams = 0;
    };
    struct Route : Counted {
        Route(const Config &, std::string_view json) : text(json) {}
        std::string text;
    };
    static constexpr uint32_t phases = SIDEGATE_IN_BEFORE_ROUTE | SIDEGATE_IN_AFTER_CHOOSE_HOST;
    static constexpr Interest request_interest = Interest::Whole;

    Doer(const Config &made, Worker &here) : config(made), worker(here) { worker.streams++; }

    Status on_request_headers(Stream &stream) override {
        auto headers = stream.request();
        if (stream.phase() != SIDEGATE_PHASE_BEFORE_ROUTE) {
            headers.add("x-phase", std::to_string(stream.phase()));
            return Status::Continue;
        }
        SIDEGATE_EXPECT(&stream.worker<Doer>() == &worker);
        const auto asked = headers.get("Do");
        if (!asked) return Status::Continue;
        const std::string what(*asked);
        if (what == "std") throw std::runtime_error("it went wrong");
        if (what == "int") throw 5;
        if (what == "name") headers.set("a b", "c");
        if (what == "reserved") headers.remove("Content-Length");
        if (what == "visit") headers.for_each([](auto name, auto) { throw std::runtime_error(std::string(name)); });
        if (what == "terminate") return Status::Terminate;
        if (what == "bad reply") return stream.reply({99});
        if (what == "reply") return stream.reply({201, {{"x-one", "1"}, {"x-two", "2"}}, "made"});
        if (what == "edit") {
            SIDEGATE_EXPECT(headers.get_all("x-many").size() == 6);
            SIDEGATE_EXPECT(headers.remove("X-Many") == 6);
            headers.set("x-path", stream.path());
            headers.set("x-query", stream.variable(SIDEGATE_VAR_QUERY).value_or("(none)"));
            stream.set_variable(SIDEGATE_VAR_TARGET, "/new?q");
            SIDEGATE_EXPECT(stream.path() == "/new");
            SIDEGATE_EXPECT(!stream.variable(SIDEGATE_VAR_ROUTE_NAME) && !stream.named("nobody"));
            stream.set_named("shared", "value");
            SIDEGATE_EXPECT(stream.named("shared") == "value");
            std::string names;
            headers.for_each([&names](std::string_view name, std::string_view) { names.append(name).append(";"); });
            headers.set("x-names", names);
            if (const Route *route = stream.route<Doer>()) headers.set("x-route", route->text);
        }
        if (what == "wait") {
            sidegate::Resume first = stream.resume_handle();
            sidegate::Resume copy = first;
            later = std::thread([moved = std::move(first)] { moved.resume(); });
            return Status::Pending;
        }
        return Status::Continue;
    }
    Status on_resume(Stream &stream) override {
        later.join();
        stream.request().set("x-resumed", "yes");
        return Status::Continue;
    }
    Status on_request_body(Stream &stream) override {
        auto body = stream.request_body();
        std::string pieces;
        for (std::string_view piece : body.pieces()) pieces.append("[").append(piece).append("]");
        SIDEGATE_EXPECT(stream.is_body_end() && body.size() == body.text().size());
        if (body.size() > 2) {
            SIDEGATE_EXPECT(body.drain(1) == 1);
            body.append(pieces);
        }
        return Status::Continue;
    }
    Status on_response_headers(Stream &stream) override {
        stream.response().set("x-status", std::to_string(stream.number(SIDEGATE_VAR_STATUS).value()));
        return Status::Continue;
    }
    void on_complete(Stream &stream, const sidegate_completion_v1 &how) override {
        config.done.add(2);
        config.level.set(how.status);
        config.level.add(-1);
        config.sizes.observe(1.5);
        if (stream.path() == "/complete") throw std::runtime_error("too late");
    }

    const Config &config;
    Worker &worker;
    std::thread later;
};

/* Of what it wants nothing but the end, and its base is not its first. */
struct Other {
    virtual ~Other() = default;
    int padding = 7;
};
struct Watcher : Other, sidegate::Filter {
    ~Watcher() override { SIDEGATE_EXPECT(padding == 7); }
    void on_complete(Stream &, const sidegate_completion_v1 &) override {
        SIDEGATE_EXPECT(padding == 7);
        sidegate::log(SIDEGATE_LOG_INFO, "watched");
    }
};

/* Asks two plugins about each request and takes what comes in any order. */
struct Asker : sidegate::Filter {
    struct Config {
        Config(std::string_view, const sidegate::Plugins &plugins) {
            if (!plugins.has("checker")) throw sidegate::ConfigError("plugin", "expected a plugin `checker`");
            SIDEGATE_EXPECT(plugins.has("second") && !plugins.has("check"));
        }
    };
    Status on_request_headers(Stream &stream) override {
        const std::string user(stream.request().get("User").value_or(""));
        sidegate::PluginCall call{"checker"};
        call.kind = "request";
        call.headers = {{"User", user}, {"X", "1"}};
        call.trailers = {{"T", "2"}};
        call.body = "body";
        first = stream.call_plugin(call);
        second = stream.call_plugin({"second"});
        const uint64_t given_up = stream.call_plugin({"second"});
        stream.cancel_plugin_call(given_up);
        SIDEGATE_EXPECT(refused([&] { stream.plugin_answer(given_up); }) == SIDEGATE_ALREADY);
        SIDEGATE_EXPECT(refused([&] { stream.plugin_answer(given_up + 1); }) == SIDEGATE_NOT_FOUND);
        SIDEGATE_EXPECT(refused([&] { stream.call_plugin({"nobody"}); }) == SIDEGATE_NOT_FOUND);
        SIDEGATE_EXPECT(!stream.plugin_answer(first));
        if (user == "leaves") return Status::Continue;
        return Status::Pending;
    }
    Status on_resume(Stream &stream) override {
        if (const auto answer = stream.plugin_answer(second)) {
            SIDEGATE_EXPECT(answer->outcome == SIDEGATE_PLUGIN_TIMEOUT && answer->message == "no answer");
            return Status::Continue;
        }
        const auto answer = stream.plugin_answer(first);
        SIDEGATE_EXPECT(answer && answer->outcome == SIDEGATE_PLUGIN_ANSWERED && answer->body == "body");
        SIDEGATE_EXPECT(answer->trailers.size() == 1 && answer->trailers[0].first == "T");
        SIDEGATE_EXPECT(refused([&] { stream.plugin_answer(first); }) == SIDEGATE_ALREADY);
        if (answer->status == -1) return stream.reply({403});
        for (const auto &field : answer->headers) stream.request().set(field.first, field.second);
        return Status::Pending;
    }
    template <class Act> static uint32_t refused(Act act) {
        try {
            act();
            return SIDEGATE_OK;
        } catch (const sidegate::Error &error) {
            return error.result();
        }
    }
    uint64_t first = 0, second = 0;
};

void check_user(const sidegate_plugin_call_v1 *call, sidegate_plugin_answer_v1 *answer) {
    static const sidegate_header role = {sidegate_str("X-Role"), sidegate_str("admin")};
    SIDEGATE_EXPECT(call->headers_len == 2 && sidegate_slice_eq(call->kind, sidegate_str("request")));
    if (!sidegate_slice_eq(call->headers[0].value, sidegate_str("ann"))) answer->status = -1;
    answer->headers = &role;
    answer->headers_len = 1;
    answer->trailers = call->trailers;
    answer->trailers_len = call->trailers_len;
    answer->body = call->body;
}

void never(const sidegate_plugin_call_v1 *, sidegate_plugin_answer_v1 *answer) {
    answer->outcome = SIDEGATE_PLUGIN_TIMEOUT;
    answer->message = sidegate_str("no answer");
}

sidegate_stream *run(sidegate_test *test, const char *target, const char *headers) {
    sidegate_stream *stream = sidegate_test_request(test, "GET", target, headers);
    sidegate_test_run(stream);
    return stream;
}

void faults(sidegate_test *test) {
    const auto fault = [test](const char *headers) {
        sidegate_stream *stream = run(test, "/", headers);
        SIDEGATE_EXPECT(stream->status == 500 && !stream->reached);
        return stream->fault;
    };
    SIDEGATE_EXPECT_TEXT(fault("do: std"), "it went wrong");
    SIDEGATE_EXPECT_TEXT(fault("do: int"), "an exception that is no std::exception");
    SIDEGATE_EXPECT_TEXT(fault("do: name"), "setting header a b: the name is not allowed");
    SIDEGATE_EXPECT_TEXT(fault("do: reserved"), "removing header Content-Length: it belongs to the host");
    SIDEGATE_EXPECT_TEXT(fault("do: visit"), "do");
    SIDEGATE_EXPECT_TEXT(fault("do: bad reply"), "replying: the value is not allowed");
    SIDEGATE_EXPECT(run(test, "/", "do: terminate")->status == 0);
}

void requests(sidegate_test *test) {
    sidegate_stream *stream = run(test, "/", "do: reply");
    SIDEGATE_EXPECT(stream->status == 201 && stream->replied);
    SIDEGATE_EXPECT_TEXT(sidegate_test_header(stream, SIDEGATE_MAP_RESPONSE, "x-two"), "2");
    SIDEGATE_EXPECT_TEXT(sidegate_test_header(stream, SIDEGATE_MAP_RESPONSE, "x-status"), "201");
    SIDEGATE_EXPECT_TEXT(sidegate_test_body_of(stream, SIDEGATE_BODY_RESPONSE), "made");

    stream = sidegate_test_request(test, "GET", "/a?b", "do: edit\nx-many: 1\nX-Many: 2\nx-many: 3\nx-many: 4\n"
                                                        "x-many: 5\nx-many: 6");
    sidegate_test_route(stream, "{\"a\":1}");
    sidegate_test_run(stream);
    SIDEGATE_EXPECT_TEXT(stream->fault, nullptr);
    const auto header = [&stream](const char *name) {
        return sidegate_test_header(stream, SIDEGATE_MAP_REQUEST, name);
    };
    SIDEGATE_EXPECT_TEXT(header("x-path"), "/a");
    SIDEGATE_EXPECT_TEXT(header("x-query"), "b");
    SIDEGATE_EXPECT_TEXT(header("x-names"), "do;host;x-path;x-query;");
    SIDEGATE_EXPECT_TEXT(header("x-route"), "{\"a\":1}");
    SIDEGATE_EXPECT_TEXT(header("x-phase"), "3");

    stream = run(test, "/", "do: wait");
    SIDEGATE_EXPECT(stream->status == 200);
    SIDEGATE_EXPECT_TEXT(header("x-resumed"), "yes");

    stream = sidegate_test_request(test, "POST", "/", "");
    sidegate_test_chunk(stream, SIDEGATE_BODY_REQUEST, "ab");
    sidegate_test_chunk(stream, SIDEGATE_BODY_REQUEST, "cd");
    sidegate_test_run(stream);
    SIDEGATE_EXPECT_TEXT(sidegate_test_body_of(stream, SIDEGATE_BODY_REQUEST), "bcd[ab][cd]");
}

void whole() {
    sidegate_test *test = sidegate_test_start("doer", "{}");
    requests(test);
    const double done = sidegate_test_metric("done_total");
    SIDEGATE_EXPECT(done == 8 && sidegate_test_metric("sizes") == 4 && sidegate_test_metric("level") == 199);
    faults(test);
    /* What terminates completes; what faults does not. */
    SIDEGATE_EXPECT(sidegate_test_metric("done_total") == done + 2);
    run(test, "/complete", "");
    SIDEGATE_EXPECT(strstr(sidegate_test_logs(), "on_complete: too late\n"));

    sidegate_test *next = sidegate_test_start("doer", "{}");
    auto *config = static_cast<Doer::Config *>(test->made.factory);
    SIDEGATE_EXPECT(sidegate_test_hand_over(test, next) == SIDEGATE_FAILED);
    config->secret = "old";
    SIDEGATE_EXPECT(sidegate_test_hand_over(test, next) == SIDEGATE_FAILED);
    config->secret = "new";
    SIDEGATE_EXPECT(sidegate_test_hand_over(test, next) == SIDEGATE_OK);
    SIDEGATE_EXPECT(static_cast<Doer::Config *>(next->made.factory)->secret == "new");
    sidegate_test_end(next);
    sidegate_test_end(test);
    SIDEGATE_EXPECT(alive == 0);
}

void interests() {
    sidegate_test *test = sidegate_test_start("watcher", "{}");
    SIDEGATE_EXPECT(test->made.interests.hooks == SIDEGATE_WANT_COMPLETE && test->made.interests.phases == 0);
    SIDEGATE_EXPECT(!test->made.filter_table->on_request_headers && !test->made.factory_table->worker_attach);
    SIDEGATE_EXPECT(!test->made.factory_table->export_state && !test->made.factory_table->create_route_config);
    run(test, "/", "");
    SIDEGATE_EXPECT(strstr(sidegate_test_logs(), "watched\n"));
    sidegate_test_end(test);
}

void refusals() {
    const auto told = [](const char *config) { return sidegate_test_refusal("doer", config); };
    SIDEGATE_EXPECT_TEXT(told("{\"path\":1}"), "a.b[0]: expected a string");
    SIDEGATE_EXPECT_TEXT(told("{\"std\":1}"), "no such file");
    SIDEGATE_EXPECT_TEXT(told("{\"int\":1}"), "an exception that is no std::exception");
    SIDEGATE_EXPECT_TEXT(told("{\"name\":1}"), "defining metric not a name: the name is not allowed");
    const char *which = "expected one of this module's filters: doer, watcher, asker";
    SIDEGATE_EXPECT_TEXT(sidegate_test_refusal("other", "{}"), which);
    SIDEGATE_EXPECT_TEXT(sidegate_test_refusal(nullptr, "{}"), which);
    SIDEGATE_EXPECT(alive == 0);
}

void plugins() {
    SIDEGATE_EXPECT_TEXT(sidegate_test_refusal("asker", "{}"), "plugin: expected a plugin `checker`");
    sidegate_test_plugin("checker", check_user);
    sidegate_test_plugin("second", never);
    sidegate_test *test = sidegate_test_start("asker", "{}");
    sidegate_stream *stream = run(test, "/", "user: ann");
    SIDEGATE_EXPECT(stream->status == 200 && stream->reached);
    SIDEGATE_EXPECT_TEXT(sidegate_test_header(stream, SIDEGATE_MAP_REQUEST, "x-role"), "admin");
    SIDEGATE_EXPECT(run(test, "/", "user: bob")->status == 403);
    SIDEGATE_EXPECT(run(test, "/", "user: leaves")->status == 200);
    sidegate_test_end(test);
}

} // namespace

SIDEGATE_CPP_MODULE("test", "1.0.0", sidegate::filter<Doer>("doer"), sidegate::filter<Watcher>("watcher"),
                    sidegate::filter<Asker>("asker"))

int main() {
    whole();
    interests();
    refusals();
    plugins();
}
