/*
 * sidegate_test.h - a Sidegate host in memory, for the tests of modules
 *
 * Runs the hooks of a module through the same tables as the proxy, without a
 * proxy. A test is a program that has the module's source in it, or is linked
 * with its shared library:
 *
 *     #include "sidegate_test.h"
 *     #include "marks.c"
 *
 *     int main(void) {
 *         sidegate_test *test = sidegate_test_start(NULL, "{}");
 *         sidegate_stream *stream = sidegate_test_request(test, "GET", "/", "user: admin\n");
 *         sidegate_test_run(stream);
 *         SIDEGATE_EXPECT(stream->status == 200);
 *         SIDEGATE_EXPECT_TEXT(sidegate_test_header(stream, SIDEGATE_MAP_REQUEST, "x-mark"), "1");
 *         sidegate_test_end(test);
 *         return 0;
 *     }
 *
 * Every string that the host lends has an allocation of its own, freed as soon
 * as the rules of sidegate.h allow: built with -fsanitize=address, a module that
 * keeps one too long is caught. What fails is said on stderr, and the program
 * aborts. One thread runs a test; resumes may come from any. POSIX, with
 * -pthread; C11 and C++17. Include it before anything else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIDEGATE_TEST_H
#define SIDEGATE_TEST_H

/* With -std=c11 the C library shows what POSIX has only if asked. */
#if !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "sidegate.h"

/* How long a pending filter may take to resume, in seconds. */
#define SIDEGATE_TEST_PENDING 15

#define SIDEGATE_EXPECT(condition)                                                                                \
    ((condition) ? (void)0 : sidegate_test_fail(__FILE__, __LINE__, "expected " #condition, NULL))
#define SIDEGATE_EXPECT_TEXT(found, wanted)                                                                       \
    sidegate_test_expect_text(__FILE__, __LINE__, #found, (found), (wanted))

/* NUL-terminated, though bytes may be any; `len` counts without the end. */
typedef struct sidegate_test_text {
    char *ptr;
    size_t len;
} sidegate_test_text;

typedef struct sidegate_test_field {
    sidegate_test_text name;
    sidegate_test_text value;
} sidegate_test_field;

typedef struct sidegate_test_map {
    sidegate_test_field *fields;
    size_t count;
} sidegate_test_map;

/* A body: what is to come, what a hook sees, and what has passed. */
typedef struct sidegate_test_body {
    sidegate_test_text *chunks;
    size_t count;
    sidegate_test_text seen;
    sidegate_test_text passed;
    uint32_t interest;
    int in_hook;
    int waived;
} sidegate_test_body;

typedef struct sidegate_test_metric_series {
    char *name;
    uint32_t kind;
    double value; /* of a histogram the number of observations */
} sidegate_test_metric_series;

/* What a plugin answers: `answer` is zeroed, an answer without anything. What is
 * set in it is copied. */
typedef void (*sidegate_test_plugin_fn)(const sidegate_plugin_call_v1 *call, sidegate_plugin_answer_v1 *answer);

/* A call of a plugin. */
typedef struct sidegate_test_plugin_call {
    struct sidegate_test_plugin_call *next;
    uint64_t id;
    int there; /* its end; 2: and lent to the hook that runs */
    uint32_t outcome;
    int32_t status;
    sidegate_test_map fields[2]; /* header and trailer */
    sidegate_header *lent[2];
    sidegate_test_text body;
    sidegate_test_text message;
} sidegate_test_plugin_call;

/* One filter of one configuration. */
typedef struct sidegate_test {
    sidegate_create_result_v1 made;
    void *worker_state;
    sidegate_stream *streams;
} sidegate_test;

enum sidegate_test_end_of { SIDEGATE_TEST_GOES_ON, SIDEGATE_TEST_REPLIES, SIDEGATE_TEST_ENDS };

/* One request. `status` to `fault` say what became of it, once it has run. */
struct sidegate_stream {
    uint32_t status;   /* that the client got; 0 if the filter ended it without one */
    int reached;       /* whether the request went upstream */
    int replied;       /* whether the filter answered */
    const char *fault; /* why the filter failed; NULL if it did not */

    sidegate_test *test;
    sidegate_stream *next;
    sidegate_test_map maps[4];     /* by SIDEGATE_MAP_* */
    sidegate_test_body bodies[2];  /* by SIDEGATE_BODY_* */
    sidegate_test_text variables[SIDEGATE_VAR_TLS_CIPHER + 1];
    sidegate_test_map named;
    void *filter;
    void *route_config;
    sidegate_resume *resume;
    sidegate_test_text fault_text;
    sidegate_test_text reply_body;
    uint32_t reply_status;
    uint32_t reply_refused;
    uint32_t phase;
    int responding;
    int complete;
    sidegate_test_plugin_call *calls; /* the oldest first */
    uint64_t calls_made;
};

/* Shared with the threads of the module. */
struct sidegate_resume {
    pthread_mutex_t lock;
    pthread_cond_t resumed;
    int references;
    int state; /* 0 waiting, 1 resumed, 2 gone */
};

/* The module's host: one per program. */
static struct sidegate_test_host {
    sidegate_test_metric_series *metrics;
    size_t metrics_count;
    sidegate_test_text logs; /* all lines */
    pthread_mutex_t lock;
    sidegate_slice plugins[16];
    sidegate_test_plugin_fn plugin_fns[16];
    size_t plugins_count;
} sidegate_test_host = {NULL, 0, {NULL, 0}, PTHREAD_MUTEX_INITIALIZER, {{NULL, 0}}, {NULL}, 0};

struct sidegate_state_out {
    sidegate_test_text written;
};

/* ---- What tests call; the code is below. ---------------------------------- */

/* Makes a factory of the filter (NULL: the only one) with this configuration,
 * and attaches a worker. */
static inline sidegate_test *sidegate_test_start(const char *filter, const char *config);

/* Frees it, with all its streams. Expects that nothing is left pending. */
static inline void sidegate_test_end(sidegate_test *test);

/* What a wrong configuration is told, as `path: message`; "" if it is taken.
 * Good until the next call. */
static inline const char *sidegate_test_refusal(const char *filter, const char *config);

/* Lets filters that are made from now on call a plugin, which answers so; the
 * name is lent for ever. Calls end one by one while the filter is pending. */
static inline void sidegate_test_plugin(const char *name, sidegate_test_plugin_fn answers);

/* A request with header lines `name: value\n`. The host answers 200, empty,
 * unless told otherwise. */
static inline sidegate_stream *sidegate_test_request(sidegate_test *test, const char *method, const char *target,
                                                     const char *headers);

/* Adds a chunk to a body; SIDEGATE_BODY_*. */
static inline void sidegate_test_chunk(sidegate_stream *stream, uint32_t direction, const char *chunk);

/* Sets the trailers; SIDEGATE_MAP_*_TRAILERS. */
static inline void sidegate_test_trailers(sidegate_stream *stream, uint32_t map, const char *lines);

/* What the upstream will answer; the body in chunks before or after it. */
static inline void sidegate_test_answer(sidegate_stream *stream, uint32_t status, const char *headers);

/* Gives the stream the settings of a route: a JSON value. */
static inline void sidegate_test_route(sidegate_stream *stream, const char *config);

/* Sets a variable that the client's connection would have. */
static inline void sidegate_test_variable(sidegate_stream *stream, uint32_t variable, const char *value);

/* Runs it to its end. */
static inline void sidegate_test_run(sidegate_stream *stream);

/* The first field of that name; NULL if there is none. Of the request as the
 * upstream got it, of the response as the client did. */
static inline const char *sidegate_test_header(const sidegate_stream *stream, uint32_t map, const char *name);

/* A body as it came out of the filter. */
static inline const char *sidegate_test_body_of(const sidegate_stream *stream, uint32_t direction);

/* A metric's value, labels left out; of a histogram the number of its
 * observations. -1 if it is not defined. */
static inline double sidegate_test_metric(const char *name);

/* All lines that the module has logged. */
static inline const char *sidegate_test_logs(void);

/* Hands the state of one factory to another, as a reload would. Returns what
 * import_state did; NOT_FOUND if nothing was exported. */
static inline uint32_t sidegate_test_hand_over(sidegate_test *from, sidegate_test *to);

/* ---- Texts and maps. ------------------------------------------------------ */

static inline void sidegate_test_fail(const char *file, int line, const char *what, const char *found) {
    if (found)
        fprintf(stderr, "%s:%d: %s, found %s\n", file, line, what, found);
    else
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

static inline void sidegate_test_expect_text(const char *file, int line, const char *what, const char *found,
                                             const char *wanted) {
    if (found && wanted ? strcmp(found, wanted) == 0 : found == wanted) return;
    if (!found) found = "(none)";
    if (!wanted) wanted = "(none)";
    fprintf(stderr, "%s:%d: %s: expected \"%s\", found \"%s\"\n", file, line, what, wanted, found);
    abort();
}

static inline void *sidegate_test_grow(void *memory, size_t size) {
    void *grown = realloc(memory, size);
    if (!grown) sidegate_test_fail(__FILE__, __LINE__, "out of memory", NULL);
    return grown;
}

static inline sidegate_test_text sidegate_test_copy(sidegate_slice from) {
    sidegate_test_text text;
    text.len = (size_t)from.len;
    text.ptr = (char *)sidegate_test_grow(NULL, text.len + 1);
    if (text.len > 0) memcpy(text.ptr, from.ptr, text.len);
    text.ptr[text.len] = 0;
    return text;
}

static inline sidegate_slice sidegate_test_lend(sidegate_test_text text) {
    return sidegate_bytes(text.ptr, text.len);
}

static inline void sidegate_test_clear(sidegate_test_text *text) {
    free(text->ptr);
    text->ptr = NULL;
    text->len = 0;
}

/* In new memory: what was lent of the old is stale. */
static inline void sidegate_test_append(sidegate_test_text *text, sidegate_slice more) {
    sidegate_test_text grown;
    grown.len = text->len + (size_t)more.len;
    grown.ptr = (char *)sidegate_test_grow(NULL, grown.len + 1);
    if (text->len > 0) memcpy(grown.ptr, text->ptr, text->len);
    if (more.len > 0) memcpy(grown.ptr + text->len, more.ptr, (size_t)more.len);
    grown.ptr[grown.len] = 0;
    free(text->ptr);
    *text = grown;
}

static inline void sidegate_test_put(sidegate_test_text *text, sidegate_slice value) {
    sidegate_test_text made = sidegate_test_copy(value);
    free(text->ptr);
    *text = made;
}

/* The name as it is. */
static inline void sidegate_test_map_put(sidegate_test_map *map, sidegate_slice name, sidegate_slice value) {
    sidegate_test_field field;
    field.name = sidegate_test_copy(name);
    field.value = sidegate_test_copy(value);
    map->fields =
        (sidegate_test_field *)sidegate_test_grow(map->fields, (map->count + 1) * sizeof *map->fields);
    map->fields[map->count++] = field;
}

static inline void sidegate_test_map_add(sidegate_test_map *map, sidegate_slice name, sidegate_slice value) {
    sidegate_test_text made;
    size_t i;
    sidegate_test_map_put(map, name, value);
    made = map->fields[map->count - 1].name;
    for (i = 0; i < made.len; i++)
        if (made.ptr[i] >= 'A' && made.ptr[i] <= 'Z') made.ptr[i] = (char)(made.ptr[i] + 32);
}

static inline uint64_t sidegate_test_map_remove(sidegate_test_map *map, sidegate_slice name) {
    size_t i, kept = 0, before = map->count;
    for (i = 0; i < before; i++) {
        if (!sidegate_slice_eq_nocase(sidegate_test_lend(map->fields[i].name), name)) {
            map->fields[kept++] = map->fields[i];
            continue;
        }
        free(map->fields[i].name.ptr);
        free(map->fields[i].value.ptr);
    }
    map->count = kept;
    return before - kept;
}

static inline void sidegate_test_map_clear(sidegate_test_map *map) {
    size_t i;
    for (i = 0; i < map->count; i++) {
        free(map->fields[i].name.ptr);
        free(map->fields[i].value.ptr);
    }
    free(map->fields);
    map->fields = NULL;
    map->count = 0;
}

static inline const sidegate_test_field *sidegate_test_map_find(const sidegate_test_map *map, sidegate_slice name) {
    size_t i;
    for (i = 0; i < map->count; i++)
        if (sidegate_slice_eq_nocase(sidegate_test_lend(map->fields[i].name), name)) return &map->fields[i];
    return NULL;
}

static inline void sidegate_test_lines(sidegate_test_map *map, const char *lines) {
    while (lines && *lines) {
        const char *end = strchr(lines, '\n'), *colon = strchr(lines, ':'), *value;
        if (!end) end = lines + strlen(lines);
        if (!colon || colon > end) sidegate_test_fail(__FILE__, __LINE__, "expected `name: value`", lines);
        value = colon + 1;
        while (value < end && *value == ' ') value++;
        sidegate_test_map_add(map, sidegate_bytes(lines, (size_t)(colon - lines)),
                              sidegate_bytes(value, (size_t)(end - value)));
        lines = *end ? end + 1 : end;
    }
}

/* ---- The host's functions. ------------------------------------------------ */

static inline uint32_t sidegate_test_log_enabled(sidegate_module *module, uint32_t level) SIDEGATE_NOEXCEPT {
    (void)module;
    return level >= SIDEGATE_LOG_ERROR && level <= SIDEGATE_LOG_TRACE;
}

static inline uint32_t sidegate_test_log(sidegate_module *module, uint32_t level,
                                         sidegate_slice line) SIDEGATE_NOEXCEPT {
    (void)module;
    (void)level;
    pthread_mutex_lock(&sidegate_test_host.lock);
    sidegate_test_append(&sidegate_test_host.logs, line);
    sidegate_test_append(&sidegate_test_host.logs, sidegate_str("\n"));
    pthread_mutex_unlock(&sidegate_test_host.lock);
    return SIDEGATE_OK;
}

static inline uint64_t sidegate_test_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
static inline uint64_t sidegate_test_monotonic(void) SIDEGATE_NOEXCEPT { return sidegate_test_clock(CLOCK_MONOTONIC); }
static inline uint64_t sidegate_test_wall(void) SIDEGATE_NOEXCEPT { return sidegate_test_clock(CLOCK_REALTIME); }

/* A token of RFC 9110, section 5.6.2. */
static inline int sidegate_test_is_token(sidegate_slice name) {
    uint64_t i;
    for (i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        int plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!plain && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return 0;
    }
    return name.len > 0;
}

static inline uint32_t sidegate_test_define(sidegate_module *module, uint32_t kind, sidegate_slice name,
                                            const sidegate_header *labels, uint64_t labels_len,
                                            uint64_t *metric) SIDEGATE_NOEXCEPT {
    struct sidegate_test_host *host = &sidegate_test_host;
    sidegate_test_text series;
    uint64_t i;
    (void)module;
    if (!metric || kind < SIDEGATE_METRIC_COUNTER || kind > SIDEGATE_METRIC_HISTOGRAM) return SIDEGATE_BAD_ARGUMENT;
    if (!sidegate_test_is_token(name)) return SIDEGATE_BAD_NAME;
    series = sidegate_test_copy(name);
    for (i = 0; i < labels_len; i++) {
        sidegate_test_append(&series, sidegate_str(i ? "," : "{"));
        sidegate_test_append(&series, labels[i].name);
        sidegate_test_append(&series, sidegate_str("="));
        sidegate_test_append(&series, labels[i].value);
    }
    if (labels_len > 0) sidegate_test_append(&series, sidegate_str("}"));
    for (i = 0; i < host->metrics_count; i++) {
        if (strcmp(host->metrics[i].name, series.ptr) != 0) continue;
        free(series.ptr);
        if (host->metrics[i].kind != kind) return SIDEGATE_BAD_VALUE;
        *metric = i + 1;
        return SIDEGATE_OK;
    }
    host->metrics = (sidegate_test_metric_series *)sidegate_test_grow(
        host->metrics, (host->metrics_count + 1) * sizeof *host->metrics);
    host->metrics[host->metrics_count].name = series.ptr;
    host->metrics[host->metrics_count].kind = kind;
    host->metrics[host->metrics_count].value = 0;
    *metric = ++host->metrics_count;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_count(uint64_t metric, uint32_t kinds, double add, double keep) {
    struct sidegate_test_host *host = &sidegate_test_host;
    if (metric == 0 || metric > host->metrics_count) return SIDEGATE_BAD_ARGUMENT;
    if (!(kinds >> host->metrics[metric - 1].kind & 1)) return SIDEGATE_BAD_ARGUMENT;
    if (host->metrics[metric - 1].kind == SIDEGATE_METRIC_COUNTER && add < 0) return SIDEGATE_BAD_ARGUMENT;
    pthread_mutex_lock(&host->lock);
    host->metrics[metric - 1].value = host->metrics[metric - 1].value * keep + add;
    pthread_mutex_unlock(&host->lock);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_add(sidegate_module *module, uint64_t metric, int64_t delta) SIDEGATE_NOEXCEPT {
    (void)module;
    return sidegate_test_count(metric, 1U << SIDEGATE_METRIC_COUNTER | 1U << SIDEGATE_METRIC_GAUGE, (double)delta, 1);
}

static inline uint32_t sidegate_test_set(sidegate_module *module, uint64_t metric, int64_t level) SIDEGATE_NOEXCEPT {
    (void)module;
    return sidegate_test_count(metric, 1U << SIDEGATE_METRIC_GAUGE, (double)level, 0);
}

static inline uint32_t sidegate_test_observe(sidegate_module *module, uint64_t metric, double value) SIDEGATE_NOEXCEPT {
    (void)module;
    (void)value;
    return sidegate_test_count(metric, 1U << SIDEGATE_METRIC_HISTOGRAM, 1, 1);
}

static inline uint32_t sidegate_test_get(sidegate_stream *stream, uint32_t map, sidegate_slice name,
                                         sidegate_slice *value) SIDEGATE_NOEXCEPT {
    const sidegate_test_field *found;
    if (map > SIDEGATE_MAP_RESPONSE_TRAILERS) return SIDEGATE_UNSUPPORTED;
    if (!value) return SIDEGATE_BAD_ARGUMENT;
    found = sidegate_test_map_find(&stream->maps[map], name);
    if (!found) return SIDEGATE_NOT_FOUND;
    *value = sidegate_test_lend(found->value);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_get_all(sidegate_stream *stream, uint32_t map, sidegate_slice name,
                                             sidegate_slice *values, uint64_t capacity,
                                             uint64_t *count) SIDEGATE_NOEXCEPT {
    size_t i;
    if (map > SIDEGATE_MAP_RESPONSE_TRAILERS) return SIDEGATE_UNSUPPORTED;
    if (!count || (!values && capacity > 0)) return SIDEGATE_BAD_ARGUMENT;
    *count = 0;
    for (i = 0; i < stream->maps[map].count; i++) {
        if (!sidegate_slice_eq_nocase(sidegate_test_lend(stream->maps[map].fields[i].name), name)) continue;
        if (*count < capacity) values[*count] = sidegate_test_lend(stream->maps[map].fields[i].value);
        ++*count;
    }
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_visit(sidegate_stream *stream, uint32_t map, sidegate_header_visitor visitor,
                                           void *user) SIDEGATE_NOEXCEPT {
    size_t i;
    if (map > SIDEGATE_MAP_RESPONSE_TRAILERS) return SIDEGATE_UNSUPPORTED;
    for (i = 0; i < stream->maps[map].count; i++) {
        sidegate_header header;
        header.name = sidegate_test_lend(stream->maps[map].fields[i].name);
        header.value = sidegate_test_lend(stream->maps[map].fields[i].value);
        if (visitor(user, &header) != 0) break;
    }
    return SIDEGATE_OK;
}

static inline int sidegate_test_is_reserved(sidegate_slice name) {
    static const char *const reserved[] = {"connection",       "content-length", "expect",  "keep-alive",
                                           "proxy-connection", "te",             "trailer", "upgrade",
                                           "transfer-encoding"};
    size_t i;
    for (i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (sidegate_slice_eq_nocase(name, sidegate_str(reserved[i]))) return 1;
    return 0;
}

/* Whether a field may be written, as a result. */
static inline uint32_t sidegate_test_may(const sidegate_stream *stream, uint32_t map, sidegate_slice name,
                                         sidegate_slice value) {
    uint64_t i;
    if (map > SIDEGATE_MAP_RESPONSE_TRAILERS) return SIDEGATE_UNSUPPORTED;
    if (!sidegate_test_is_token(name)) return SIDEGATE_BAD_NAME;
    if (sidegate_test_is_reserved(name)) return SIDEGATE_RESERVED;
    for (i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) return SIDEGATE_BAD_VALUE;
        if ((c == ' ' || c == '\t') && (i == 0 || i + 1 == value.len)) return SIDEGATE_BAD_VALUE;
    }
    if (stream->complete) return SIDEGATE_NOT_NOW;
    return (map >= SIDEGATE_MAP_RESPONSE) == (stream->responding != 0) ? SIDEGATE_OK : SIDEGATE_NOT_NOW;
}

static inline uint32_t sidegate_test_header_add(sidegate_stream *stream, uint32_t map, sidegate_slice name,
                                                sidegate_slice value) SIDEGATE_NOEXCEPT {
    uint32_t may = sidegate_test_may(stream, map, name, value);
    if (may == SIDEGATE_OK) sidegate_test_map_add(&stream->maps[map], name, value);
    return may;
}

static inline uint32_t sidegate_test_header_set(sidegate_stream *stream, uint32_t map, sidegate_slice name,
                                                sidegate_slice value) SIDEGATE_NOEXCEPT {
    uint32_t may = sidegate_test_may(stream, map, name, value);
    sidegate_test_text copied;
    if (may != SIDEGATE_OK) return may;
    /* It may have been lent from what is removed. */
    copied = sidegate_test_copy(value);
    sidegate_test_map_remove(&stream->maps[map], name);
    sidegate_test_map_add(&stream->maps[map], name, sidegate_test_lend(copied));
    free(copied.ptr);
    return may;
}

static inline uint32_t sidegate_test_header_remove(sidegate_stream *stream, uint32_t map, sidegate_slice name,
                                                   uint64_t *removed) SIDEGATE_NOEXCEPT {
    uint32_t may = sidegate_test_may(stream, map, name, sidegate_str("x"));
    uint64_t count;
    if (may == SIDEGATE_BAD_NAME) {
        if (removed) *removed = 0;
        return SIDEGATE_OK;
    }
    if (may != SIDEGATE_OK) return may;
    count = sidegate_test_map_remove(&stream->maps[map], name);
    if (removed) *removed = count;
    return SIDEGATE_OK;
}

static inline int sidegate_test_is_number(uint32_t variable) {
    return variable == SIDEGATE_VAR_STATUS || variable == SIDEGATE_VAR_BYTES_RECEIVED ||
           variable == SIDEGATE_VAR_BYTES_SENT || variable == SIDEGATE_VAR_RESPONSE_FLAGS;
}

static inline uint32_t sidegate_test_variable_get(sidegate_stream *stream, uint32_t variable,
                                                  sidegate_slice *value) SIDEGATE_NOEXCEPT {
    if (variable == 0 || variable > SIDEGATE_VAR_TLS_CIPHER || sidegate_test_is_number(variable))
        return SIDEGATE_UNSUPPORTED;
    if (!value) return SIDEGATE_BAD_ARGUMENT;
    if (!stream->variables[variable].ptr) return SIDEGATE_NOT_FOUND;
    *value = sidegate_test_lend(stream->variables[variable]);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_variable_number(sidegate_stream *stream, uint32_t variable,
                                                     uint64_t *value) SIDEGATE_NOEXCEPT {
    if (!sidegate_test_is_number(variable)) return SIDEGATE_UNSUPPORTED;
    if (!value) return SIDEGATE_BAD_ARGUMENT;
    if (variable == SIDEGATE_VAR_BYTES_RECEIVED) {
        *value = stream->bodies[SIDEGATE_BODY_REQUEST].passed.len;
    } else if (variable == SIDEGATE_VAR_BYTES_SENT) {
        *value = stream->bodies[SIDEGATE_BODY_RESPONSE].passed.len;
    } else {
        if (!stream->variables[variable].ptr) return SIDEGATE_NOT_FOUND;
        *value = strtoull(stream->variables[variable].ptr, NULL, 10);
    }
    return SIDEGATE_OK;
}

/* Path, query and target are one value. */
static inline void sidegate_test_retarget(sidegate_stream *stream, uint32_t variable) {
    sidegate_test_text *path = &stream->variables[SIDEGATE_VAR_PATH], *query = &stream->variables[SIDEGATE_VAR_QUERY];
    sidegate_test_text *target = &stream->variables[SIDEGATE_VAR_TARGET];
    if (variable == SIDEGATE_VAR_TARGET) {
        const char *mark = strchr(target->ptr, '?');
        size_t len = mark ? (size_t)(mark - target->ptr) : target->len;
        sidegate_test_put(path, sidegate_bytes(target->ptr, len));
        sidegate_test_clear(query);
        if (mark) sidegate_test_put(query, sidegate_str(mark + 1));
    } else if (variable == SIDEGATE_VAR_PATH || variable == SIDEGATE_VAR_QUERY) {
        sidegate_test_put(target, sidegate_test_lend(*path));
        if (!query->ptr) return;
        sidegate_test_append(target, sidegate_str("?"));
        sidegate_test_append(target, sidegate_test_lend(*query));
    }
}

static inline uint32_t sidegate_test_variable_set(sidegate_stream *stream, uint32_t variable,
                                                  sidegate_slice value) SIDEGATE_NOEXCEPT {
    uint64_t i;
    if (variable == 0 || variable > SIDEGATE_VAR_TLS_CIPHER) return SIDEGATE_UNSUPPORTED;
    if ((variable > SIDEGATE_VAR_AUTHORITY && variable != SIDEGATE_VAR_STATUS) ||
        (variable == SIDEGATE_VAR_STATUS) != (stream->responding != 0) || stream->complete)
        return SIDEGATE_NOT_NOW;
    for (i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] == 0x7F) return SIDEGATE_BAD_VALUE;
    if (value.len == 0 && variable != SIDEGATE_VAR_QUERY) return SIDEGATE_BAD_VALUE;
    if ((variable == SIDEGATE_VAR_PATH || variable == SIDEGATE_VAR_TARGET) && value.ptr[0] != '/')
        return SIDEGATE_BAD_VALUE;
    sidegate_test_put(&stream->variables[variable], value);
    sidegate_test_retarget(stream, variable);
    if (variable == SIDEGATE_VAR_AUTHORITY) {
        sidegate_test_map_remove(&stream->maps[SIDEGATE_MAP_REQUEST], sidegate_str("host"));
        sidegate_test_map_add(&stream->maps[SIDEGATE_MAP_REQUEST], sidegate_str("host"), value);
    }
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_named_get(sidegate_stream *stream, sidegate_slice name,
                                               sidegate_slice *value) SIDEGATE_NOEXCEPT {
    const sidegate_test_field *found = sidegate_test_map_find(&stream->named, name);
    if (!value) return SIDEGATE_BAD_ARGUMENT;
    if (!found) return SIDEGATE_NOT_FOUND;
    *value = sidegate_test_lend(found->value);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_named_set(sidegate_stream *stream, sidegate_slice name,
                                               sidegate_slice value) SIDEGATE_NOEXCEPT {
    sidegate_test_text copied;
    if (!sidegate_test_is_token(name)) return SIDEGATE_BAD_NAME;
    copied = sidegate_test_copy(value);
    sidegate_test_map_remove(&stream->named, name);
    sidegate_test_map_add(&stream->named, name, sidegate_test_lend(copied));
    free(copied.ptr);
    return SIDEGATE_OK;
}

/* The body of a direction, if this hook may see it (and change it). */
static inline uint32_t sidegate_test_body_at(sidegate_stream *stream, uint32_t direction, int changes,
                                             sidegate_test_body **body) {
    if (direction > SIDEGATE_BODY_RESPONSE) return SIDEGATE_UNSUPPORTED;
    *body = &stream->bodies[direction];
    if (!(*body)->in_hook || (changes && (*body)->interest == SIDEGATE_BODY_OBSERVE)) return SIDEGATE_NOT_NOW;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_body_len(sidegate_stream *stream, uint32_t direction,
                                              uint64_t *len) SIDEGATE_NOEXCEPT {
    sidegate_test_body *body;
    uint32_t may = sidegate_test_body_at(stream, direction, 0, &body);
    if (may == SIDEGATE_OK) *len = body->seen.len;
    return may;
}

static inline uint32_t sidegate_test_body_read(sidegate_stream *stream, uint32_t direction, sidegate_slice *slices,
                                               uint64_t capacity, uint64_t *count) SIDEGATE_NOEXCEPT {
    sidegate_test_body *body;
    uint32_t may = sidegate_test_body_at(stream, direction, 0, &body);
    /* Two slices where there are two bytes: nobody may count on one. */
    size_t half, parts, i;
    if (may != SIDEGATE_OK) return may;
    half = body->seen.len / 2;
    parts = body->seen.len == 0 ? 0 : half ? 2 : 1;
    *count = parts;
    for (i = 0; i < parts && i < capacity; i++)
        slices[i] = i == 0 && half ? sidegate_bytes(body->seen.ptr, half)
                                   : sidegate_bytes(body->seen.ptr + half, body->seen.len - half);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_body_replace(sidegate_stream *stream, uint32_t direction,
                                                  const sidegate_slice *slices, uint64_t count) SIDEGATE_NOEXCEPT {
    sidegate_test_text made = sidegate_test_copy(sidegate_str(""));
    sidegate_test_body *body;
    uint32_t may = sidegate_test_body_at(stream, direction, 1, &body);
    uint64_t i;
    if (may != SIDEGATE_OK) {
        free(made.ptr);
        return may;
    }
    for (i = 0; i < count; i++) sidegate_test_append(&made, slices[i]);
    free(body->seen.ptr);
    body->seen = made;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_body_append(sidegate_stream *stream, uint32_t direction,
                                                 sidegate_slice bytes) SIDEGATE_NOEXCEPT {
    sidegate_test_body *body;
    uint32_t may = sidegate_test_body_at(stream, direction, 1, &body);
    if (may == SIDEGATE_OK) sidegate_test_append(&body->seen, bytes);
    return may;
}

static inline uint32_t sidegate_test_body_drain(sidegate_stream *stream, uint32_t direction, uint64_t count,
                                                uint64_t *drained) SIDEGATE_NOEXCEPT {
    sidegate_test_body *body;
    uint32_t may = sidegate_test_body_at(stream, direction, 1, &body);
    if (may != SIDEGATE_OK) return may;
    if (count > body->seen.len) count = body->seen.len;
    sidegate_test_put(&body->seen, sidegate_bytes(body->seen.ptr + count, body->seen.len - (size_t)count));
    if (drained) *drained = count;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_reply(sidegate_stream *stream, const sidegate_reply_v1 *reply) SIDEGATE_NOEXCEPT {
    sidegate_test_map *map = &stream->maps[SIDEGATE_MAP_RESPONSE];
    uint32_t result = SIDEGATE_OK;
    uint64_t i;
    int responding = stream->responding;
    if (responding || stream->complete) result = SIDEGATE_NOT_NOW;
    else if (reply->status < 200 || reply->status > 599 || reply->flags != 0) result = SIDEGATE_BAD_VALUE;
    stream->responding = 1;
    for (i = 0; i < reply->headers_len && result == SIDEGATE_OK; i++)
        result = sidegate_test_may(stream, SIDEGATE_MAP_RESPONSE, reply->headers[i].name, reply->headers[i].value);
    stream->responding = responding;
    stream->reply_refused = result;
    if (result != SIDEGATE_OK) return result;
    sidegate_test_map_clear(map);
    for (i = 0; i < reply->headers_len; i++)
        sidegate_test_map_add(map, reply->headers[i].name, reply->headers[i].value);
    sidegate_test_put(&stream->reply_body, reply->body);
    stream->reply_status = reply->status;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_resume_release(sidegate_resume *resume) SIDEGATE_NOEXCEPT {
    int left;
    pthread_mutex_lock(&resume->lock);
    left = --resume->references;
    pthread_mutex_unlock(&resume->lock);
    if (left > 0) return SIDEGATE_OK;
    pthread_cond_destroy(&resume->resumed);
    pthread_mutex_destroy(&resume->lock);
    free(resume);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_resume_retain(sidegate_resume *resume) SIDEGATE_NOEXCEPT {
    pthread_mutex_lock(&resume->lock);
    resume->references++;
    pthread_mutex_unlock(&resume->lock);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_resume_handle(sidegate_stream *stream,
                                                   sidegate_resume **resume) SIDEGATE_NOEXCEPT {
    if (stream->complete) return SIDEGATE_GONE;
    if (!stream->resume) {
        stream->resume = (sidegate_resume *)sidegate_test_grow(NULL, sizeof *stream->resume);
        pthread_mutex_init(&stream->resume->lock, NULL);
        pthread_cond_init(&stream->resume->resumed, NULL);
        stream->resume->references = 1;
        stream->resume->state = 0;
    }
    sidegate_test_resume_retain(stream->resume);
    *resume = stream->resume;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_resume(sidegate_resume *resume) SIDEGATE_NOEXCEPT {
    uint32_t result;
    pthread_mutex_lock(&resume->lock);
    result = resume->state == 0 ? SIDEGATE_OK : resume->state == 1 ? SIDEGATE_ALREADY : SIDEGATE_GONE;
    if (resume->state == 0) resume->state = 1;
    pthread_cond_signal(&resume->resumed);
    pthread_mutex_unlock(&resume->lock);
    return result;
}

static inline void *sidegate_test_route_config(sidegate_stream *stream) SIDEGATE_NOEXCEPT {
    return stream->route_config;
}

static inline uint32_t sidegate_test_fault(sidegate_stream *stream, sidegate_slice message) SIDEGATE_NOEXCEPT {
    sidegate_test_put(&stream->fault_text, message);
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_waive(sidegate_stream *stream, uint32_t direction) SIDEGATE_NOEXCEPT {
    if (direction > SIDEGATE_BODY_RESPONSE) return SIDEGATE_UNSUPPORTED;
    if (stream->bodies[direction].interest == SIDEGATE_BODY_NONE || stream->complete) return SIDEGATE_NOT_NOW;
    stream->bodies[direction].waived = 1;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_state_write(sidegate_state_out *state, sidegate_slice bytes) SIDEGATE_NOEXCEPT {
    sidegate_test_append(&state->written, bytes);
    return SIDEGATE_OK;
}

static inline void sidegate_test_free_call(sidegate_test_plugin_call *call) {
    int map;
    for (map = 0; map < 2; map++) {
        sidegate_test_map_clear(&call->fields[map]);
        free(call->lent[map]);
    }
    sidegate_test_clear(&call->body);
    sidegate_test_clear(&call->message);
    free(call);
}

static inline void sidegate_test_copy_fields(sidegate_test_map *map, const sidegate_header *fields, uint64_t count) {
    uint64_t i;
    for (i = 0; i < count; i++) sidegate_test_map_put(map, fields[i].name, fields[i].value);
}

static inline uint32_t sidegate_test_plugin_begin(sidegate_stream *stream, const sidegate_plugin_call_v1 *asked,
                                                  uint64_t *id) SIDEGATE_NOEXCEPT {
    sidegate_test_plugin_call *call, **last = &stream->calls;
    sidegate_plugin_answer_v1 answer;
    size_t at = 0, open = 0;
    if (!id || !asked || asked->size < sizeof *asked) return SIDEGATE_BAD_ARGUMENT;
    if (stream->complete) return SIDEGATE_GONE;
    while (at < sidegate_test_host.plugins_count && !sidegate_slice_eq(sidegate_test_host.plugins[at], asked->plugin))
        at++;
    if (at == sidegate_test_host.plugins_count) return SIDEGATE_NOT_FOUND;
    for (; *last; last = &(*last)->next) open += (*last)->there != 2;
    if (open == 16) return SIDEGATE_LIMIT;
    memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    sidegate_test_host.plugin_fns[at](asked, &answer);
    call = (sidegate_test_plugin_call *)sidegate_test_grow(NULL, sizeof *call);
    memset(call, 0, sizeof *call);
    call->id = ++stream->calls_made;
    call->outcome = answer.outcome;
    if (answer.outcome == SIDEGATE_PLUGIN_ANSWERED) {
        call->status = answer.status;
        sidegate_test_copy_fields(&call->fields[0], answer.headers, answer.headers_len);
        sidegate_test_copy_fields(&call->fields[1], answer.trailers, answer.trailers_len);
        call->body = sidegate_test_copy(answer.body);
    } else {
        call->message = sidegate_test_copy(answer.message);
    }
    *last = call;
    *id = call->id;
    return SIDEGATE_OK;
}

/* The place of the call; what to answer if there is none. */
static inline uint32_t sidegate_test_plugin_find(sidegate_stream *stream, uint64_t id,
                                                 sidegate_test_plugin_call ***place) {
    *place = &stream->calls;
    while (**place && (**place)->id != id) *place = &(**place)->next;
    if (**place && (**place)->there != 2) return SIDEGATE_OK;
    return id > 0 && id <= stream->calls_made ? SIDEGATE_ALREADY : SIDEGATE_NOT_FOUND;
}

static inline uint32_t sidegate_test_plugin_end(sidegate_stream *stream, uint64_t id,
                                                sidegate_plugin_answer_v1 *answer) SIDEGATE_NOEXCEPT {
    sidegate_test_plugin_call **place, *call;
    uint32_t found;
    size_t map, i;
    if (!answer || answer->size < sizeof *answer) return SIDEGATE_BAD_ARGUMENT;
    found = sidegate_test_plugin_find(stream, id, &place);
    if (found != SIDEGATE_OK) return found;
    call = *place;
    if (!call->there) return SIDEGATE_NOT_NOW;
    call->there = 2;
    memset(answer, 0, sizeof *answer);
    answer->size = sizeof *answer;
    answer->outcome = call->outcome;
    answer->status = call->status;
    answer->body = sidegate_test_lend(call->body);
    answer->message = sidegate_test_lend(call->message);
    for (map = 0; map < 2; map++) {
        size_t count = call->fields[map].count;
        call->lent[map] = (sidegate_header *)sidegate_test_grow(NULL, count * sizeof(sidegate_header) + 1);
        for (i = 0; i < count; i++) {
            call->lent[map][i].name = sidegate_test_lend(call->fields[map].fields[i].name);
            call->lent[map][i].value = sidegate_test_lend(call->fields[map].fields[i].value);
        }
    }
    answer->headers = call->lent[0];
    answer->headers_len = call->fields[0].count;
    answer->trailers = call->lent[1];
    answer->trailers_len = call->fields[1].count;
    return SIDEGATE_OK;
}

static inline uint32_t sidegate_test_plugin_cancel(sidegate_stream *stream, uint64_t id) SIDEGATE_NOEXCEPT {
    sidegate_test_plugin_call **place, *call;
    uint32_t found = sidegate_test_plugin_find(stream, id, &place);
    if (found != SIDEGATE_OK) return found;
    call = *place;
    *place = call->next;
    sidegate_test_free_call(call);
    return SIDEGATE_OK;
}

/* Takes back what was lent to the hook that returned; all of it at the end. */
static inline void sidegate_test_plugin_take_back(sidegate_stream *stream, int all) {
    sidegate_test_plugin_call **place = &stream->calls;
    while (*place) {
        sidegate_test_plugin_call *call = *place;
        if (!all && call->there != 2) {
            place = &call->next;
            continue;
        }
        *place = call->next;
        sidegate_test_free_call(call);
    }
}

/* Lets the oldest call end; 0 if there is none. One at a time, so that a filter
 * that takes each resume for its call's end is found out. */
static inline int sidegate_test_plugin_end_one(sidegate_stream *stream) {
    sidegate_test_plugin_call *call = stream->calls;
    while (call && call->there) call = call->next;
    if (call) call->there = 1;
    return call != NULL;
}

static inline const sidegate_host_v1 *sidegate_test_table(void) {
    static sidegate_host_v1 table;
    if (table.size > 0) return &table;
    table.abi_major = SIDEGATE_ABI_MAJOR;
    table.abi_minor = SIDEGATE_ABI_MINOR;
    table.host_version = sidegate_str("sidegate_test.h");
    table.log_enabled = sidegate_test_log_enabled;
    table.log = sidegate_test_log;
    table.monotonic_ns = sidegate_test_monotonic;
    table.wall_ns = sidegate_test_wall;
    table.metric_define = sidegate_test_define;
    table.metric_add = sidegate_test_add;
    table.metric_set = sidegate_test_set;
    table.metric_observe = sidegate_test_observe;
    table.header_get = sidegate_test_get;
    table.header_get_all = sidegate_test_get_all;
    table.headers_visit = sidegate_test_visit;
    table.header_set = sidegate_test_header_set;
    table.header_add = sidegate_test_header_add;
    table.header_remove = sidegate_test_header_remove;
    table.variable_get = sidegate_test_variable_get;
    table.variable_get_u64 = sidegate_test_variable_number;
    table.variable_set = sidegate_test_variable_set;
    table.named_get = sidegate_test_named_get;
    table.named_set = sidegate_test_named_set;
    table.body_len = sidegate_test_body_len;
    table.body_read = sidegate_test_body_read;
    table.body_replace = sidegate_test_body_replace;
    table.body_append = sidegate_test_body_append;
    table.body_drain = sidegate_test_body_drain;
    table.reply = sidegate_test_reply;
    table.resume_handle = sidegate_test_resume_handle;
    table.resume = sidegate_test_resume;
    table.resume_retain = sidegate_test_resume_retain;
    table.resume_release = sidegate_test_resume_release;
    table.route_config = sidegate_test_route_config;
    table.fault = sidegate_test_fault;
    table.body_waive = sidegate_test_waive;
    table.state_write = sidegate_test_state_write;
    table.plugin_call = sidegate_test_plugin_begin;
    table.plugin_answer = sidegate_test_plugin_end;
    table.plugin_cancel = sidegate_test_plugin_cancel;
    table.size = sizeof table;
    return &table;
}

/* ---- A stream's way. ------------------------------------------------------ */

static inline uint32_t sidegate_test_call(sidegate_stream *stream, sidegate_hook_fn hook_fn, uint32_t flags) {
    sidegate_hook_v1 hook;
    uint32_t status;
    if (!hook_fn) return SIDEGATE_STATUS_CONTINUE;
    hook.size = sizeof hook;
    hook.stream = stream;
    hook.worker_state = stream->test->worker_state;
    hook.phase = stream->phase;
    hook.flags = flags;
    stream->reply_status = 0;
    stream->reply_refused = SIDEGATE_OK;
    status = hook_fn(stream->filter, &hook);
    sidegate_test_plugin_take_back(stream, 0);
    return status;
}

/* Nothing can resume it any more. */
static inline void sidegate_test_leave(sidegate_stream *stream) {
    if (!stream->resume) return;
    pthread_mutex_lock(&stream->resume->lock);
    stream->resume->state = 2;
    pthread_mutex_unlock(&stream->resume->lock);
    sidegate_test_resume_release(stream->resume);
    stream->resume = NULL;
}

static inline void sidegate_test_wait(sidegate_stream *stream) {
    struct timespec until;
    int late = 0;
    if (!stream->resume) sidegate_test_fail(__FILE__, __LINE__, "PENDING without a handle to resume it", NULL);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SIDEGATE_TEST_PENDING;
    pthread_mutex_lock(&stream->resume->lock);
    while (stream->resume->state == 0 && !late)
        late = pthread_cond_timedwait(&stream->resume->resumed, &stream->resume->lock, &until);
    pthread_mutex_unlock(&stream->resume->lock);
    if (late) sidegate_test_fail(__FILE__, __LINE__, "a pending filter was not resumed", NULL);
    sidegate_test_leave(stream);
}

/* Calls a hook and does what its status says. */
static inline enum sidegate_test_end_of sidegate_test_hook(sidegate_stream *stream, sidegate_hook_fn hook_fn,
                                                           uint32_t flags) {
    uint32_t status = sidegate_test_call(stream, hook_fn, flags);
    while (status == SIDEGATE_STATUS_PENDING) {
        if (!sidegate_test_plugin_end_one(stream)) sidegate_test_wait(stream);
        status = sidegate_test_call(stream, stream->test->made.filter_table->on_resume, flags);
    }
    sidegate_test_leave(stream);
    if (status == SIDEGATE_STATUS_TERMINATE) return SIDEGATE_TEST_ENDS;
    if (status == SIDEGATE_STATUS_FAULT || status > SIDEGATE_STATUS_FAULT) {
        stream->fault = "it did not say why";
        if (stream->fault_text.ptr) stream->fault = stream->fault_text.ptr;
        return SIDEGATE_TEST_ENDS;
    }
    if (stream->reply_refused != SIDEGATE_OK || (stream->reply_status != 0 && status != SIDEGATE_STATUS_STOP)) {
        stream->reply_status = 500;
        sidegate_test_map_clear(&stream->maps[SIDEGATE_MAP_RESPONSE]);
        sidegate_test_put(&stream->reply_body, sidegate_str(""));
        return SIDEGATE_TEST_REPLIES;
    }
    return stream->reply_status != 0 ? SIDEGATE_TEST_REPLIES : SIDEGATE_TEST_GOES_ON;
}

/* The body and trailers of a direction past the hooks. */
static inline enum sidegate_test_end_of sidegate_test_rest(sidegate_stream *stream, uint32_t direction,
                                                           sidegate_hook_fn on_body, sidegate_hook_fn on_trailers) {
    sidegate_test_body *body = &stream->bodies[direction];
    int trailers = stream->maps[direction == SIDEGATE_BODY_REQUEST ? SIDEGATE_MAP_REQUEST_TRAILERS
                                                                   : SIDEGATE_MAP_RESPONSE_TRAILERS].count > 0;
    uint32_t last = SIDEGATE_HOOK_BODY_END | (trailers ? 0 : SIDEGATE_HOOK_END);
    size_t i, j;
    enum sidegate_test_end_of end;
    int wanted = body->interest != SIDEGATE_BODY_NONE && !body->waived;
    if (wanted && body->count == 0 && body->interest != SIDEGATE_BODY_OBSERVE)
        sidegate_test_chunk(stream, direction, "");
    for (i = 0; i < body->count; i = j) {
        for (j = i; j < body->count && (j == i || body->interest == SIDEGATE_BODY_WHOLE); j++)
            sidegate_test_append(&body->seen, sidegate_test_lend(body->chunks[j]));
        if (wanted && !body->waived) {
            body->in_hook = 1;
            end = sidegate_test_hook(stream, on_body, j == body->count ? last : 0);
            body->in_hook = 0;
            if (end != SIDEGATE_TEST_GOES_ON) return end;
        }
        sidegate_test_append(&body->passed, sidegate_test_lend(body->seen));
        sidegate_test_clear(&body->seen);
    }
    if (!trailers || body->waived || !on_trailers) return SIDEGATE_TEST_GOES_ON;
    return sidegate_test_hook(stream, on_trailers, SIDEGATE_HOOK_END);
}

static inline uint32_t sidegate_test_head_flags(const sidegate_stream *stream, uint32_t direction) {
    uint32_t map = direction == SIDEGATE_BODY_REQUEST ? SIDEGATE_MAP_REQUEST_TRAILERS : SIDEGATE_MAP_RESPONSE_TRAILERS;
    return stream->bodies[direction].count == 0 && stream->maps[map].count == 0 ? SIDEGATE_HOOK_END : 0;
}

static inline enum sidegate_test_end_of sidegate_test_send_request(sidegate_stream *stream) {
    const sidegate_filter_table_v1 *hooks = stream->test->made.filter_table;
    const sidegate_interests_v1 *wants = &stream->test->made.interests;
    enum sidegate_test_end_of end = SIDEGATE_TEST_GOES_ON;
    int rest = 0;
    uint32_t phase;
    for (phase = SIDEGATE_PHASE_BEFORE_ROUTE; phase <= SIDEGATE_PHASE_AFTER_CHOOSE_HOST; phase++) {
        int head = (wants->phases >> phase & 1) != 0;
        stream->phase = phase;
        if (head) end = sidegate_test_hook(stream, hooks->on_request_headers, sidegate_test_head_flags(stream, 0));
        if (end != SIDEGATE_TEST_GOES_ON) return end;
        /* In the first declared phase, or in the first of all. */
        if (!rest && (head || wants->phases == 0)) {
            rest = 1;
            end = sidegate_test_rest(stream, SIDEGATE_BODY_REQUEST, hooks->on_request_body,
                                     wants->hooks & SIDEGATE_WANT_REQUEST_TRAILERS ? hooks->on_request_trailers : NULL);
            if (end != SIDEGATE_TEST_GOES_ON) return end;
        }
    }
    return end;
}

static inline enum sidegate_test_end_of sidegate_test_send_response(sidegate_stream *stream) {
    const sidegate_filter_table_v1 *hooks = stream->test->made.filter_table;
    uint32_t wants = stream->test->made.interests.hooks;
    enum sidegate_test_end_of end = SIDEGATE_TEST_GOES_ON;
    stream->responding = 1;
    stream->phase = SIDEGATE_PHASE_SEND;
    if (wants & SIDEGATE_WANT_RESPONSE_HEADERS)
        end = sidegate_test_hook(stream, hooks->on_response_headers, sidegate_test_head_flags(stream, 1));
    if (end != SIDEGATE_TEST_GOES_ON) return end;
    return sidegate_test_rest(stream, SIDEGATE_BODY_RESPONSE, hooks->on_response_body,
                              wants & SIDEGATE_WANT_RESPONSE_TRAILERS ? hooks->on_response_trailers : NULL);
}

/* The filter's reply in place of the upstream's answer. */
static inline void sidegate_test_take_reply(sidegate_stream *stream) {
    sidegate_test_body *body = &stream->bodies[SIDEGATE_BODY_RESPONSE];
    char status[16];
    while (body->count > 0) free(body->chunks[--body->count].ptr);
    sidegate_test_map_clear(&stream->maps[SIDEGATE_MAP_RESPONSE_TRAILERS]);
    if (stream->reply_body.len > 0) sidegate_test_chunk(stream, SIDEGATE_BODY_RESPONSE, stream->reply_body.ptr);
    snprintf(status, sizeof status, "%u", (unsigned)stream->reply_status);
    sidegate_test_put(&stream->variables[SIDEGATE_VAR_STATUS], sidegate_str(status));
    stream->replied = 1;
}

static inline void sidegate_test_run(sidegate_stream *stream) {
    const sidegate_filter_table_v1 *hooks = stream->test->made.filter_table;
    sidegate_create_result_v1 *made = &stream->test->made;
    enum sidegate_test_end_of end;
    stream->bodies[SIDEGATE_BODY_REQUEST].interest = made->interests.request_body;
    stream->bodies[SIDEGATE_BODY_RESPONSE].interest = made->interests.response_body;
    if (made->factory_table->create_filter(made->factory, 0, stream->test->worker_state, &stream->filter) !=
        SIDEGATE_OK) {
        stream->fault = "create_filter failed";
        stream->status = 500;
        return;
    }
    end = sidegate_test_send_request(stream);
    stream->reached = end == SIDEGATE_TEST_GOES_ON;
    if (end == SIDEGATE_TEST_REPLIES) sidegate_test_take_reply(stream);
    if (end != SIDEGATE_TEST_ENDS) end = sidegate_test_send_response(stream);
    if (end == SIDEGATE_TEST_GOES_ON)
        stream->status = (uint32_t)strtoul(stream->variables[SIDEGATE_VAR_STATUS].ptr, NULL, 10);
    else if (stream->fault)
        stream->status = 500;
    stream->complete = 1;
    if (!stream->fault && hooks->on_complete && (made->interests.hooks & SIDEGATE_WANT_COMPLETE)) {
        sidegate_completion_v1 how;
        sidegate_hook_v1 hook;
        memset(&how, 0, sizeof how);
        how.size = sizeof how;
        how.status = stream->status;
        how.reset_by = stream->status ? SIDEGATE_RESET_NOBODY : SIDEGATE_RESET_FILTER;
        how.bytes_received = stream->bodies[SIDEGATE_BODY_REQUEST].passed.len;
        how.bytes_sent = stream->bodies[SIDEGATE_BODY_RESPONSE].passed.len;
        how.upstream_duration_ns = SIDEGATE_NO_DURATION;
        hook.size = sizeof hook;
        hook.stream = stream;
        hook.worker_state = stream->test->worker_state;
        hook.phase = SIDEGATE_PHASE_SEND;
        hook.flags = SIDEGATE_HOOK_END;
        hooks->on_complete(stream->filter, &hook, &how);
    }
    hooks->destroy(stream->filter);
    sidegate_test_plugin_take_back(stream, 1);
}

/* ---- Factories and requests. ---------------------------------------------- */

/* Creates a factory, or says "path: message" in `told`. */
static inline uint32_t sidegate_test_create(const char *filter, const char *config, sidegate_create_result_v1 *made,
                                            char *told, size_t room) {
    static char message[512], path[256];
    sidegate_error_out_v1 error;
    sidegate_create_args_v1 args;
    /* A copy of exactly that length: reading beyond it is caught. */
    uint8_t *copy = (uint8_t *)sidegate_test_grow(NULL, strlen(config) + (strlen(config) == 0));
    const char *why = "it did not say why";
    uint32_t code;
    memcpy(copy, config, strlen(config));
    memset(&error, 0, sizeof error);
    memset(&args, 0, sizeof args);
    memset(made, 0, sizeof *made);
    error.size = sizeof error;
    error.message = (uint8_t *)message;
    error.message_capacity = sizeof message - 1;
    error.path = (uint8_t *)path;
    error.path_capacity = sizeof path - 1;
    args.size = sizeof args;
    args.host = sidegate_test_table();
    args.filter_name = sidegate_str(filter);
    args.config = sidegate_bytes(copy, strlen(config));
    args.error = &error;
    args.workers = 1;
    args.plugins = sidegate_test_host.plugins;
    args.plugins_len = sidegate_test_host.plugins_count;
    made->size = sizeof *made;
    code = sidegate_create_filter_factory_v1(&args, made);
    free(copy);
    message[error.message_len] = 0;
    path[error.path_len] = 0;
    told[0] = 0;
    if (code == SIDEGATE_OK) return code;
    if (message[0]) why = message;
    if (path[0])
        snprintf(told, room, "%s: %s", path, why);
    else
        snprintf(told, room, "%s", why);
    return code;
}

static inline sidegate_test *sidegate_test_start(const char *filter, const char *config) {
    sidegate_test *test = (sidegate_test *)calloc(1, sizeof *test);
    char told[800];
    if (!test || sidegate_test_create(filter, config, &test->made, told, sizeof told) != SIDEGATE_OK)
        sidegate_test_fail(__FILE__, __LINE__, "the configuration was refused", test ? told : NULL);
    if (test->made.factory_table->worker_attach &&
        test->made.factory_table->worker_attach(test->made.factory, 0, &test->worker_state) != SIDEGATE_OK)
        sidegate_test_fail(__FILE__, __LINE__, "worker_attach failed", NULL);
    return test;
}

static inline const char *sidegate_test_refusal(const char *filter, const char *config) {
    static char told[800];
    sidegate_create_result_v1 made;
    if (sidegate_test_create(filter, config, &made, told, sizeof told) == SIDEGATE_OK)
        made.factory_table->destroy(made.factory);
    return told;
}

static inline void sidegate_test_free_stream(sidegate_stream *stream) {
    size_t i, direction;
    for (i = 0; i < 4; i++) sidegate_test_map_clear(&stream->maps[i]);
    for (i = 0; i <= SIDEGATE_VAR_TLS_CIPHER; i++) sidegate_test_clear(&stream->variables[i]);
    for (direction = 0; direction < 2; direction++) {
        sidegate_test_body *body = &stream->bodies[direction];
        for (i = 0; i < body->count; i++) free(body->chunks[i].ptr);
        free(body->chunks);
        sidegate_test_clear(&body->seen);
        sidegate_test_clear(&body->passed);
    }
    sidegate_test_map_clear(&stream->named);
    sidegate_test_clear(&stream->fault_text);
    sidegate_test_clear(&stream->reply_body);
    free(stream);
}

static inline void sidegate_test_end(sidegate_test *test) {
    const sidegate_factory_table_v1 *factory = test->made.factory_table;
    while (test->streams) {
        sidegate_stream *next = test->streams->next;
        if (test->streams->route_config)
            factory->destroy_route_config(test->made.factory, test->streams->route_config);
        sidegate_test_free_stream(test->streams);
        test->streams = next;
    }
    if (factory->worker_attach) factory->worker_detach(test->made.factory, 0, test->worker_state);
    factory->destroy(test->made.factory);
    free(test);
}

static inline sidegate_stream *sidegate_test_request(sidegate_test *test, const char *method, const char *target,
                                                     const char *headers) {
    sidegate_stream *stream = (sidegate_stream *)calloc(1, sizeof *stream);
    const sidegate_test_field *host;
    if (!stream) sidegate_test_fail(__FILE__, __LINE__, "out of memory", NULL);
    stream->test = test;
    stream->next = test->streams;
    test->streams = stream;
    sidegate_test_variable(stream, SIDEGATE_VAR_METHOD, method);
    sidegate_test_variable(stream, SIDEGATE_VAR_TARGET, target);
    sidegate_test_variable(stream, SIDEGATE_VAR_ORIGINAL_TARGET, target);
    sidegate_test_variable(stream, SIDEGATE_VAR_SCHEME, "http");
    sidegate_test_variable(stream, SIDEGATE_VAR_PROTOCOL, "HTTP/1.1");
    sidegate_test_lines(&stream->maps[SIDEGATE_MAP_REQUEST], headers);
    host = sidegate_test_map_find(&stream->maps[SIDEGATE_MAP_REQUEST], sidegate_str("host"));
    sidegate_test_variable(stream, SIDEGATE_VAR_AUTHORITY, host ? host->value.ptr : "test");
    if (!host) sidegate_test_map_add(&stream->maps[SIDEGATE_MAP_REQUEST], sidegate_str("host"), sidegate_str("test"));
    sidegate_test_answer(stream, 200, "");
    return stream;
}

static inline void sidegate_test_variable(sidegate_stream *stream, uint32_t variable, const char *value) {
    if (variable == 0 || variable > SIDEGATE_VAR_TLS_CIPHER)
        sidegate_test_fail(__FILE__, __LINE__, "no such variable", NULL);
    sidegate_test_put(&stream->variables[variable], sidegate_str(value));
    sidegate_test_retarget(stream, variable);
}

static inline void sidegate_test_plugin(const char *name, sidegate_test_plugin_fn answers) {
    struct sidegate_test_host *host = &sidegate_test_host;
    size_t at = 0;
    while (at < host->plugins_count && !sidegate_slice_eq(host->plugins[at], sidegate_str(name))) at++;
    if (at == sizeof host->plugins / sizeof *host->plugins)
        sidegate_test_fail(__FILE__, __LINE__, "too many plugins", name);
    host->plugins[at] = sidegate_str(name);
    host->plugin_fns[at] = answers;
    if (at == host->plugins_count) host->plugins_count++;
}

static inline void sidegate_test_chunk(sidegate_stream *stream, uint32_t direction, const char *chunk) {
    sidegate_test_body *body = &stream->bodies[direction];
    body->chunks = (sidegate_test_text *)sidegate_test_grow(body->chunks, (body->count + 1) * sizeof *body->chunks);
    body->chunks[body->count++] = sidegate_test_copy(sidegate_str(chunk));
}

static inline void sidegate_test_trailers(sidegate_stream *stream, uint32_t map, const char *lines) {
    sidegate_test_lines(&stream->maps[map], lines);
}

static inline void sidegate_test_answer(sidegate_stream *stream, uint32_t status, const char *headers) {
    char text[16];
    snprintf(text, sizeof text, "%u", (unsigned)status);
    sidegate_test_variable(stream, SIDEGATE_VAR_STATUS, text);
    sidegate_test_map_clear(&stream->maps[SIDEGATE_MAP_RESPONSE]);
    sidegate_test_lines(&stream->maps[SIDEGATE_MAP_RESPONSE], headers);
}

static inline void sidegate_test_route(sidegate_stream *stream, const char *config) {
    const sidegate_factory_table_v1 *factory = stream->test->made.factory_table;
    if (!factory->create_route_config ||
        factory->create_route_config(stream->test->made.factory, sidegate_str(config), NULL, &stream->route_config) !=
            SIDEGATE_OK)
        sidegate_test_fail(__FILE__, __LINE__, "the filter does not take settings of a route", config);
}

static inline const char *sidegate_test_header(const sidegate_stream *stream, uint32_t map, const char *name) {
    const sidegate_test_field *found = sidegate_test_map_find(&stream->maps[map], sidegate_str(name));
    return found ? found->value.ptr : NULL;
}

static inline const char *sidegate_test_body_of(const sidegate_stream *stream, uint32_t direction) {
    return stream->bodies[direction].passed.ptr ? stream->bodies[direction].passed.ptr : "";
}

static inline double sidegate_test_metric(const char *name) {
    size_t i, len = strlen(name);
    double sum = -1;
    for (i = 0; i < sidegate_test_host.metrics_count; i++) {
        const sidegate_test_metric_series *series = &sidegate_test_host.metrics[i];
        if (strncmp(series->name, name, len) != 0 || (series->name[len] != 0 && series->name[len] != '{')) continue;
        sum = (sum < 0 ? 0 : sum) + series->value;
    }
    return sum;
}

static inline const char *sidegate_test_logs(void) {
    return sidegate_test_host.logs.ptr ? sidegate_test_host.logs.ptr : "";
}

static inline uint32_t sidegate_test_hand_over(sidegate_test *from, sidegate_test *to) {
    sidegate_state_out state;
    uint32_t result = SIDEGATE_NOT_FOUND;
    memset(&state, 0, sizeof state);
    if (from->made.factory_table->export_state)
        result = from->made.factory_table->export_state(from->made.factory, &state, NULL);
    if (result == SIDEGATE_OK && to->made.factory_table->import_state)
        result = to->made.factory_table->import_state(to->made.factory, sidegate_test_lend(state.written), NULL);
    free(state.written.ptr);
    return result;
}

#endif
