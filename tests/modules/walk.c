/* Walks at random through the whole ABI: every hook calls host functions that a
 * seeded generator picks, with arguments that are valid, NULL, huge, unaligned,
 * stale, forged, of the wrong phase or from the wrong thread, and returns a
 * random status. It never lends memory that it does not have: what is left is
 * all that a host can defend itself against.
 *
 * It also watches the host. A result that is no result, an output that was
 * touched by a call that failed, a hook that overlaps, comes on another thread,
 * after its stream's end or without having been asked for ends the process with
 * a line on stderr.
 *
 * Configuration {"seed": N}. The filters differ in the phases and bodies they ask
 * for: heads, observes, streams, wholes, mixed.
 * Counters: walk_made, walk_destroyed, walk_completed, walk_calls. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "sidegate.h"
#include "walk.h"

enum { MADE, DESTROYED, COMPLETED, CALLS, COUNTERS };
static const char *const counter_names[COUNTERS] = {"walk_made", "walk_destroyed", "walk_completed", "walk_calls"};
static uint64_t counters[COUNTERS];

struct config {
    uint64_t seed;
    uint64_t streams;
    int ending;
    pthread_t thread;
};

/* What the host must not mix up between workers. */
struct worker {
    pthread_t thread;
    uint32_t magic;
};

enum state { RUNNING, WAITING, OVER };

struct filter {
    struct walk walk;
    const struct config *config;
    struct worker *worker;
    enum state state;
    int inside;
};

static void enter(struct filter *self, const sidegate_hook_v1 *hook, int resumes) {
    WATCH(!self->inside && self->state != OVER);
    WATCH(resumes ? self->state == WAITING : self->state == RUNNING);
    WATCH(hook->size == sizeof *hook && hook->worker_state == self->worker && self->worker->magic == WORKER_MAGIC);
    WATCH(pthread_equal(self->worker->thread, pthread_self()));
    WATCH(hook->phase >= SIDEGATE_PHASE_BEFORE_ROUTE && hook->phase <= SIDEGATE_PHASE_SEND);
    WATCH(hook->flags <= (SIDEGATE_HOOK_END | SIDEGATE_HOOK_BODY_END));
    self->inside = 1;
}

static uint32_t leave(struct filter *self, uint32_t status) {
    self->inside = 0;
    self->state = status == SIDEGATE_STATUS_PENDING ? WAITING
                  : status >= SIDEGATE_STATUS_FAULT ? OVER
                                                    : RUNNING;
    sidegate_host->metric_add(sidegate_self, counters[CALLS], (int64_t)self->walk.calls);
    self->walk.calls = 0;
    return status;
}

/* Mostly CONTINUE, so that streams get far. */
static uint32_t any_status(struct filter *self, sidegate_stream *stream) {
    sidegate_resume *handle;
    switch (walk_below(&self->walk, 150)) {
    case 0: return SIDEGATE_STATUS_STOP;
    case 1: return sidegate_reply_text(sidegate_host, stream, 418, "walk") == SIDEGATE_STATUS_STOP
                       ? SIDEGATE_STATUS_STOP : SIDEGATE_STATUS_CONTINUE;
    case 2: return SIDEGATE_STATUS_TERMINATE;
    case 3: return SIDEGATE_STATUS_REMATCH_ROUTE;
    case 4: return SIDEGATE_STATUS_RECHOOSE_HOST;
    case 5: return SIDEGATE_STATUS_FAULT;
    case 6: return (uint32_t)walk_next(&self->walk);
    case 7: return SIDEGATE_STATUS_PENDING; /* perhaps never resumed */
    case 8: case 9: case 10: case 11: case 12:
        if (sidegate_host->resume_handle(stream, &handle) != SIDEGATE_OK) return SIDEGATE_STATUS_CONTINUE;
        walk_keep_handle(&self->walk, handle);
        if (walk_below(&self->walk, 3) == 0) sidegate_host->resume(handle);
        return SIDEGATE_STATUS_PENDING;
    default: return SIDEGATE_STATUS_CONTINUE;
    }
}

static uint32_t step(void *filter, const sidegate_hook_v1 *hook, int resumes) {
    struct filter *self = filter;
    uint64_t calls = walk_below(&self->walk, 24);
    enter(self, hook, resumes);
    walk_keep_stream(hook->stream);
    while (calls-- > 0) walk_call(&self->walk, hook->stream);
    return leave(self, any_status(self, hook->stream));
}

static uint32_t any_hook(void *filter, const sidegate_hook_v1 *hook) { return step(filter, hook, 0); }
static uint32_t on_resume(void *filter, const sidegate_hook_v1 *hook) { return step(filter, hook, 1); }

static void on_complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *completion) {
    struct filter *self = filter;
    int i;
    enter(self, hook, self->state == WAITING);
    WATCH(completion->size == sizeof *completion && completion->status <= 999 && completion->unused == 0);
    WATCH(completion->reset_by <= SIDEGATE_RESET_PROXY);
    for (i = 0; i < 4; i++) walk_call(&self->walk, hook->stream);
    sidegate_host->metric_add(sidegate_self, counters[COMPLETED], 1);
    self->inside = 0;
    self->state = OVER;
}

static uint32_t begin(void *object, void *config, void *worker_state) {
    struct filter *self = object;
    struct config *made_from = config;
    self->config = made_from;
    self->worker = worker_state;
    WATCH(self->worker && self->worker->magic == WORKER_MAGIC);
    WATCH(pthread_equal(self->worker->thread, pthread_self()));
    /* Streams of one number walk the same way, whatever worker they are on. */
#ifdef WALK_CHOICES
    self->walk.state = made_from->seed;
    walk_read_choices();
#else
    self->walk.state = made_from->seed * 1000003 + __atomic_add_fetch(&made_from->streams, 1, __ATOMIC_RELAXED);
#endif
    if (walk_below(&self->walk, 300) == 0) return (uint32_t)walk_next(&self->walk) | 1;
    sidegate_host->metric_add(sidegate_self, counters[MADE], 1);
    return SIDEGATE_OK;
}

static void end(void *object) {
    struct filter *self = object;
    WATCH(!self->inside && pthread_equal(self->worker->thread, pthread_self()));
    walk_call(&self->walk, NULL);
    sidegate_host->metric_add(sidegate_self, counters[DESTROYED], 1);
}

static uint32_t attach(void *config, uint32_t worker, void **state) {
    struct worker *made = malloc(sizeof *made);
    (void)config, (void)worker;
    if (!made) return SIDEGATE_LIMIT;
    made->thread = pthread_self();
    made->magic = WORKER_MAGIC;
    *state = made;
    return SIDEGATE_OK;
}

static void detach(void *config, uint32_t worker, void *state) {
    struct worker *made = state;
    (void)config, (void)worker;
    WATCH(made->magic == WORKER_MAGIC && pthread_equal(made->thread, pthread_self()));
    made->magic = 0;
    free(made);
}

static uint32_t create_route(void *config, sidegate_slice text, sidegate_error_out_v1 *error, void **made) {
    uint32_t *magic = malloc(sizeof *magic);
    (void)config, (void)text, (void)error;
    if (!magic) return SIDEGATE_LIMIT;
    *magic = ROUTE_MAGIC;
    *made = magic;
    return SIDEGATE_OK;
}

static void destroy_route(void *config, void *made) {
    (void)config;
    WATCH(*(uint32_t *)made == ROUTE_MAGIC);
    *(uint32_t *)made = 0;
    free(made);
}

/* Calls from a thread that no hook runs on, for as long as there are streams;
 * not for a fuzzer, whose inputs have to do the same whenever they are run. */
static void *elsewhere(void *object) {
    struct config *self = object;
    struct walk walk = {.state = self->seed ^ 0x9e3779b97f4a7c15};
    struct timespec pause = {0, 200000};
    while (!__atomic_load_n(&self->ending, __ATOMIC_ACQUIRE)) {
        walk_call(&walk, NULL);
        walk_resume_kept(&walk);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) {
    struct config *self = object;
    char text[64] = "";
    sidegate_append(text, sizeof text, args->config);
    if (sscanf(text, "{\"seed\":%llu}", (unsigned long long *)&self->seed) != 1)
        return sidegate_error(args->error, "seed", "expected a number");
    for (size_t i = 0; i < COUNTERS; i++)
        if (sidegate_metric(args, SIDEGATE_METRIC_COUNTER, counter_names[i], &counters[i]) != SIDEGATE_OK)
            return SIDEGATE_FAILED;
#ifdef WALK_CHOICES
    self->ending = 1;
#endif
    if (pthread_create(&self->thread, NULL, elsewhere, self) != 0)
        return sidegate_error(args->error, NULL, "the thread did not start");
    return SIDEGATE_OK;
}

static void release(void *object) {
    struct config *self = object;
    __atomic_store_n(&self->ending, 1, __ATOMIC_RELEASE);
    pthread_join(self->thread, NULL);
}

#define WALK(ident, name, phases, request, response)                                                              \
    SIDEGATE_FILTER(ident, name, SIDEGATE_CONFIG(struct config, configure, release),                              \
                    SIDEGATE_STREAM(struct filter, begin, end), SIDEGATE_WORKER(attach, detach),                  \
                    SIDEGATE_ROUTE_CONFIG(create_route, destroy_route), SIDEGATE_ON_RESUME(on_resume),            \
                    SIDEGATE_ON_COMPLETE(on_complete), SIDEGATE_ON_REQUEST_HEADERS(any_hook, phases),             \
                    SIDEGATE_ON_REQUEST_BODY(any_hook, request), SIDEGATE_ON_REQUEST_TRAILERS(any_hook),          \
                    SIDEGATE_ON_RESPONSE_HEADERS(any_hook), SIDEGATE_ON_RESPONSE_BODY(any_hook, response),        \
                    SIDEGATE_ON_RESPONSE_TRAILERS(any_hook))

WALK(heads, "heads", 14, SIDEGATE_BODY_NONE, SIDEGATE_BODY_NONE)
WALK(observes, "observes", 2, SIDEGATE_BODY_OBSERVE, SIDEGATE_BODY_OBSERVE)
WALK(streams, "streams", 4, SIDEGATE_BODY_STREAM, SIDEGATE_BODY_STREAM)
WALK(wholes, "wholes", 8, SIDEGATE_BODY_WHOLE, SIDEGATE_BODY_WHOLE)
WALK(mixed, "mixed", 10, SIDEGATE_BODY_WHOLE, SIDEGATE_BODY_STREAM)
SIDEGATE_MODULE("walk", "1.0.0", heads, observes, streams, wholes, mixed)
