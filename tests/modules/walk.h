/* The calls of walk.c: every host function with any arguments. */
#ifndef WALK_H
#define WALK_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "sidegate.h"

#define WORKER_MAGIC 0x30574b52U
#define ROUTE_MAGIC 0x0700e5a1U

/* What the host must hold to. stderr because the host's log may be what is
 * broken. */
#define WATCH(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "walk: %s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

struct walk {
    uint64_t state;
    uint64_t calls;
    int visits;
};

#ifdef WALK_CHOICES
/* Choices of a fuzzer, two bytes each, in the file of this name; where they end
 * the generator goes on. */
static uint8_t walk_choices[4096];
static size_t walk_choices_at, walk_choices_len;

static void walk_read_choices(void) {
    FILE *file = fopen(WALK_CHOICES, "rb");
    walk_choices_at = walk_choices_len = 0;
    if (!file) return;
    walk_choices_len = fread(walk_choices, 1, sizeof walk_choices, file);
    fclose(file);
}
#endif

static uint64_t walk_next(struct walk *walk) {
    uint64_t z = walk->state += 0x9e3779b97f4a7c15;
#ifdef WALK_CHOICES
    if (walk_choices_at + 2 <= walk_choices_len) {
        z = walk_choices[walk_choices_at] | (uint64_t)walk_choices[walk_choices_at + 1] << 8;
        walk_choices_at += 2;
    }
#endif
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t walk_below(struct walk *walk, uint64_t limit) { return walk_next(walk) % limit; }

/* ---- What is kept longer than it is valid. ---- */

enum { KEPT = 64 };
static sidegate_stream *kept_streams[KEPT];
static sidegate_resume *kept_handles[KEPT];
static unsigned kept_stream_at, kept_handle_at;

static void walk_keep_stream(sidegate_stream *stream) {
    unsigned at = __atomic_fetch_add(&kept_stream_at, 1, __ATOMIC_RELAXED) % KEPT;
    __atomic_store_n(&kept_streams[at], stream, __ATOMIC_RELAXED);
}

/* Keeps a reference; the one that it replaces is given back, once. */
static void walk_keep_handle(struct walk *walk, sidegate_resume *handle) {
    unsigned at = __atomic_fetch_add(&kept_handle_at, 1, __ATOMIC_RELAXED) % KEPT;
    sidegate_resume *old = __atomic_exchange_n(&kept_handles[at], handle, __ATOMIC_ACQ_REL);
    walk->calls++;
    if (old) sidegate_host->resume_release(old);
}

static sidegate_resume *walk_any_handle(struct walk *walk) {
    switch (walk_below(walk, 6)) {
    case 0: return NULL;
    case 1: return (sidegate_resume *)(uintptr_t)walk_next(walk);
    default: return __atomic_load_n(&kept_handles[walk_below(walk, KEPT)], __ATOMIC_ACQUIRE);
    }
}

static sidegate_stream *walk_any_stream(struct walk *walk, sidegate_stream *stream) {
    switch (walk_below(walk, 20)) {
    case 0: return NULL;
    case 1: return (sidegate_stream *)(uintptr_t)walk_next(walk);
    case 2: case 3: return __atomic_load_n(&kept_streams[walk_below(walk, KEPT)], __ATOMIC_RELAXED);
    default: return stream;
    }
}

/* ---- Arguments. ---- */

static uint32_t walk_any_number(struct walk *walk, uint32_t limit) {
    return walk_below(walk, 12) == 0 ? (uint32_t)walk_next(walk) : (uint32_t)walk_below(walk, limit);
}

/* Text, or what is none. What the host lent is passed back at once, while it is
 * valid. */
static sidegate_slice walk_any_slice(struct walk *walk, sidegate_stream *stream) {
    static const char *const texts[] = {
        "x-walk", "X-Walk-2", "host", "content-length", "transfer-encoding", "connection", "user-agent", "te",
        "x y", "x\r\ny: z", "\xff\xfe", "/path/of?it", "//../..", "GET", "CONNECT", "204", "304", "99999",
        "example.com:80", "a\nb", ":path", "te\tst", "expect", "upgrade", "trailer", "set-cookie", "x-walk-3",
    };
    static const uint8_t big[200000] = {'w', 'a', 'l', 'k'};
    static const uint64_t lengths[] = {1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 47};
    sidegate_slice slice = {NULL, 0};
    switch (walk_below(walk, 24)) {
    case 0: return slice;
    case 1: slice.len = walk_next(walk) | 1; return slice;
    case 2: slice.ptr = big, slice.len = lengths[1 + walk_below(walk, 3)]; return slice;
    case 3: slice.ptr = big, slice.len = walk_below(walk, sizeof big); return slice;
    case 4: sidegate_host->header_get(stream, walk_any_number(walk, 4), sidegate_str("x-walk"), &slice); return slice;
    case 5: sidegate_host->variable_get(stream, walk_any_number(walk, 24), &slice); return slice;
    case 6: sidegate_host->named_get(stream, sidegate_str("x-walk"), &slice); return slice;
    case 7: {
        sidegate_slice lent[4];
        uint64_t count = 0;
        if (sidegate_host->body_read(stream, walk_any_number(walk, 2), lent, 4, &count) == SIDEGATE_OK && count > 0)
            return lent[0];
        return slice;
    }
    case 8: return sidegate_bytes("nul\0inside", 10);
    default: return sidegate_str(texts[walk_below(walk, sizeof texts / sizeof *texts)]);
    }
}

/* Room for an output, filled so that a touch shows: the place may be there, be
 * NULL or not be aligned. */
struct out {
    union {
        uint64_t align;
        uint8_t bytes[8 * sizeof(sidegate_slice) + 8];
    } room;
    void *place;
};

static void *walk_out(struct walk *walk, struct out *out) {
    uint64_t where = walk_below(walk, 10);
    memset(&out->room, 0xa5, sizeof out->room);
    out->place = where == 0 ? NULL : out->room.bytes + (where == 1 ? 1 : 0);
    return out->place;
}

/* Reads every byte that the host lent: a checker sees whether it may. */
static void walk_read(struct walk *walk, sidegate_slice lent) {
    uint8_t copy[4096];
    uint64_t at, step;
    WATCH(lent.len == 0 || lent.ptr);
    for (at = 0; at < lent.len; at += step) {
        step = lent.len - at < sizeof copy ? lent.len - at : sizeof copy;
        memcpy(copy, lent.ptr + at, (size_t)step);
        walk->state += copy[step - 1];
    }
}

/* The result of a call with an output: if it failed, nothing was touched. */
static uint32_t walk_result(struct walk *walk, uint32_t result, const struct out *out) {
    size_t i;
    walk->calls++;
    WATCH(result <= SIDEGATE_BAD_ARGUMENT);
    if (result != SIDEGATE_OK && out)
        for (i = 0; i < sizeof out->room.bytes; i++) WATCH(out->room.bytes[i] == 0xa5);
    return result;
}

static uint32_t walk_visitor(void *user, const sidegate_header *header) {
    struct walk *walk = user;
    walk_read(walk, header->name);
    walk_read(walk, header->value);
    return walk_below(walk, 12) == 0 ? (uint32_t)walk_next(walk) : 0;
}

/* Visits, and now and then calls on within a visit. */
struct visit {
    struct walk *walk;
    sidegate_stream *stream;
};
static void walk_call(struct walk *walk, sidegate_stream *stream);
static uint32_t walk_nesting_visitor(void *user, const sidegate_header *header) {
    struct visit *visit = user;
    (void)header; /* a nested call may be a visit, but none may change the map: it stays valid */
    if (visit->walk->visits < 3 && walk_below(visit->walk, 3) == 0) walk_call(visit->walk, visit->stream);
    return walk_visitor(visit->walk, header);
}

static uint32_t walk_reply(struct walk *walk, sidegate_stream *stream) {
    static const uint32_t statuses[] = {200, 204, 304, 403, 599, 99, 101, 600, 0};
    sidegate_header fields[3];
    sidegate_reply_v1 reply;
    size_t i;
    for (i = 0; i < 3; i++) fields[i].name = walk_any_slice(walk, NULL), fields[i].value = walk_any_slice(walk, NULL);
    reply.size = walk_below(walk, 8) == 0 ? walk_below(walk, sizeof reply) : sizeof reply;
    reply.status = statuses[walk_below(walk, sizeof statuses / sizeof *statuses)];
    reply.flags = walk_any_number(walk, 1);
    reply.headers = walk_below(walk, 8) == 0 ? NULL : fields;
    reply.headers_len = walk_below(walk, 10) == 0 ? UINT64_MAX >> walk_below(walk, 2) : walk_below(walk, 4);
    reply.body = walk_any_slice(walk, stream);
    return sidegate_host->reply(walk_any_stream(walk, stream), walk_below(walk, 20) == 0 ? NULL : &reply);
}

/* ---- One call. ---- */

static void walk_metrics(struct walk *walk) {
    static const double values[] = {0.5, -1, 0.0, 1e308, -1e308};
    sidegate_module *module = walk_below(walk, 20) == 0 ? NULL : sidegate_self;
    uint64_t metric = walk_below(walk, 3) == 0 ? walk_next(walk) : walk_below(walk, 40);
    sidegate_header labels[2];
    struct out out;
    switch (walk_below(walk, 5)) {
    case 0:
        labels[0].name = walk_any_slice(walk, NULL), labels[0].value = walk_any_slice(walk, NULL);
        labels[1] = labels[0];
        walk_result(walk, sidegate_host->metric_define(module, walk_any_number(walk, 5), walk_any_slice(walk, NULL),
                                                       walk_below(walk, 9) ? labels : NULL, walk_below(walk, 3),
                                                       walk_out(walk, &out)), &out);
        return;
    /* The counters that the test reads are not among those. */
    case 1: walk_result(walk, sidegate_host->metric_add(module, metric | 64, (int64_t)walk_next(walk)), NULL); return;
    case 2: walk_result(walk, sidegate_host->metric_set(module, metric, (int64_t)walk_next(walk)), NULL); return;
    case 3: walk_result(walk, sidegate_host->metric_observe(module, metric, values[walk_below(walk, 5)]), NULL); return;
    default: walk_result(walk, sidegate_host->log(module, walk_any_number(walk, 7), walk_any_slice(walk, NULL)), NULL);
        WATCH(sidegate_host->log_enabled(module, walk_any_number(walk, 7)) <= 1);
    }
}

static void walk_headers(struct walk *walk, sidegate_stream *stream) {
    struct visit visit = {walk, stream};
    const sidegate_host_v1 *host = sidegate_host;
    uint32_t map = walk_any_number(walk, 4);
    sidegate_slice name = walk_any_slice(walk, stream), values[8];
    struct out out;
    uint64_t i, count, room;
    switch (walk_below(walk, 8)) {
    case 0:
        if (walk_result(walk, host->header_get(stream, map, name, walk_out(walk, &out)), &out) == SIDEGATE_OK)
            walk_read(walk, *(sidegate_slice *)out.place);
        return;
    case 1:
        room = walk_below(walk, 9);
        if (walk_result(walk, host->header_get_all(stream, map, name, walk_below(walk, 9) ? values : NULL, room,
                                                   walk_out(walk, &out)), &out) != SIDEGATE_OK)
            return;
        count = *(uint64_t *)out.place;
        for (i = 0; i < count && i < room; i++) walk_read(walk, values[i]);
        return;
    case 2:
        walk->visits++;
        walk_result(walk, host->headers_visit(stream, map, walk_below(walk, 9) ? walk_nesting_visitor : NULL, &visit),
                    NULL);
        walk->visits--;
        return;
    case 3: case 4: walk_result(walk, host->header_set(stream, map, name, walk_any_slice(walk, stream)), NULL); return;
    case 5: walk_result(walk, host->header_add(stream, map, name, walk_any_slice(walk, stream)), NULL); return;
    default:
        /* A NULL output is allowed here. */
        walk_result(walk, host->header_remove(stream, map, name, walk_out(walk, &out)), &out);
    }
}

static void walk_variables(struct walk *walk, sidegate_stream *stream) {
    const sidegate_host_v1 *host = sidegate_host;
    uint32_t variable = walk_any_number(walk, 25);
    struct out out;
    switch (walk_below(walk, 5)) {
    case 0:
        if (walk_result(walk, host->variable_get(stream, variable, walk_out(walk, &out)), &out) == SIDEGATE_OK)
            walk_read(walk, *(sidegate_slice *)out.place);
        return;
    case 1: walk_result(walk, host->variable_get_u64(stream, variable, walk_out(walk, &out)), &out); return;
    case 2: walk_result(walk, host->variable_set(stream, variable, walk_any_slice(walk, stream)), NULL); return;
    case 3:
        if (walk_result(walk, host->named_get(stream, walk_any_slice(walk, stream), walk_out(walk, &out)), &out) ==
            SIDEGATE_OK)
            walk_read(walk, *(sidegate_slice *)out.place);
        return;
    default: {
        sidegate_slice name = walk_any_slice(walk, stream);
        walk_result(walk, host->named_set(stream, name, walk_any_slice(walk, stream)), NULL);
    }
    }
}

static void walk_body(struct walk *walk, sidegate_stream *stream) {
    const sidegate_host_v1 *host = sidegate_host;
    uint32_t direction = walk_any_number(walk, 2);
    sidegate_slice slices[8];
    struct out out;
    uint64_t i, count, room = walk_below(walk, 9);
    switch (walk_below(walk, 5)) {
    case 0: walk_result(walk, host->body_len(stream, direction, walk_out(walk, &out)), &out); return;
    case 1:
        if (walk_result(walk, host->body_read(stream, direction, walk_below(walk, 9) ? slices : NULL, room,
                                              walk_out(walk, &out)), &out) != SIDEGATE_OK)
            return;
        count = *(uint64_t *)out.place;
        for (i = 0; i < count && i < room; i++) walk_read(walk, slices[i]);
        return;
    case 2:
        for (i = 0; i < 8; i++) slices[i] = walk_any_slice(walk, stream);
        count = walk_below(walk, 12) ? room % 9 : UINT64_MAX;
        walk_result(walk, host->body_replace(stream, direction, walk_below(walk, 9) ? slices : NULL, count), NULL);
        return;
    case 3: walk_result(walk, host->body_append(stream, direction, walk_any_slice(walk, stream)), NULL); return;
    default:
        count = walk_below(walk, 4) ? walk_below(walk, 100) : walk_next(walk);
        walk_result(walk, host->body_drain(stream, direction, count, walk_out(walk, &out)), &out);
    }
}

static void walk_streams(struct walk *walk, sidegate_stream *stream) {
    const sidegate_host_v1 *host = sidegate_host;
    uint32_t *route;
    struct out out;
    switch (walk_below(walk, 8)) {
    case 0: walk_result(walk, walk_reply(walk, stream), NULL); return;
    case 1:
        if (walk_result(walk, host->resume_handle(stream, walk_out(walk, &out)), &out) == SIDEGATE_OK)
            walk_keep_handle(walk, *(sidegate_resume **)out.place);
        return;
    case 2:
        route = host->route_config(stream);
        WATCH(!route || *route == ROUTE_MAGIC);
        return;
    case 3: walk_result(walk, host->fault(stream, walk_any_slice(walk, stream)), NULL); return;
    case 4: walk_result(walk, host->resume(walk_any_handle(walk)), NULL); return;
    /* More references are taken than are given back for some, and fewer for others. */
    case 5: walk_result(walk, host->resume_retain(walk_any_handle(walk)), NULL); return;
    case 6: walk_result(walk, host->resume_release(walk_any_handle(walk)), NULL); return;
    default: {
        uint64_t before = host->monotonic_ns();
        WATCH(before <= host->monotonic_ns() && host->wall_ns() > 0);
    }
    }
}

/* Calls one function. `stream` is the running hook's, or NULL outside of one. */
static void walk_call(struct walk *walk, sidegate_stream *stream) {
    sidegate_stream *any = walk_any_stream(walk, stream);
    switch (walk_below(walk, 12)) {
    case 0: walk_metrics(walk); return;
    case 1: case 2: case 3: case 4: walk_headers(walk, any); return;
    case 5: case 6: walk_variables(walk, any); return;
    case 7: case 8: case 9: walk_body(walk, any); return;
    default: walk_streams(walk, any);
    }
}

/* Ends waits, so that not each is a time-out. */
static void walk_resume_kept(struct walk *walk) {
    size_t i;
    for (i = 0; i < KEPT; i++) {
        sidegate_resume *handle = __atomic_load_n(&kept_handles[i], __ATOMIC_ACQUIRE);
        if (handle && walk_below(walk, 2) == 0) walk_result(walk, sidegate_host->resume(handle), NULL);
    }
}

#endif
