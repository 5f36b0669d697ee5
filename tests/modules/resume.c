/* Waits and is resumed from a thread of its own. The request header `x-wait`
 * says how; without it, the request passes.
 *
 *   later    resumed by the thread, after the hook has returned
 *   early    resumed before the hook returns
 *   twice    resumed by the thread two times
 *   reply    as later; on_resume replies 202 "resumed"
 *   again    as later; on_resume waits a second time
 *   stale    resumed by the thread only after the stream's end
 *   self     each hook resumes itself and waits, x-times times; without end if
 *            there is no such header
 *   poll     resumed by the thread every 0.3 s, and waits again without end
 *
 * What went on gets x-resumed: <times> on its way upstream. Counters
 * `resume_ok`, `resume_already` and `resume_gone` tell what the host answered.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("resume", "1.0.0")

#define S(text) sidegate_str(text)

enum mode { PASS, LATER, EARLY, TWICE, REPLY, AGAIN, STALE, SELF, POLL };

struct job {
    struct job *next;
    sidegate_resume *resume;
    int times;
    long pause_ns;
};

struct factory {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *jobs;
    int ending;
};

struct filter {
    struct factory *factory;
    enum mode mode;
    int resumed;
    int wanted;
    /* Handed to the thread at the stream's end. */
    struct job *stale;
};

static const sidegate_host_v1 *host;
static sidegate_module *self;
static uint64_t counters[3];

static void resume(sidegate_resume *handle) {
    uint32_t result = host->resume(handle);
    int counter = result == SIDEGATE_OK ? 0 : result == SIDEGATE_ALREADY ? 1 : 2;
    host->metric_add(self, counters[counter], 1);
}

static void *work(void *object) {
    struct factory *factory = object;
    pthread_mutex_lock(&factory->lock);
    for (;;) {
        struct job *job = factory->jobs;
        if (!job) {
            if (factory->ending) break;
            pthread_cond_wait(&factory->more, &factory->lock);
            continue;
        }
        factory->jobs = job->next;
        pthread_mutex_unlock(&factory->lock);
        if (job->pause_ns) {
            struct timespec pause = {0, job->pause_ns};
            nanosleep(&pause, NULL);
        }
        while (job->times-- > 0) resume(job->resume);
        host->resume_release(job->resume);
        free(job);
        pthread_mutex_lock(&factory->lock);
    }
    pthread_mutex_unlock(&factory->lock);
    return NULL;
}

static void give(struct factory *factory, struct job *job) {
    pthread_mutex_lock(&factory->lock);
    job->next = factory->jobs;
    factory->jobs = job;
    pthread_cond_signal(&factory->more);
    pthread_mutex_unlock(&factory->lock);
}

static enum mode wanted(sidegate_stream *stream) {
    static const char *const names[] = {"",      "later", "early", "twice", "reply",
                                        "again", "stale", "self",  "poll"};
    sidegate_slice value;
    size_t i;
    if (host->header_get(stream, SIDEGATE_MAP_REQUEST, S("x-wait"), &value) != SIDEGATE_OK) return PASS;
    for (i = 1; i < sizeof names / sizeof *names; i++)
        if (sidegate_slice_eq(value, S(names[i]))) return (enum mode)i;
    return PASS;
}

static int times(sidegate_stream *stream) {
    sidegate_slice value;
    char text[12] = "";
    if (host->header_get(stream, SIDEGATE_MAP_REQUEST, S("x-times"), &value) != SIDEGATE_OK) return -1;
    memcpy(text, value.ptr, value.len < sizeof text ? value.len : sizeof text - 1);
    return atoi(text);
}

static uint32_t wait_for_thread(struct filter *filter, sidegate_stream *stream) {
    struct job *job = malloc(sizeof *job);
    if (!job) return SIDEGATE_STATUS_FAULT;
    job->times = filter->mode == TWICE ? 2 : 1;
    job->pause_ns = filter->mode == POLL ? 300 * 1000 * 1000L : 0;
    if (host->resume_handle(stream, &job->resume) != SIDEGATE_OK) {
        free(job);
        return SIDEGATE_STATUS_FAULT;
    }
    if (filter->mode == STALE) {
        filter->stale = job;
    } else if (filter->mode == EARLY || filter->mode == SELF) {
        resume(job->resume);
        host->resume_release(job->resume);
        free(job);
    } else {
        give(filter->factory, job);
    }
    return SIDEGATE_STATUS_PENDING;
}

static uint32_t on_request_headers(void *object, const sidegate_hook_v1 *hook) {
    struct filter *filter = object;
    filter->mode = wanted(hook->stream);
    filter->wanted = times(hook->stream);
    return filter->mode == PASS ? SIDEGATE_STATUS_CONTINUE : wait_for_thread(filter, hook->stream);
}

static uint32_t on_resume(void *object, const sidegate_hook_v1 *hook) {
    struct filter *filter = object;
    char times[12];
    filter->resumed++;
    if (filter->mode == POLL) return wait_for_thread(filter, hook->stream);
    if (filter->mode == SELF && filter->resumed != filter->wanted) return wait_for_thread(filter, hook->stream);
    if (filter->mode == REPLY) return sidegate_reply_text(host, hook->stream, 202, "resumed");
    if (filter->mode == AGAIN && filter->resumed == 1) return wait_for_thread(filter, hook->stream);
    snprintf(times, sizeof times, "%d", filter->resumed);
    host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, S("x-resumed"), S(times));
    return SIDEGATE_STATUS_CONTINUE;
}

static void destroy_filter(void *object) {
    struct filter *filter = object;
    if (filter->stale) give(filter->factory, filter->stale);
    free(filter);
}

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    struct filter *made = calloc(1, sizeof *made);
    (void)worker, (void)state;
    if (!made) return SIDEGATE_LIMIT;
    made->factory = factory;
    *filter = made;
    return SIDEGATE_OK;
}

static void destroy_factory(void *object) {
    struct factory *factory = object;
    pthread_mutex_lock(&factory->lock);
    factory->ending = 1;
    pthread_cond_signal(&factory->more);
    pthread_mutex_unlock(&factory->lock);
    pthread_join(factory->thread, NULL);
    pthread_cond_destroy(&factory->more);
    pthread_mutex_destroy(&factory->lock);
    free(factory);
}

static const sidegate_factory_table_v1 factory_table = {
    .size = sizeof factory_table, .destroy = destroy_factory, .create_filter = create_filter};
static const sidegate_filter_table_v1 filter_table = {.size = sizeof filter_table,
                                                      .destroy = destroy_filter,
                                                      .on_request_headers = on_request_headers,
                                                      .on_resume = on_resume};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    static const char *const names[] = {"resume_ok", "resume_already", "resume_gone"};
    struct factory *factory;
    sigset_t all, before;
    int failed, i;
    if (!sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    self = args->module;
    for (i = 0; i < 3; i++)
        if (host->metric_define(self, SIDEGATE_METRIC_COUNTER, S(names[i]), NULL, 0, &counters[i]) != SIDEGATE_OK)
            return sidegate_error(args->error, NULL, "a counter was not defined");
    factory = calloc(1, sizeof *factory);
    if (!factory) return sidegate_error(args->error, NULL, "out of memory");
    pthread_mutex_init(&factory->lock, NULL);
    pthread_cond_init(&factory->more, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    failed = pthread_create(&factory->thread, NULL, work, factory);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(factory);
        return sidegate_error(args->error, NULL, "the thread did not start");
    }
    result->factory = factory;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
