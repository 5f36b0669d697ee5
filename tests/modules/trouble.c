/* Does what no module should, where and when it is told to.

   A request says what with `x-do` and in which hook with `x-in`. The factory's
   configuration says the same for what is not a request's: it is looked for
   the words "create:WHAT", "route:WHAT", "attach:WHAT" and "destroy:WHAT".
   "until:PATH" is the file whose appearance ends a hang; PATH.hangs appears
   when one begins. With -DCONSTRUCTOR
   or -DDESTRUCTOR, as a string, it happens when the library comes or goes. */
#define _GNU_SOURCE
#include "sidegate.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

SIDEGATE_MODULE_RECORD("trouble", "1.0.0")

static const sidegate_host_v1 *host;
static char until[256] = "/nonexistent";

static void hang(void) {
    char hangs[sizeof until + 8];
    FILE *file;
    snprintf(hangs, sizeof hangs, "%s.hangs", until);
    file = fopen(hangs, "w");
    if (file) fclose(file);
    while (access(until, F_OK) != 0) usleep(1000);
}

static int deeper(volatile char *above, unsigned depth) {
    volatile char here[512];
    here[0] = above ? above[0] : 1;
    return depth == 0 ? here[0] : deeper(here, depth - 1) + here[0];
}

static void *crash(void *nothing) {
    (void)nothing;
    *(volatile int *)16 = 1;
    return NULL;
}

static void child(void) {
    pid_t parent = getpid();
    if (fork() != 0) return;
    /* Bounded, should nobody end it. */
    alarm(20);
    while (access(until, F_OK) != 0) usleep(1000);
    (void)parent;
    _exit(0);
}

void trouble_cause(const char *what, size_t length);

void trouble_cause(const char *what, size_t length) {
    volatile int zero = 0;
    char name[32] = "";
    if (length >= sizeof name) return;
    memcpy(name, what, length);
    if (strcmp(name, "hang") == 0) hang();
    if (strcmp(name, "spin") == 0)
        for (;;) zero = 0;
    if (strcmp(name, "segv") == 0) crash(NULL);
    if (strcmp(name, "thread") == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, crash, NULL) == 0) pthread_join(thread, NULL);
    }
    if (strcmp(name, "bus") == 0) {
        int file = memfd_create("empty", MFD_CLOEXEC);
        volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
        zero = page[0];
    }
#if defined(__x86_64__)
    if (strcmp(name, "fpe") == 0) zero = 7 / zero;
    if (strcmp(name, "ill") == 0) __asm__ volatile("ud2");
#else
    if (strcmp(name, "fpe") == 0) raise(SIGFPE);
    if (strcmp(name, "ill") == 0) raise(SIGILL);
#endif
    if (strcmp(name, "abort") == 0) abort();
    if (strcmp(name, "raise") == 0) raise(SIGSEGV);
    if (strcmp(name, "overflow") == 0) zero = deeper(NULL, ~0u);
    if (strcmp(name, "exit") == 0) exit(0);
    if (strcmp(name, "quick_exit") == 0) quick_exit(0);
    if (strcmp(name, "fork") == 0) child();
    /* Both go on. */
    if (strcmp(name, "fork_on") == 0 && fork() == 0) alarm(20);
}

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void come(void) { trouble_cause(CONSTRUCTOR, strlen(CONSTRUCTOR)); }
#endif
#ifdef DESTRUCTOR
__attribute__((destructor)) static void go(void) { trouble_cause(DESTRUCTOR, strlen(DESTRUCTOR)); }
#endif

/* Word after `key` in the configuration, up to a dot or quote. */
static int after(sidegate_slice config, const char *key, char *word, size_t room) {
    const char *found = config.len ? memmem(config.ptr, (size_t)config.len, key, strlen(key)) : NULL;
    size_t length = 0;
    if (!found) return 0;
    found += strlen(key);
    while (found + length < (const char *)config.ptr + config.len && !strchr(" \"", found[length])) length++;
    if (length >= room) return 0;
    memcpy(word, found, length);
    word[length] = 0;
    return 1;
}

struct factory {
    char attach[32], route[32], destroy[32];
};

struct filter {
    char what[32], where[32];
};

static void word_of(const sidegate_hook_v1 *hook, const char *name, char *word) {
    sidegate_slice value = {NULL, 0};
    if (host->header_get(hook->stream, 0, sidegate_str(name), &value) == SIDEGATE_OK && value.len < 32)
        memcpy(word, value.ptr, (size_t)value.len);
}

static void maybe(struct filter *filter, const char *where) {
    if (strcmp(filter->where, where) == 0) trouble_cause(filter->what, strlen(filter->what));
}

static uint32_t on_request_headers(void *object, const sidegate_hook_v1 *hook) {
    struct filter *filter = object;
    word_of(hook, "x-do", filter->what);
    word_of(hook, "x-in", filter->where);
    maybe(filter, "request_headers");
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_request_body(void *object, const sidegate_hook_v1 *hook) {
    (void)hook;
    maybe(object, "request_body");
    return SIDEGATE_STATUS_CONTINUE;
}

static uint32_t on_response_headers(void *object, const sidegate_hook_v1 *hook) {
    (void)hook;
    maybe(object, "response_headers");
    return SIDEGATE_STATUS_CONTINUE;
}

static void on_complete(void *object, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *completion) {
    (void)hook, (void)completion;
    maybe(object, "complete");
}

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) {
    (void)factory, (void)worker, (void)state;
    *filter = calloc(1, sizeof(struct filter));
    return *filter ? SIDEGATE_OK : SIDEGATE_LIMIT;
}

static void destroy_filter(void *filter) {
    maybe(filter, "destroy");
    free(filter);
}

static void destroy_factory(void *object) {
    struct factory *factory = object;
    trouble_cause(factory->destroy, strlen(factory->destroy));
    free(factory);
}

static uint32_t attach(void *object, uint32_t worker, void **state) {
    struct factory *factory = object;
    (void)worker, (void)state;
    trouble_cause(factory->attach, strlen(factory->attach));
    return SIDEGATE_OK;
}

static uint32_t create_route(void *object, sidegate_slice config, sidegate_error_out_v1 *error, void **route) {
    struct factory *factory = object;
    (void)config, (void)error;
    trouble_cause(factory->route, strlen(factory->route));
    *route = NULL;
    return SIDEGATE_OK;
}

static void destroy_route(void *factory, void *route) { (void)factory, (void)route; }
static void detach(void *factory, uint32_t worker, void *state) { (void)factory, (void)worker, (void)state; }

static const sidegate_factory_table_v1 factory_table = {
    sizeof factory_table, destroy_factory, create_filter, create_route, destroy_route, attach, detach, NULL, NULL};
static const sidegate_filter_table_v1 filter_table = {
    .size = sizeof filter_table,
    .destroy = destroy_filter,
    .on_request_headers = on_request_headers,
    .on_request_body = on_request_body,
    .on_response_headers = on_response_headers,
    .on_complete = on_complete,
};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) {
    struct factory *factory = calloc(1, sizeof *factory);
    char word[32] = "";
    if (!factory || !sidegate_host_ok(args->host)) return SIDEGATE_FAILED;
    host = args->host;
    after(args->config, "until:", until, sizeof until);
    after(args->config, "attach:", factory->attach, sizeof factory->attach);
    after(args->config, "route:", factory->route, sizeof factory->route);
    after(args->config, "destroy:", factory->destroy, sizeof factory->destroy);
    if (after(args->config, "create:", word, sizeof word)) trouble_cause(word, strlen(word));
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->factory = factory;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    result->interests.request_body = SIDEGATE_BODY_STREAM;
    result->interests.hooks = SIDEGATE_WANT_COMPLETE | SIDEGATE_WANT_RESPONSE_HEADERS;
    return SIDEGATE_OK;
}
