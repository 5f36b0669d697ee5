/* Leaves behind what a module can leave on threads, each in one way that its
 * language has for it; also a module in C++. For every request:
 *
 *   a thread-local object with a destructor    counter left_objects
 *   a value of a key with a destructor         counter left_values
 *   a resume handle that is never released
 *
 * and for every factory a thread that ends some time after the factory was
 * destroyed, without being waited for (counter left_threads). Counter
 * left_detached: calls of sidegate_thread_detach_v1. */
#include <pthread.h>
#include <time.h>
#include "sidegate.h"

static uint64_t left_objects, left_values, left_threads, left_detached;

static void count(uint64_t metric) { sidegate_host->metric_add(sidegate_self, metric, 1); }

static void pause_a_moment(void) {
    const struct timespec moment = {0, 2000000};
    nanosleep(&moment, NULL);
}

#ifdef __cplusplus
#include <atomic>
#include <memory>
#include <string>
#include <thread>

struct object {
    std::string text = std::string(100, 'x');
    ~object() { count(left_objects); }
};

static void touch_object() {
    thread_local object it;
    it.text += "y";
}

static std::atomic<int> factories_gone, threads_seen;

static void work(int mine) {
    touch_object();
    while (factories_gone.load() < mine) pause_a_moment();
    for (int i = 0; i < 10; i++) pause_a_moment();
    count(left_threads);
}

static bool start_thread() {
    std::thread(work, ++threads_seen).detach();
    return true;
}

static void end_thread() { ++factories_gone; }

#else
#include <stdatomic.h>
#include <stdlib.h>

extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static void destroy_object(void *object) {
    free(object);
    count(left_objects);
}

static void touch_object(void) {
    static _Thread_local void *it;
    if (it) return;
    it = malloc(100);
    __cxa_thread_atexit_impl(destroy_object, it, &__dso_handle);
}

static atomic_int factories_gone, threads_seen;

static void *work(void *object) {
    const int mine = (int)(intptr_t)object;
    int i;
    touch_object();
    while (atomic_load(&factories_gone) < mine) pause_a_moment();
    for (i = 0; i < 10; i++) pause_a_moment();
    count(left_threads);
    pthread_exit(NULL);
}

static int start_thread(void) {
    pthread_t thread;
    const intptr_t mine = atomic_fetch_add(&threads_seen, 1) + 1;
    return pthread_create(&thread, NULL, work, (void *)mine) == 0 && pthread_detach(thread) == 0;
}

static void end_thread(void) { atomic_fetch_add(&factories_gone, 1); }
#endif

static pthread_key_t key;
static int has_key;

static void destroy_value(void *value) {
    (void)value;
    count(left_values);
}

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    (void)object;
    if (sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "left_objects", &left_objects) != SIDEGATE_OK ||
        sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "left_values", &left_values) != SIDEGATE_OK ||
        sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "left_threads", &left_threads) != SIDEGATE_OK ||
        sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "left_detached", &left_detached) != SIDEGATE_OK)
        return SIDEGATE_FAILED;
    if (!has_key) has_key = pthread_key_create(&key, destroy_value) == 0;
    return has_key && start_thread() ? SIDEGATE_OK : sidegate_error(args->error, NULL, "no key or no thread");
}

static void release(void *object) SIDEGATE_NOEXCEPT {
    (void)object;
    end_thread();
}

static uint32_t leave(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    sidegate_resume *resume = NULL;
    (void)filter;
    touch_object();
    if (!pthread_getspecific(key)) pthread_setspecific(key, &key);
    if (sidegate_host->resume_handle(hook->stream, &resume) != SIDEGATE_OK) return SIDEGATE_STATUS_FAULT;
    return SIDEGATE_STATUS_CONTINUE;
}

void sidegate_thread_detach_v1(void) SIDEGATE_NOEXCEPT { count(left_detached); }

typedef struct settings {
    int unused;
} settings;

SIDEGATE_FILTER(leaves, "", SIDEGATE_CONFIG(settings, configure, release),
                SIDEGATE_ON_REQUEST_HEADERS(leave, SIDEGATE_IN_BEFORE_ROUTE))
SIDEGATE_MODULE("leaves", "1.0.0", leaves)
