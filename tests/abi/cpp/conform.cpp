/*
 * The five filters of the table of behaviour on sidegate.hpp; what each does
 * stands in tests/abi/v1.0/c.
 */
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>

#include "sidegate.hpp"

using sidegate::Status;
using sidegate::Stream;

namespace {

struct Guard : sidegate::Filter {
    struct Config {
        explicit Config(std::string_view json) {
            const std::string_view start = R"({"user":")", end = R"("})";
            if (json.size() < start.size() + end.size() || json.substr(0, start.size()) != start ||
                json.substr(json.size() - end.size()) != end)
                throw sidegate::ConfigError("user", "expected a name");
            user = json.substr(start.size(), json.size() - start.size() - end.size());
        }
        std::string user;
    };
    explicit Guard(const Config &config) : config(config) {}

    Status on_request_headers(Stream &stream) override {
        if (stream.request().get("x-terminate")) return Status::Terminate;
        if (stream.request().get("x-fault")) throw std::runtime_error("asked for a fault");
        for (std::string_view user : stream.request().get_all("User"))
            if (user == config.user) return Status::Continue;
        return stream.reply(sidegate::Reply::text(403, "forbidden\n"));
    }
    const Config &config;
};

Status capitals(const Stream &stream, sidegate::Body body) {
    std::string text = body.text();
    for (char &c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    body.replace(text);
    if (stream.is_end()) body.append("!");
    return Status::Continue;
}

template <sidegate::Interest interest> struct Capitals : sidegate::Filter {
    static constexpr sidegate::Interest request_interest = interest;
    static constexpr sidegate::Interest response_interest = interest;
    Status on_request_body(Stream &stream) override { return capitals(stream, stream.request_body()); }
    Status on_response_body(Stream &stream) override { return capitals(stream, stream.response_body()); }
    Status on_request_trailers(Stream &stream) override {
        stream.request_trailers().set("x-checked", "yes");
        return Status::Continue;
    }
};

struct Wait : sidegate::Filter {
    /* A thread that resumes what it is given. */
    struct Config {
        explicit Config(std::string_view) {
            sigset_t all, before;
            sigfillset(&all);
            pthread_sigmask(SIG_BLOCK, &all, &before);
            thread = std::thread([this] { work(); });
            pthread_sigmask(SIG_SETMASK, &before, nullptr);
        }
        ~Config() {
            {
                const std::lock_guard<std::mutex> held(lock);
                ending = true;
            }
            more.notify_one();
            thread.join();
        }
        void give(sidegate::Resume resume, int times) const {
            {
                const std::lock_guard<std::mutex> held(lock);
                jobs.emplace_back(std::move(resume), times);
            }
            more.notify_one();
        }
        void work() {
            std::unique_lock<std::mutex> held(lock);
            for (;;) {
                more.wait(held, [this] { return ending || !jobs.empty(); });
                if (jobs.empty()) return;
                auto [resume, times] = std::move(jobs.front());
                jobs.pop_front();
                held.unlock();
                while (times-- > 0) resume.resume();
                held.lock();
            }
        }
        mutable std::mutex lock;
        mutable std::condition_variable more;
        mutable std::deque<std::pair<sidegate::Resume, int>> jobs;
        bool ending = false;
        std::thread thread;
    };
    explicit Wait(const Config &by) : by(by) {}

    Status on_request_headers(Stream &stream) override {
        const auto how = stream.request().get("x-wait");
        if (!how) return Status::Continue;
        sidegate::Resume resume = stream.resume_handle();
        replies = *how == "reply";
        if (*how == "early") resume.resume();
        else by.give(resume, *how == "twice" ? 2 : 1);
        return Status::Pending;
    }
    Status on_resume(Stream &stream) override {
        if (replies) return stream.reply(sidegate::Reply::text(202, "resumed"));
        stream.request().set("x-resumed", "yes");
        return Status::Continue;
    }
    const Config &by;
    bool replies = false;
};

struct OfWorker : sidegate::Filter {
    struct Config {
        explicit Config(std::string_view) {}
        sidegate::Counter seen{"seen"}, completed{"completed"};
    };
    struct Worker {
        Worker(const Config &, uint32_t) {}
        unsigned streams = 0;
    };
    struct Route {
        Route(const Config &, std::string_view json) : text(json) {
            if (json == "null") throw sidegate::ConfigError("", "expected a value");
        }
        std::string text;
    };
    static constexpr uint32_t phases = SIDEGATE_IN_AFTER_ROUTE;
    OfWorker(const Config &config, Worker &worker) : config(config), nth(++worker.streams) {}

    Status on_request_headers(Stream &stream) override {
        config.seen.add();
        head = std::string(stream.method()) + " " + std::string(stream.path());
        stream.set_named("conform", "shared");
        return Status::Continue;
    }
    Status on_response_headers(Stream &stream) override {
        auto response = stream.response();
        response.set("x-nth", std::to_string(nth));
        response.set("x-saw", head + " " + std::to_string(stream.number(SIDEGATE_VAR_STATUS).value()));
        response.set("x-named", stream.named("conform").value());
        if (const Route *route = stream.route<OfWorker>()) response.set("x-route", route->text);
        return Status::Continue;
    }
    void on_complete(Stream &, const sidegate_completion_v1 &how) override {
        if (how.status == 200 && how.reset_by == SIDEGATE_RESET_NOBODY) config.completed.add();
    }
    const Config &config;
    unsigned nth;
    std::string head;
};

} // namespace

SIDEGATE_CPP_MODULE("conform", "1.0.0", sidegate::filter<Guard>("guard"),
                    sidegate::filter<Capitals<sidegate::Interest::Whole>>("whole"),
                    sidegate::filter<Capitals<sidegate::Interest::Stream>>("stream"), sidegate::filter<Wait>("wait"),
                    sidegate::filter<OfWorker>("worker"))
