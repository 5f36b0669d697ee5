/*
 * sidegate.hpp - filters in C++17, on sidegate.h
 *
 *     #include "sidegate.hpp"
 *
 *     struct Mark : sidegate::Filter {
 *         sidegate::Status on_request_headers(sidegate::Stream &stream) override {
 *             stream.request().set("x-mark", "1");
 *             return sidegate::Status::Continue;
 *         }
 *     };
 *
 *     SIDEGATE_CPP_MODULE("marks", "1.0.0", sidegate::filter<Mark>("marks"))
 *
 *     c++ -std=c++17 -shared -fPIC -O2 -fno-gnu-unique -I<folder of this file> -o libmarks.so marks.cpp
 *
 * A filter is one object per stream. Which hooks it overrides is read when it is
 * compiled: what it does not override costs nothing. No exception leaves the
 * module: in a hook it is a fault with its message, in a constructor of a
 * configuration the reason why that is refused. Validity and threads are those
 * of sidegate.h: a std::string_view from the host is lent until the hook
 * returns, or until the same map, body or any variable is changed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIDEGATE_HPP
#define SIDEGATE_HPP

#if defined(__GNUC__) && !defined(__cpp_exceptions)
#error "sidegate.hpp turns exceptions into faults: compile without -fno-exceptions"
#endif

#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "sidegate.h"

namespace sidegate {

inline std::string_view view(sidegate_slice slice) {
    if (slice.len == 0) return {};
    return {reinterpret_cast<const char *>(slice.ptr), static_cast<size_t>(slice.len)};
}
inline sidegate_slice slice(std::string_view text) { return sidegate_bytes(text.data(), text.size()); }

/* What a result number of the host means. */
inline const char *meaning(uint32_t result) {
    static const char *const words[] = {
        "done", "not found", "not now", "the name is not allowed", "the value is not allowed",
        "it belongs to the host", "a limit is reached", "not supported by this host",
        "the stream has moved on", "done before", "bad argument", "failed", "panicked"};
    return result < sizeof words / sizeof *words ? words[result] : "unknown result";
}

/* The host has refused something; nothing was changed. */
class Error : public std::runtime_error {
public:
    Error(const std::string &what, uint32_t result)
        : std::runtime_error(what + ": " + meaning(result)), result_(result) {}
    uint32_t result() const noexcept { return result_; } /* SIDEGATE_NOT_NOW and so on */

private:
    uint32_t result_;
};

/* A configuration is refused: where, as key.key[0], and what was expected. */
class ConfigError : public std::runtime_error {
public:
    ConfigError(std::string path, const std::string &message) : std::runtime_error(message), path_(std::move(path)) {}
    const std::string &path() const noexcept { return path_; }

private:
    std::string path_;
};

inline void check(uint32_t result, const char *doing, std::string_view what = {}) {
    if (result == SIDEGATE_OK) return;
    std::string said = doing;
    if (!what.empty()) said.append(" ").append(what);
    throw Error(said, result);
}

enum class Status : uint32_t {
    Continue = SIDEGATE_STATUS_CONTINUE,
    Stop = SIDEGATE_STATUS_STOP, /* what Stream::reply returns */
    Pending = SIDEGATE_STATUS_PENDING,
    Terminate = SIDEGATE_STATUS_TERMINATE,
    RematchRoute = SIDEGATE_STATUS_REMATCH_ROUTE,
    RechooseHost = SIDEGATE_STATUS_RECHOOSE_HOST,
};

enum class Interest : uint32_t {
    Observe = SIDEGATE_BODY_OBSERVE,
    Stream = SIDEGATE_BODY_STREAM,
    Whole = SIDEGATE_BODY_WHOLE,
};

/* ---- Logs and metrics. Any thread. ---------------------------------------- */

inline bool log_enabled(uint32_t level) { return sidegate_host->log_enabled(sidegate_self, level) != 0; }
inline void log(uint32_t level, std::string_view line) { sidegate_host->log(sidegate_self, level, slice(line)); }

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/* Made in the constructor of a configuration. */
class Metric {
protected:
    Metric(uint32_t kind, std::string_view name, Labels labels) {
        std::vector<sidegate_header> pairs;
        for (const auto &label : labels) pairs.push_back({slice(label.first), slice(label.second)});
        check(sidegate_host->metric_define(sidegate_self, kind, slice(name), pairs.data(), pairs.size(), &number_),
              "defining metric", name);
    }
    uint64_t number_ = 0;
};

struct Counter : private Metric {
    explicit Counter(std::string_view name, Labels labels = {}) : Metric(SIDEGATE_METRIC_COUNTER, name, labels) {}
    void add(uint32_t more = 1) const { sidegate_host->metric_add(sidegate_self, number_, more); }
};

struct Gauge : private Metric {
    explicit Gauge(std::string_view name, Labels labels = {}) : Metric(SIDEGATE_METRIC_GAUGE, name, labels) {}
    void add(int64_t delta) const { sidegate_host->metric_add(sidegate_self, number_, delta); }
    void set(int64_t level) const { sidegate_host->metric_set(sidegate_self, number_, level); }
};

struct Histogram : private Metric {
    explicit Histogram(std::string_view name, Labels labels = {}) : Metric(SIDEGATE_METRIC_HISTOGRAM, name, labels) {}
    void observe(double value) const { sidegate_host->metric_observe(sidegate_self, number_, value); }
};

/* ---- A stream, in a hook. -------------------------------------------------- */

/* One of the four maps. */
class Headers {
public:
    Headers(sidegate_stream *stream, uint32_t map) : stream_(stream), map_(map) {}

    /* The first field of that name, in any case. */
    std::optional<std::string_view> get(std::string_view name) const {
        sidegate_slice value;
        const uint32_t found = sidegate_host->header_get(stream_, map_, slice(name), &value);
        if (found == SIDEGATE_NOT_FOUND) return std::nullopt;
        check(found, "reading header", name);
        return view(value);
    }

    std::vector<std::string_view> get_all(std::string_view name) const {
        std::vector<sidegate_slice> lent(4);
        uint64_t count = 0;
        for (;;) {
            check(sidegate_host->header_get_all(stream_, map_, slice(name), lent.data(), lent.size(), &count),
                  "reading header", name);
            if (count <= lent.size()) break;
            lent.resize(static_cast<size_t>(count));
        }
        std::vector<std::string_view> values;
        for (uint64_t i = 0; i < count; i++) values.push_back(view(lent[static_cast<size_t>(i)]));
        return values;
    }

    /* Calls `visit(name, value)` for each field in order. It must not change the
     * map; what it throws is thrown on. */
    template <class Visit> void for_each(Visit &&visit) const {
        Visiting<Visit> visiting{&visit, nullptr};
        check(sidegate_host->headers_visit(stream_, map_, Visiting<Visit>::one, &visiting), "reading headers");
        if (visiting.thrown) std::rethrow_exception(visiting.thrown);
    }

    void set(std::string_view name, std::string_view value) {
        check(sidegate_host->header_set(stream_, map_, slice(name), slice(value)), "setting header", name);
    }
    void add(std::string_view name, std::string_view value) {
        check(sidegate_host->header_add(stream_, map_, slice(name), slice(value)), "adding header", name);
    }
    /* How many there were. */
    uint64_t remove(std::string_view name) {
        uint64_t removed = 0;
        check(sidegate_host->header_remove(stream_, map_, slice(name), &removed), "removing header", name);
        return removed;
    }

private:
    template <class Visit> struct Visiting {
        std::remove_reference_t<Visit> *visit;
        std::exception_ptr thrown;
        static uint32_t one(void *user, const sidegate_header *header) noexcept {
            auto *self = static_cast<Visiting *>(user);
            try {
                (*self->visit)(view(header->name), view(header->value));
                return 0;
            } catch (...) {
                self->thrown = std::current_exception();
                return 1;
            }
        }
    };

    sidegate_stream *stream_;
    uint32_t map_;
};

/* What a body hook may see of a body. */
class Body {
public:
    Body(sidegate_stream *stream, uint32_t direction) : stream_(stream), direction_(direction) {}

    uint64_t size() const {
        uint64_t len = 0;
        check(sidegate_host->body_len(stream_, direction_, &len), "reading a body");
        return len;
    }
    /* The bytes where they are, in pieces. */
    std::vector<std::string_view> pieces() const {
        std::vector<sidegate_slice> lent(16);
        uint64_t count = 0;
        for (;;) {
            check(sidegate_host->body_read(stream_, direction_, lent.data(), lent.size(), &count), "reading a body");
            if (count <= lent.size()) break;
            lent.resize(static_cast<size_t>(count));
        }
        std::vector<std::string_view> pieces;
        for (uint64_t i = 0; i < count; i++) pieces.push_back(view(lent[static_cast<size_t>(i)]));
        return pieces;
    }
    /* A copy in one piece. */
    std::string text() const {
        std::string all;
        for (std::string_view piece : pieces()) all.append(piece);
        return all;
    }
    void replace(std::string_view bytes) {
        const sidegate_slice one = slice(bytes);
        check(sidegate_host->body_replace(stream_, direction_, &one, 1), "replacing a body");
    }
    void append(std::string_view bytes) {
        check(sidegate_host->body_append(stream_, direction_, slice(bytes)), "appending to a body");
    }
    /* Removes up to `count` bytes from the front; how many. */
    uint64_t drain(uint64_t count) {
        uint64_t drained = 0;
        check(sidegate_host->body_drain(stream_, direction_, count, &drained), "draining a body");
        return drained;
    }
    /* No more hooks for this body; false on a host of 1.0, which calls them. */
    bool waive() {
        const uint32_t result = sidegate_waive_body(sidegate_host, stream_, direction_);
        if (result != SIDEGATE_UNSUPPORTED) check(result, "waiving a body");
        return result == SIDEGATE_OK;
    }

private:
    sidegate_stream *stream_;
    uint32_t direction_;
};

struct Reply {
    uint32_t status = 200;
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};

    static Reply text(uint32_t status, std::string body) {
        return {status, {{"content-type", "text/plain; charset=utf-8"}}, std::move(body)};
    }
    static Reply json(uint32_t status, std::string body) {
        return {status, {{"content-type", "application/json"}}, std::move(body)};
    }
};

/* What a plugin is asked: one that so_config.plugins names so. */
struct PluginCall {
    std::string plugin;
    std::string kind = {};
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::vector<std::pair<std::string, std::string>> trailers = {};
    std::string body = {};
    uint64_t timeout_ns = 0; /* less than the configuration's; 0: that */
};

/* How a call ended. */
struct PluginAnswer {
    uint32_t outcome = SIDEGATE_PLUGIN_ANSWERED; /* SIDEGATE_PLUGIN_*: without an answer only `message` is set */
    int32_t status = 0;                          /* the plugin's own */
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::vector<std::pair<std::string, std::string>> trailers = {};
    std::string body = {};
    std::string message = {};
};

/* The plugins that a configuration lets a filter call. Valid in the constructor
 * it is given to. */
class Plugins {
public:
    explicit Plugins(const sidegate_create_args_v1 *args) : args_(args) {}
    /* False on a host of 1.0 too. */
    bool has(std::string_view name) const { return sidegate_has_plugin(args_, slice(name)) == SIDEGATE_OK; }

private:
    const sidegate_create_args_v1 *args_;
};

/* The right to end one wait. Any thread; each copy is a reference. */
class Resume {
public:
    explicit Resume(sidegate_resume *owned) : handle_(owned) {}
    Resume(const Resume &other) : handle_(other.handle_) {
        if (handle_) sidegate_host->resume_retain(handle_);
    }
    Resume(Resume &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Resume &operator=(Resume other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Resume() {
        if (handle_) sidegate_host->resume_release(handle_);
    }
    /* Whether it did; not if that was done before or the stream is gone. */
    bool resume() const { return handle_ && sidegate_host->resume(handle_) == SIDEGATE_OK; }

private:
    sidegate_resume *handle_;
};

/* One request and its response. Valid in the hook it is given to. */
class Stream {
public:
    explicit Stream(const sidegate_hook_v1 *hook) : hook_(hook) {}

    Headers request() const { return {raw(), SIDEGATE_MAP_REQUEST}; }
    Headers request_trailers() const { return {raw(), SIDEGATE_MAP_REQUEST_TRAILERS}; }
    Headers response() const { return {raw(), SIDEGATE_MAP_RESPONSE}; }
    Headers response_trailers() const { return {raw(), SIDEGATE_MAP_RESPONSE_TRAILERS}; }
    Body request_body() const { return {raw(), SIDEGATE_BODY_REQUEST}; }
    Body response_body() const { return {raw(), SIDEGATE_BODY_RESPONSE}; }

    uint32_t phase() const { return hook_->phase; } /* SIDEGATE_PHASE_* */
    /* Nothing follows in this direction. */
    bool is_end() const { return (hook_->flags & SIDEGATE_HOOK_END) != 0; }
    /* In body hooks: these are its last bytes; trailers may follow. */
    bool is_body_end() const { return (hook_->flags & SIDEGATE_HOOK_BODY_END) != 0; }

    /* SIDEGATE_VAR_*: text, or a number. */
    std::optional<std::string_view> variable(uint32_t number) const {
        sidegate_slice value;
        const uint32_t found = sidegate_host->variable_get(raw(), number, &value);
        if (found == SIDEGATE_NOT_FOUND) return std::nullopt;
        check(found, "reading a variable");
        return view(value);
    }
    std::optional<uint64_t> number(uint32_t variable) const {
        uint64_t value = 0;
        const uint32_t found = sidegate_host->variable_get_u64(raw(), variable, &value);
        if (found == SIDEGATE_NOT_FOUND) return std::nullopt;
        check(found, "reading a variable");
        return value;
    }
    void set_variable(uint32_t number, std::string_view value) {
        check(sidegate_host->variable_set(raw(), number, slice(value)), "setting a variable to", value);
    }
    std::string_view method() const { return variable(SIDEGATE_VAR_METHOD).value_or(std::string_view()); }
    std::string_view path() const { return variable(SIDEGATE_VAR_PATH).value_or(std::string_view()); }

    /* Variables that filters share by name. */
    std::optional<std::string_view> named(std::string_view name) const {
        sidegate_slice value;
        const uint32_t found = sidegate_host->named_get(raw(), slice(name), &value);
        if (found == SIDEGATE_NOT_FOUND) return std::nullopt;
        check(found, "reading variable", name);
        return view(value);
    }
    void set_named(std::string_view name, std::string_view value) {
        check(sidegate_host->named_set(raw(), slice(name), slice(value)), "setting variable", name);
    }

    /* Answers: return what it returns. */
    Status reply(const Reply &reply) {
        std::vector<sidegate_header> headers;
        for (const auto &field : reply.headers) headers.push_back({slice(field.first), slice(field.second)});
        const sidegate_reply_v1 made = {sizeof made,    reply.status,   0,
                                        headers.data(), headers.size(), slice(reply.body)};
        check(sidegate_host->reply(raw(), &made), "replying");
        return Status::Stop;
    }

    /* Ends the wait after this hook returns Status::Pending. */
    Resume resume_handle() const {
        sidegate_resume *owned = nullptr;
        check(sidegate_host->resume_handle(raw(), &owned), "getting a handle to resume");
        return Resume(owned);
    }

    /* Begins a call of a plugin: return Status::Pending, and on_resume follows
     * once one has ended. The end of the stream gives it up. */
    uint64_t call_plugin(const PluginCall &call) {
        const auto headers = pairs(call.headers), trailers = pairs(call.trailers);
        const sidegate_plugin_call_v1 asked = {
            sizeof asked,    slice(call.plugin), slice(call.kind), headers.data(), headers.size(), trailers.data(),
            trailers.size(), slice(call.body),   call.timeout_ns};
        uint64_t id = 0;
        check(sidegate_call_plugin(sidegate_host, raw(), &asked, &id), "calling plugin", call.plugin);
        return id;
    }
    /* Its end, once; none yet: return Status::Pending again. */
    std::optional<PluginAnswer> plugin_answer(uint64_t id) {
        sidegate_plugin_answer_v1 lent = {};
        lent.size = sizeof lent;
        const uint32_t found = SIDEGATE_HAS(sidegate_host, plugin_answer)
                                   ? sidegate_host->plugin_answer(raw(), id, &lent) : SIDEGATE_UNSUPPORTED;
        if (found == SIDEGATE_NOT_NOW) return std::nullopt;
        check(found, "reading a plugin's answer");
        return PluginAnswer{lent.outcome, lent.status, copies(lent.headers, lent.headers_len),
                            copies(lent.trailers, lent.trailers_len), std::string(view(lent.body)),
                            std::string(view(lent.message))};
    }
    /* Gives a call up: its end will not be told. */
    void cancel_plugin_call(uint64_t id) {
        check(SIDEGATE_HAS(sidegate_host, plugin_cancel) ? sidegate_host->plugin_cancel(raw(), id)
                                                         : SIDEGATE_UNSUPPORTED,
              "giving a call of a plugin up");
    }

    /* The `Route` that this filter made of the matched route's settings; null if
     * there are none. Shared with other workers. */
    template <class Filter> const typename Filter::Route *route() const {
        return static_cast<const typename Filter::Route *>(sidegate_host->route_config(raw()));
    }
    /* The `Worker` of this filter. */
    template <class Filter> typename Filter::Worker &worker() const {
        return *static_cast<typename Filter::Worker *>(hook_->worker_state);
    }

    /* For functions of sidegate.h. */
    sidegate_stream *raw() const { return hook_->stream; }

private:
    using Fields = std::vector<std::pair<std::string, std::string>>;
    static std::vector<sidegate_header> pairs(const Fields &fields) {
        std::vector<sidegate_header> pairs;
        for (const auto &field : fields) pairs.push_back({slice(field.first), slice(field.second)});
        return pairs;
    }
    static Fields copies(const sidegate_header *lent, uint64_t count) {
        Fields fields;
        for (uint64_t i = 0; i < count; i++) fields.emplace_back(view(lent[i].name), view(lent[i].value));
        return fields;
    }

    const sidegate_hook_v1 *hook_;
};

/* ---- A filter. ------------------------------------------------------------- */

struct Nothing {};

/* The base of filters; one object per stream, on its worker. It is made by the
 * first of these constructors that there is: (const Config &, Worker &),
 * (const Config &), (). Of it may be named anew in a filter:
 *
 *   Config        an object per configuration, made of its text:
 *                 Config(std::string_view json), which throws ConfigError; or
 *                 Config(std::string_view json, const Plugins &).
 *                 Shared by all workers. It may have
 *                     std::string export_state() const
 *                     void import_state(std::string_view)
 *                 for what survives a reload.
 *   Worker        an object per worker: Worker(const Config &, uint32_t worker)
 *   Route         an object per route: Route(const Config &, std::string_view json)
 *   phases        where on_request_headers runs, SIDEGATE_IN_*
 *   request_interest, response_interest   what body hooks get */
class Filter {
public:
    using Config = Nothing;
    using Worker = Nothing;
    using Route = Nothing;
    static constexpr uint32_t phases = SIDEGATE_IN_BEFORE_ROUTE;
    static constexpr Interest request_interest = Interest::Stream;
    static constexpr Interest response_interest = Interest::Stream;

    Filter() = default;
    Filter(const Filter &) = delete;
    Filter &operator=(const Filter &) = delete;
    virtual ~Filter() = default;

    virtual Status on_request_headers(Stream &) { return Status::Continue; }
    virtual Status on_request_body(Stream &) { return Status::Continue; }
    virtual Status on_request_trailers(Stream &) { return Status::Continue; }
    virtual Status on_response_headers(Stream &) { return Status::Continue; }
    virtual Status on_response_body(Stream &) { return Status::Continue; }
    virtual Status on_response_trailers(Stream &) { return Status::Continue; }
    virtual Status on_resume(Stream &) { return Status::Continue; }
    virtual void on_complete(Stream &, const sidegate_completion_v1 &) {}
};

namespace detail {

/* What the exception in flight says; for catch (...). */
inline std::string message() {
    try {
        throw;
    } catch (const std::exception &thrown) {
        return thrown.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

inline uint32_t refuse(sidegate_error_out_v1 *error) noexcept {
    try {
        throw;
    } catch (const ConfigError &thrown) {
        return sidegate_error(error, thrown.path().c_str(), thrown.what());
    } catch (const std::exception &thrown) {
        return sidegate_error(error, nullptr, thrown.what());
    } catch (...) {
        sidegate_error(error, nullptr, "an exception that is no std::exception");
        return SIDEGATE_PANICKED;
    }
}

template <class C, class = void> constexpr bool exports_state = false;
template <class C>
constexpr bool exports_state<C, std::void_t<decltype(std::declval<const C &>().export_state())>> = true;
template <class C, class = void> constexpr bool imports_state = false;
template <class C>
constexpr bool imports_state<C, std::void_t<decltype(std::declval<C &>().import_state(std::string_view()))>> = true;

/* The functions of one filter's tables. */
template <class F> struct Functions {
    using Config = typename F::Config;
    using Worker = typename F::Worker;
    using Route = typename F::Route;
    static constexpr bool has_worker = !std::is_same_v<Worker, Nothing>;
    static constexpr bool has_route = !std::is_same_v<Route, Nothing>;
    static_assert(std::is_base_of_v<Filter, F>, "a filter derives from sidegate::Filter");
    static constexpr bool asks_plugins = std::is_constructible_v<Config, std::string_view, const Plugins &>;
    static_assert(std::is_same_v<Config, Nothing> || std::is_constructible_v<Config, std::string_view> || asks_plugins,
                  "Config needs a constructor from std::string_view, its JSON");

    /* A hook that F inherits from Filter has Filter's own type. */
    template <class Hook> static constexpr bool overrides(Hook) {
        return !std::is_same_v<Hook, Status (Filter::*)(Stream &)> &&
               !std::is_same_v<Hook, void (Filter::*)(Stream &, const sidegate_completion_v1 &)>;
    }

    template <Status (Filter::*hook_fn)(Stream &)>
    static uint32_t hook(void *filter, const sidegate_hook_v1 *hook) noexcept {
        try {
            Stream stream(hook);
            return static_cast<uint32_t>((static_cast<Filter *>(filter)->*hook_fn)(stream));
        } catch (...) {
            fault(hook);
            return SIDEGATE_STATUS_FAULT;
        }
    }
    static void fault(const sidegate_hook_v1 *hook) noexcept {
        try {
            sidegate_host->fault(hook->stream, slice(message()));
        } catch (...) {
            /* No memory for the message. */
        }
    }
    static void complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *how) noexcept {
        try {
            Stream stream(hook);
            static_cast<Filter *>(filter)->on_complete(stream, *how);
        } catch (...) {
            logged("on_complete");
        }
    }
    static void logged(const char *where) noexcept {
        try {
            log(SIDEGATE_LOG_ERROR, std::string(where) + ": " + message());
        } catch (...) {
            /* No memory for the message. */
        }
    }

    static F *make(const Config &config, [[maybe_unused]] Worker *worker) {
        if constexpr (has_worker && std::is_constructible_v<F, const Config &, Worker &>) return new F(config, *worker);
        else if constexpr (std::is_constructible_v<F, const Config &>) return new F(config);
        else return new F();
    }
    static uint32_t create(void *config, uint32_t, void *worker, void **filter) noexcept {
        try {
            /* The hooks take a Filter, which need not be where F is. */
            *filter = static_cast<Filter *>(make(*static_cast<const Config *>(config), static_cast<Worker *>(worker)));
            return SIDEGATE_OK;
        } catch (...) {
            logged("making a filter");
            return SIDEGATE_PANICKED;
        }
    }
    static void destroy(void *filter) noexcept { delete static_cast<Filter *>(filter); }
    static void destroy_config(void *config) noexcept { delete static_cast<Config *>(config); }

    static uint32_t attach(void *config, uint32_t worker, void **state) noexcept {
        try {
            if constexpr (has_worker) *state = new Worker(*static_cast<const Config *>(config), worker);
            return SIDEGATE_OK;
        } catch (...) {
            logged("making the state of a worker");
            return SIDEGATE_PANICKED;
        }
    }
    static void detach(void *, uint32_t, void *state) noexcept { delete static_cast<Worker *>(state); }

    static uint32_t create_route(void *config, sidegate_slice json, sidegate_error_out_v1 *error,
                                 void **route) noexcept {
        try {
            if constexpr (has_route) *route = new Route(*static_cast<const Config *>(config), view(json));
            return SIDEGATE_OK;
        } catch (...) {
            return refuse(error);
        }
    }
    static void destroy_route(void *, void *route) noexcept { delete static_cast<Route *>(route); }

    static uint32_t export_state(void *config, sidegate_state_out *out, sidegate_error_out_v1 *error) noexcept {
        try {
            if constexpr (exports_state<Config>) {
                const std::string bytes = static_cast<const Config *>(config)->export_state();
                return sidegate_state_write(sidegate_host, out, slice(bytes));
            }
            return SIDEGATE_NOT_FOUND;
        } catch (...) {
            return refuse(error);
        }
    }
    static uint32_t import_state(void *config, sidegate_slice bytes, sidegate_error_out_v1 *error) noexcept {
        try {
            if constexpr (imports_state<Config>) static_cast<Config *>(config)->import_state(view(bytes));
            return SIDEGATE_OK;
        } catch (...) {
            return refuse(error);
        }
    }

    static constexpr bool request_headers = overrides(&F::on_request_headers);
    static constexpr bool request_body = overrides(&F::on_request_body);
    static constexpr bool request_trailers = overrides(&F::on_request_trailers);
    static constexpr bool response_headers = overrides(&F::on_response_headers);
    static constexpr bool response_body = overrides(&F::on_response_body);
    static constexpr bool response_trailers = overrides(&F::on_response_trailers);
    static constexpr bool completes = overrides(&F::on_complete);
    static_assert(request_headers || request_body || request_trailers || response_headers || response_body ||
                      response_trailers || completes,
                  "a filter overrides at least one hook");

    static uint32_t factory(const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result) noexcept {
        static const sidegate_factory_table_v1 factory_table = {
            sizeof factory_table, destroy_config, create,
            has_route ? create_route : nullptr, has_route ? destroy_route : nullptr,
            has_worker ? attach : nullptr, has_worker ? detach : nullptr,
            exports_state<Config> ? export_state : nullptr, imports_state<Config> ? import_state : nullptr,
        };
        static const sidegate_filter_table_v1 filter_table = {
            sizeof filter_table, destroy,
            request_headers ? hook<&Filter::on_request_headers> : nullptr,
            request_body ? hook<&Filter::on_request_body> : nullptr,
            request_trailers ? hook<&Filter::on_request_trailers> : nullptr,
            response_headers ? hook<&Filter::on_response_headers> : nullptr,
            response_body ? hook<&Filter::on_response_body> : nullptr,
            response_trailers ? hook<&Filter::on_response_trailers> : nullptr,
            overrides(&F::on_resume) ? hook<&Filter::on_resume> : nullptr,
            completes ? complete : nullptr,
        };
        try {
            if constexpr (std::is_same_v<Config, Nothing>) result->factory = new Config();
            else if constexpr (asks_plugins) result->factory = new Config(view(args->config), Plugins(args));
            else result->factory = new Config(view(args->config));
        } catch (...) {
            return refuse(args->error);
        }
        result->factory_table = &factory_table;
        result->filter_table = &filter_table;
        result->interests.phases = request_headers ? F::phases : 0;
        result->interests.request_body = request_body ? static_cast<uint32_t>(F::request_interest) : 0;
        result->interests.response_body = response_body ? static_cast<uint32_t>(F::response_interest) : 0;
        result->interests.hooks = (request_trailers ? SIDEGATE_WANT_REQUEST_TRAILERS : 0) |
                                  (response_headers ? SIDEGATE_WANT_RESPONSE_HEADERS : 0) |
                                  (response_trailers ? SIDEGATE_WANT_RESPONSE_TRAILERS : 0) |
                                  (completes ? SIDEGATE_WANT_COMPLETE : 0);
        return SIDEGATE_OK;
    }
};

} /* namespace detail */

/* A filter by its name; for SIDEGATE_CPP_MODULE. */
struct Named {
    const char *name;
    uint32_t (*factory)(const sidegate_create_args_v1 *, sidegate_create_result_v1 *) noexcept;
};
template <class F> constexpr Named filter(const char *name) { return {name, detail::Functions<F>::factory}; }

namespace detail {

inline uint32_t find(std::initializer_list<Named> filters, const sidegate_create_args_v1 *args,
                     sidegate_create_result_v1 *result) noexcept {
    char known[256] = "expected one of this module's filters: ";
    const char *separator = "";
    for (const Named &it : filters) {
        if ((filters.size() == 1 && args->filter_name.len == 0) || view(args->filter_name) == it.name)
            return it.factory(args, result);
        sidegate_append(known, sizeof known, sidegate_str(separator));
        sidegate_append(known, sizeof known, sidegate_str(it.name));
        separator = ", ";
    }
    sidegate_error(args->error, nullptr, known);
    return SIDEGATE_NOT_FOUND;
}

} /* namespace detail */
} /* namespace sidegate */

/* Defines what a module exports: SIDEGATE_CPP_MODULE("name", "version",
 * sidegate::filter<Class>("filter"), ...), once, at file scope. */
#define SIDEGATE_CPP_MODULE(module_name, module_version, ...)                                                     \
    extern "C" const sidegate_module_record_v1 sidegate_module_v1 = {                                             \
        {'S', 'I', 'D', 'E', 'G', 'A', 'T', 'E'}, static_cast<uint32_t>(sizeof(sidegate_module_record_v1)),       \
        SIDEGATE_ABI_MAJOR, SIDEGATE_ABI_MINOR, 0, SIDEGATE_PANIC_UNWIND, 0,                                      \
        module_name "", module_version "", "sidegate.hpp", "1.1", SIDEGATE_COMPILER, "", {0},                     \
    };                                                                                                            \
    extern "C" {                                                                                                  \
    const sidegate_host_v1 *sidegate_host;                                                                        \
    sidegate_module *sidegate_self;                                                                               \
    }                                                                                                             \
    uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,                               \
                                               sidegate_create_result_v1 *result) noexcept {                      \
        if (!sidegate_host_ok(args->host)) return sidegate_error(args->error, nullptr, "this host is too old");   \
        if (!sidegate_host) sidegate_host = args->host, sidegate_self = args->module;                             \
        return sidegate::detail::find({__VA_ARGS__}, args, result);                                               \
    }

#endif
