/*
 * Filter `wait`: waits for a thread of its own. The request header `x-wait` says
 * how:
 *
 *   later   resumed by the thread, after the hook has returned
 *   early   resumed before the hook returns
 *   twice   resumed by the thread two times
 *   reply   as later; on_resume answers 202 "resumed"
 *
 * What went on gets x-resumed: yes. Other requests pass.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "sidegate.h"

typedef struct job {
    struct job *next;
    sidegate_resume *resume;
    int times;
} job;

typedef struct waiter {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    job *jobs;
    int ending;
} waiter;

typedef struct waiting {
    waiter *by;
    int reply;
} waiting;

static void *work(void *object) {
    waiter *self = (waiter *)object;
    pthread_mutex_lock(&self->lock);
    while (self->jobs || !self->ending) {
        job *next = self->jobs;
        if (!next) {
            pthread_cond_wait(&self->more, &self->lock);
            continue;
        }
        self->jobs = next->next;
        pthread_mutex_unlock(&self->lock);
        while (next->times-- > 0) sidegate_host->resume(next->resume);
        sidegate_host->resume_release(next->resume);
        free(next);
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    waiter *self = (waiter *)object;
    sigset_t all, before;
    int failed;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->more, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    failed = pthread_create(&self->thread, NULL, work, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? sidegate_error(args->error, NULL, "the thread did not start") : SIDEGATE_OK;
}

static void release(void *object) SIDEGATE_NOEXCEPT {
    waiter *self = (waiter *)object;
    pthread_mutex_lock(&self->lock);
    self->ending = 1;
    pthread_cond_signal(&self->more);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->more);
    pthread_mutex_destroy(&self->lock);
}

static uint32_t begin(void *object, void *config, void *worker_state) SIDEGATE_NOEXCEPT {
    (void)worker_state;
    ((waiting *)object)->by = (waiter *)config;
    return SIDEGATE_OK;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    waiting *self = (waiting *)filter;
    sidegate_slice how;
    job *made;
    if (sidegate_host->header_get(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-wait"), &how) != SIDEGATE_OK)
        return SIDEGATE_STATUS_CONTINUE;
    made = (job *)calloc(1, sizeof *made);
    if (!made) return SIDEGATE_STATUS_FAULT;
    if (sidegate_host->resume_handle(hook->stream, &made->resume) != SIDEGATE_OK) {
        free(made);
        return SIDEGATE_STATUS_FAULT;
    }
    self->reply = sidegate_slice_eq(how, sidegate_str("reply"));
    made->times = sidegate_slice_eq(how, sidegate_str("twice")) ? 2 : 1;
    if (sidegate_slice_eq(how, sidegate_str("early"))) {
        sidegate_host->resume(made->resume);
        sidegate_host->resume_release(made->resume);
        free(made);
        return SIDEGATE_STATUS_PENDING;
    }
    pthread_mutex_lock(&self->by->lock);
    made->next = self->by->jobs;
    self->by->jobs = made;
    pthread_cond_signal(&self->by->more);
    pthread_mutex_unlock(&self->by->lock);
    return SIDEGATE_STATUS_PENDING;
}

static uint32_t on_resume(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    if (((waiting *)filter)->reply) return sidegate_reply_text(sidegate_host, hook->stream, 202, "resumed");
    sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-resumed"), sidegate_str("yes"));
    return SIDEGATE_STATUS_CONTINUE;
}

SIDEGATE_FILTER(waits, "wait", SIDEGATE_CONFIG(waiter, configure, release), SIDEGATE_STREAM(waiting, begin, NULL),
                SIDEGATE_ON_REQUEST_HEADERS(on_request_headers, SIDEGATE_IN_AFTER_ROUTE),
                SIDEGATE_ON_RESUME(on_resume))
SIDEGATE_MODULE("wait", "1.0.0", waits)
