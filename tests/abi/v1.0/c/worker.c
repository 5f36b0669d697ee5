/*
 * Filter `worker`: keeps a count of streams per worker and shows what else
 * belongs to a stream. Each response gets
 *
 *   x-nth     which stream of its worker it is, from 1
 *   x-saw     "METHOD PATH STATUS"
 *   x-named   what the request's hook set as a variable for other filters
 *   x-route   the route's own setting, a JSON value as it stands, if it has one
 *
 * Counters: `seen` and `completed` streams.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sidegate.h"

typedef struct counters {
    uint64_t seen;
    uint64_t completed;
} counters;

typedef struct of_stream {
    const counters *metrics;
    unsigned nth;
    char head[128];
} of_stream;

static uint32_t configure(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT {
    counters *self = (counters *)object;
    uint32_t result = sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "seen", &self->seen);
    return result != SIDEGATE_OK ? result : sidegate_metric(args, SIDEGATE_METRIC_COUNTER, "completed", &self->completed);
}

static uint32_t attach(void *factory, uint32_t worker, void **state) SIDEGATE_NOEXCEPT {
    (void)factory;
    (void)worker;
    *state = calloc(1, sizeof(unsigned));
    return *state ? SIDEGATE_OK : SIDEGATE_LIMIT;
}

static void detach(void *factory, uint32_t worker, void *state) SIDEGATE_NOEXCEPT {
    (void)factory;
    (void)worker;
    free(state);
}

static uint32_t create_route(void *factory, sidegate_slice config, sidegate_error_out_v1 *error,
                             void **made) SIDEGATE_NOEXCEPT {
    char *text;
    (void)factory;
    if (sidegate_slice_eq(config, sidegate_str("null"))) return sidegate_error(error, "", "expected a value");
    text = (char *)malloc((size_t)config.len + 1);
    if (!text) return sidegate_error(error, NULL, "out of memory");
    if (config.len > 0) memcpy(text, config.ptr, (size_t)config.len);
    text[config.len] = 0;
    *made = text;
    return SIDEGATE_OK;
}

static void destroy_route(void *factory, void *made) SIDEGATE_NOEXCEPT {
    (void)factory;
    free(made);
}

static uint32_t begin(void *object, void *config, void *worker_state) SIDEGATE_NOEXCEPT {
    of_stream *self = (of_stream *)object;
    self->metrics = (const counters *)config;
    self->nth = ++*(unsigned *)worker_state;
    return SIDEGATE_OK;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    of_stream *self = (of_stream *)filter;
    sidegate_slice value;
    sidegate_host->metric_add(sidegate_self, self->metrics->seen, 1);
    if (sidegate_host->variable_get(hook->stream, SIDEGATE_VAR_METHOD, &value) != SIDEGATE_OK)
        return SIDEGATE_STATUS_FAULT;
    sidegate_append(self->head, sizeof self->head, value);
    sidegate_append(self->head, sizeof self->head, sidegate_str(" "));
    if (sidegate_host->variable_get(hook->stream, SIDEGATE_VAR_PATH, &value) != SIDEGATE_OK)
        return SIDEGATE_STATUS_FAULT;
    sidegate_append(self->head, sizeof self->head, value);
    sidegate_host->named_set(hook->stream, sidegate_str("conform"), sidegate_str("shared"));
    return SIDEGATE_STATUS_CONTINUE;
}

static void show(sidegate_stream *stream, const char *name, sidegate_slice value) {
    sidegate_host->header_set(stream, SIDEGATE_MAP_RESPONSE, sidegate_str(name), value);
}

static uint32_t on_response_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    of_stream *self = (of_stream *)filter;
    const char *route = (const char *)sidegate_host->route_config(hook->stream);
    char text[160];
    uint64_t status = 0;
    sidegate_slice named;
    snprintf(text, sizeof text, "%u", self->nth);
    show(hook->stream, "x-nth", sidegate_str(text));
    if (sidegate_host->variable_get_u64(hook->stream, SIDEGATE_VAR_STATUS, &status) != SIDEGATE_OK)
        return SIDEGATE_STATUS_FAULT;
    snprintf(text, sizeof text, "%s %u", self->head, (unsigned)status);
    show(hook->stream, "x-saw", sidegate_str(text));
    if (sidegate_host->named_get(hook->stream, sidegate_str("conform"), &named) != SIDEGATE_OK)
        return SIDEGATE_STATUS_FAULT;
    show(hook->stream, "x-named", named);
    if (route) show(hook->stream, "x-route", sidegate_str(route));
    return SIDEGATE_STATUS_CONTINUE;
}

static void on_complete(void *filter, const sidegate_hook_v1 *hook,
                        const sidegate_completion_v1 *completion) SIDEGATE_NOEXCEPT {
    (void)hook;
    if (completion->status == 200 && completion->reset_by == SIDEGATE_RESET_NOBODY)
        sidegate_host->metric_add(sidegate_self, ((of_stream *)filter)->metrics->completed, 1);
}

SIDEGATE_FILTER(worker, "worker", SIDEGATE_CONFIG(counters, configure, NULL), SIDEGATE_STREAM(of_stream, begin, NULL),
                SIDEGATE_WORKER(attach, detach), SIDEGATE_ROUTE_CONFIG(create_route, destroy_route),
                SIDEGATE_ON_REQUEST_HEADERS(on_request_headers, SIDEGATE_IN_AFTER_ROUTE),
                SIDEGATE_ON_RESPONSE_HEADERS(on_response_headers), SIDEGATE_ON_COMPLETE(on_complete))
SIDEGATE_MODULE("worker", "1.0.0", worker)
