/*
 * sidegate.h - the Sidegate module ABI, version 1.1
 *
 * A whole module, which marks each request on its way upstream:
 *
 *     #include "sidegate.h"
 *
 *     static uint32_t mark(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
 *         (void)filter;
 *         sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-mark"), sidegate_str("1"));
 *         return SIDEGATE_STATUS_CONTINUE;
 *     }
 *
 *     SIDEGATE_FILTER(marks, "marks", SIDEGATE_ON_REQUEST_HEADERS(mark, SIDEGATE_IN_BEFORE_ROUTE))
 *     SIDEGATE_MODULE("marks", "1.0.0", marks)
 *
 *     cc -shared -fPIC -O2 -I<folder of this file> -o libmarks.so marks.c
 *
 * The macros stand at the end of this file. They write the one record and the
 * one function that the ABI asks for, which a module may as well do by hand.
 *
 * It links against nothing of the host: host functions come in a table. A
 * module built once keeps loading in every later 1.x host.
 *
 * Rules that hold everywhere; comments below say only what is added to them.
 *
 * TABLES     Every table begins with `size`, its length in bytes as its maker
 *            knows it. Fields are only appended. A function that is NULL or
 *            lies beyond `size` is not supported by that peer: ask
 *            SIDEGATE_HAS(table, field). All functions of 1.0 are there in
 *            every 1.x host; later ones name their minor.
 * OWNERSHIP  Strings and buffers are pointer and length, bytes, not
 *            NUL-terminated; (NULL, 0) is empty. What the host lends is only
 *            read. What the module lends is copied before the call returns.
 *            Each side frees what it allocated.
 * VALIDITY   What the host lends stays valid until the hook returns or until
 *            the module changes that same header map or body; a variable, until
 *            it sets any variable (header `host` is one). No pointer of one
 *            hook may be used in another.
 * THREADS    Hooks of one filter run on the worker of its stream, never
 *            overlap and never nest. Factories and route configurations are
 *            made and freed on the one module-control thread. A function of
 *            the host that takes a sidegate_stream may be called in a hook of
 *            that stream only; every other function from any thread.
 * ERRORS     Functions that return uint32_t return SIDEGATE_OK or another
 *            result number below, and have then changed nothing, outputs
 *            included. A NULL output is SIDEGATE_BAD_ARGUMENT unless the
 *            comment allows it. Numbers this header does not name can come
 *            from newer hosts: treat them as failures.
 * UNWINDING  Nothing may unwind or longjmp out of a module: C++ functions
 *            given to the host are SIDEGATE_NOEXCEPT and catch what they call.
 *            From C++17 on others do not compile.
 * PROCESS    A module must not fork, exit, chdir, setenv, setlocale or change
 *            signal handlers. Threads it starts block all signals and are
 *            joined when its factory is destroyed.
 *
 * Compile C++ modules with -fno-gnu-unique, or they cannot be unloaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIDEGATE_H
#define SIDEGATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#define SIDEGATE_EXTERN_C extern "C"
#define SIDEGATE_NOEXCEPT noexcept
extern "C" {
#else
#define SIDEGATE_EXTERN_C
#define SIDEGATE_NOEXCEPT
#endif

/* In the types of functions of a module; before C++17 those cannot say it. */
#if defined(__cplusplus) && __cplusplus >= 201703L
#define SIDEGATE_NOEXCEPT_TYPE noexcept
#else
#define SIDEGATE_NOEXCEPT_TYPE
#endif

/* Put before the definition of what a module exports. */
#define SIDEGATE_EXPORT SIDEGATE_EXTERN_C __attribute__((visibility("default")))

/* ---- Numbers. Append-only: none is ever changed or reused. -------------- */

#define SIDEGATE_ABI_MAJOR 1
#define SIDEGATE_ABI_MINOR 1

/* What sidegate_module_record_v1.panic says. */
#define SIDEGATE_PANIC_NONE 0   /* nothing unwinds (C) */
#define SIDEGATE_PANIC_UNWIND 1 /* caught inside the module */
#define SIDEGATE_PANIC_ABORT 2  /* ends the process; refused unless allowed */

/* Results of functions. */
#define SIDEGATE_OK UINT32_C(0)
#define SIDEGATE_NOT_FOUND UINT32_C(1)     /* no such header, variable, filter */
#define SIDEGATE_NOT_NOW UINT32_C(2)       /* not there yet, already sent, or not declared */
#define SIDEGATE_BAD_NAME UINT32_C(3)      /* header or variable name not allowed */
#define SIDEGATE_BAD_VALUE UINT32_C(4)     /* value not allowed */
#define SIDEGATE_RESERVED UINT32_C(5)      /* framing and hop-by-hop fields belong to the host */
#define SIDEGATE_LIMIT UINT32_C(6)         /* limit of the stream, filter or module reached */
#define SIDEGATE_UNSUPPORTED UINT32_C(7)   /* function, map, variable or kind not known */
#define SIDEGATE_GONE UINT32_C(8)          /* the stream has ended or moved on */
#define SIDEGATE_ALREADY UINT32_C(9)       /* it was done before */
#define SIDEGATE_BAD_ARGUMENT UINT32_C(10) /* a pointer, length or number is not valid */
#define SIDEGATE_FAILED UINT32_C(11)       /* the module failed and said why */
#define SIDEGATE_PANICKED UINT32_C(12)     /* it panicked or threw, and said where */

/* Statuses of hooks. Any other number is a fault. */
#define SIDEGATE_STATUS_CONTINUE UINT32_C(0)      /* go on */
#define SIDEGATE_STATUS_STOP UINT32_C(1)          /* send the reply that was set; without one, only end
                                                     this phase's remaining filters */
#define SIDEGATE_STATUS_PENDING UINT32_C(2)       /* wait for a resume */
#define SIDEGATE_STATUS_TERMINATE UINT32_C(3)     /* close without a reply */
#define SIDEGATE_STATUS_REMATCH_ROUTE UINT32_C(4) /* header hooks after the route only */
#define SIDEGATE_STATUS_RECHOOSE_HOST UINT32_C(5) /* header hook after the host only */
#define SIDEGATE_STATUS_FAULT UINT32_C(6)         /* failed; only destroy follows */

/* Phases, in their order. */
#define SIDEGATE_PHASE_BEFORE_ROUTE UINT32_C(1)
#define SIDEGATE_PHASE_AFTER_ROUTE UINT32_C(2)
#define SIDEGATE_PHASE_AFTER_CHOOSE_HOST UINT32_C(3) /* once per upstream attempt */
#define SIDEGATE_PHASE_SEND UINT32_C(4)              /* the response and all after it */
#define SIDEGATE_PHASE_OTHER UINT32_MAX              /* one that this minor does not know */

/* Bits of sidegate_hook_v1.flags. HOOK_END in a header hook says that no body
 * comes; a body hook of mode STREAM or WHOLE follows all the same, once, with no
 * bytes and both flags. */
#define SIDEGATE_HOOK_END UINT32_C(1)      /* nothing follows in this direction: no bytes and no trailers */
#define SIDEGATE_HOOK_BODY_END UINT32_C(2) /* body hooks: the body ends with these bytes; trailers may follow */

/* Interest in a body. */
#define SIDEGATE_BODY_NONE UINT32_C(0)
#define SIDEGATE_BODY_OBSERVE UINT32_C(1) /* chunk by chunk, unchanged */
#define SIDEGATE_BODY_STREAM UINT32_C(2)  /* chunk by chunk, may be changed */
#define SIDEGATE_BODY_WHOLE UINT32_C(3)   /* all of it, may be changed; beyond the limit 413 or 502 */

/* Bits of sidegate_interests_v1.hooks. */
#define SIDEGATE_WANT_REQUEST_TRAILERS UINT32_C(1)
#define SIDEGATE_WANT_RESPONSE_HEADERS UINT32_C(2)
#define SIDEGATE_WANT_RESPONSE_TRAILERS UINT32_C(4)
#define SIDEGATE_WANT_COMPLETE UINT32_C(8)

/* Header maps. */
#define SIDEGATE_MAP_REQUEST UINT32_C(0)
#define SIDEGATE_MAP_REQUEST_TRAILERS UINT32_C(1)
#define SIDEGATE_MAP_RESPONSE UINT32_C(2)
#define SIDEGATE_MAP_RESPONSE_TRAILERS UINT32_C(3)

/* Body directions. */
#define SIDEGATE_BODY_REQUEST UINT32_C(0)
#define SIDEGATE_BODY_RESPONSE UINT32_C(1)

/* Variables. Method, path and the like are variables, never headers; header
 * `host` and VAR_AUTHORITY are one value. `set` marks those that can be set,
 * `integer` those that variable_get_u64 reads. */
#define SIDEGATE_VAR_METHOD UINT32_C(1)     /* set; BAD_VALUE to or from HEAD, and to CONNECT: they frame */
#define SIDEGATE_VAR_PATH UINT32_C(2)       /* without query; set */
#define SIDEGATE_VAR_QUERY UINT32_C(3)      /* without `?`; set */
#define SIDEGATE_VAR_TARGET UINT32_C(4)     /* path and query; set */
#define SIDEGATE_VAR_AUTHORITY UINT32_C(5)  /* host and optional port; set */
#define SIDEGATE_VAR_SCHEME UINT32_C(6)     /* http or https */
#define SIDEGATE_VAR_STATUS UINT32_C(7)     /* of the response; integer; set */
#define SIDEGATE_VAR_PROTOCOL UINT32_C(8)   /* protocol version of the client */
#define SIDEGATE_VAR_DOWNSTREAM_REMOTE_ADDRESS UINT32_C(9)
#define SIDEGATE_VAR_DOWNSTREAM_LOCAL_ADDRESS UINT32_C(10)
#define SIDEGATE_VAR_LISTENER_NAME UINT32_C(11)
#define SIDEGATE_VAR_VIRTUAL_HOST UINT32_C(12)
#define SIDEGATE_VAR_ROUTE_NAME UINT32_C(13)
#define SIDEGATE_VAR_CLUSTER_NAME UINT32_C(14)
#define SIDEGATE_VAR_UPSTREAM_HOST UINT32_C(15)
#define SIDEGATE_VAR_REQUEST_ID UINT32_C(16)
#define SIDEGATE_VAR_DOWNSTREAM_REMOTE_IP UINT32_C(17)
#define SIDEGATE_VAR_TLS_PEER_SUBJECT UINT32_C(18)
#define SIDEGATE_VAR_TLS_SERVER_NAME UINT32_C(19)
#define SIDEGATE_VAR_BYTES_RECEIVED UINT32_C(20) /* of the request body so far; integer */
#define SIDEGATE_VAR_BYTES_SENT UINT32_C(21)     /* of the response body so far; integer */
#define SIDEGATE_VAR_RESPONSE_FLAGS UINT32_C(22) /* integer */
#define SIDEGATE_VAR_RESPONSE_DETAILS UINT32_C(23)
/* Of minor 1. */
#define SIDEGATE_VAR_ORIGINAL_TARGET UINT32_C(24) /* as the client sent it: not normalized, not rewritten */
#define SIDEGATE_VAR_REPLY_FILTER UINT32_C(25)    /* the filter that answered, closed or failed */
#define SIDEGATE_VAR_REPLY_MODULE UINT32_C(26)    /* the module it is from; none if it is built in */
/* Of a client that speaks TLS. Of its certificate, VAR_TLS_PEER_SUBJECT
 * included, there is only something if it was found good. In lists a comma or
 * backslash within a name has a backslash before it. */
#define SIDEGATE_VAR_TLS_PEER_VERIFIED UINT32_C(27)   /* true if its certificate was found good, else false */
#define SIDEGATE_VAR_TLS_PEER_ISSUER UINT32_C(28)     /* its issuer, as RFC 2253 writes names */
#define SIDEGATE_VAR_TLS_PEER_SERIAL UINT32_C(29)     /* serial number, hexadecimal */
#define SIDEGATE_VAR_TLS_PEER_SHA256 UINT32_C(30)     /* SHA-256 of the certificate, hexadecimal */
#define SIDEGATE_VAR_TLS_PEER_KEY_SHA256 UINT32_C(31) /* SHA-256 of the public key, base64 */
#define SIDEGATE_VAR_TLS_PEER_URI_SAN UINT32_C(32)    /* URIs among its names, with commas */
#define SIDEGATE_VAR_TLS_PEER_DNS_SAN UINT32_C(33)    /* names of DNS, the same */
#define SIDEGATE_VAR_TLS_PEER_IP_SAN UINT32_C(34)     /* addresses, the same */
#define SIDEGATE_VAR_TLS_PEER_EMAIL_SAN UINT32_C(35)  /* mail addresses, the same */
#define SIDEGATE_VAR_TLS_PEER_SPIFFE_ID UINT32_C(36)  /* the only URI, if it is a SPIFFE ID */
#define SIDEGATE_VAR_TLS_PEER_NOT_BEFORE UINT32_C(37) /* good from then on, RFC 3339 in UTC */
#define SIDEGATE_VAR_TLS_PEER_NOT_AFTER UINT32_C(38)  /* good until then, the same */
#define SIDEGATE_VAR_TLS_PEER_PEM UINT32_C(39)        /* the certificate in PEM */
#define SIDEGATE_VAR_TLS_PEER_PEM_URL UINT32_C(40)    /* the same, escaped for URLs */
#define SIDEGATE_VAR_TLS_VERSION UINT32_C(41)         /* TLSv1.3 or TLSv1.2 */
#define SIDEGATE_VAR_TLS_CIPHER UINT32_C(42)          /* the cipher, by IANA's name */

/* Log levels. */
#define SIDEGATE_LOG_ERROR UINT32_C(1)
#define SIDEGATE_LOG_WARN UINT32_C(2)
#define SIDEGATE_LOG_INFO UINT32_C(3)
#define SIDEGATE_LOG_DEBUG UINT32_C(4)
#define SIDEGATE_LOG_TRACE UINT32_C(5)

/* Kinds of metrics. */
#define SIDEGATE_METRIC_COUNTER UINT32_C(1)
#define SIDEGATE_METRIC_GAUGE UINT32_C(2)
#define SIDEGATE_METRIC_HISTOGRAM UINT32_C(3)

/* Who reset a stream. */
#define SIDEGATE_RESET_NOBODY UINT32_C(0)
#define SIDEGATE_RESET_DOWNSTREAM UINT32_C(1)
#define SIDEGATE_RESET_UPSTREAM UINT32_C(2)
#define SIDEGATE_RESET_FILTER UINT32_C(3)
#define SIDEGATE_RESET_PROXY UINT32_C(4)
#define SIDEGATE_RESET_OTHER UINT32_MAX /* one that this minor does not know */

/* Of minor 1: how a call of a plugin ended. */
#define SIDEGATE_PLUGIN_ANSWERED UINT32_C(0)
#define SIDEGATE_PLUGIN_TIMEOUT UINT32_C(1)  /* not in time */
#define SIDEGATE_PLUGIN_DOWN UINT32_C(2)     /* it does not run */
#define SIDEGATE_PLUGIN_DISABLED UINT32_C(3) /* somebody disabled it */
#define SIDEGATE_PLUGIN_LOST UINT32_C(4)     /* it ended in the call */
#define SIDEGATE_PLUGIN_ERROR UINT32_C(5)    /* it answered with an error */
#define SIDEGATE_PLUGIN_OTHER UINT32_MAX     /* something newer than this minor */

/* A duration that is not known. */
#define SIDEGATE_NO_DURATION UINT64_MAX

/* ---- Types that stand in arrays. Frozen. -------------------------------- */

/* Borrowed bytes. */
typedef struct sidegate_slice {
    const uint8_t *ptr; /* may be NULL if len is 0 */
    uint64_t len;
} sidegate_slice;

/* A header field. Names from the host are lower case for HTTP; names to the
 * host may have any case. */
typedef struct sidegate_header {
    sidegate_slice name;
    sidegate_slice value;
} sidegate_header;

/* ---- Opaque types. ------------------------------------------------------ */

/* One request and its response. Valid for the hook it was handed to. */
typedef struct sidegate_stream sidegate_stream;

/* The host's record of this module. Valid until the process ends. */
typedef struct sidegate_module sidegate_module;

/* A reference-counted right to resume one PENDING. The module owns each
 * reference it got or retained, and gives it back with resume_release. */
typedef struct sidegate_resume sidegate_resume;

/* Where export_state writes to. Valid during that call, on its thread. */
typedef struct sidegate_state_out sidegate_state_out;

/* ---- What the host gives. ------------------------------------------------ */

/* Where a module says why it refused a configuration. The buffers belong to
 * the host; sidegate_error fills both. */
typedef struct sidegate_error_out_v1 {
    uint64_t size;
    uint8_t *message;          /* one line of UTF-8: what was expected and found */
    uint64_t message_capacity; /* bytes that fit */
    uint64_t message_len;      /* bytes written */
    uint8_t *path;             /* where in the configuration, as key.key[0] */
    uint64_t path_capacity;
    uint64_t path_len;
} sidegate_error_out_v1;

/* A whole reply. */
typedef struct sidegate_reply_v1 {
    uint64_t size;
    uint32_t status; /* 200 to 599 */
    uint32_t flags;  /* 0; BAD_VALUE otherwise */
    const sidegate_header *headers;
    uint64_t headers_len;
    sidegate_slice body;
} sidegate_reply_v1;

/* Of minor 1: what a plugin is asked. */
typedef struct sidegate_plugin_call_v1 {
    uint64_t size;
    sidegate_slice plugin;          /* a name in so_config.plugins */
    sidegate_slice kind;            /* what it is about, for the plugin: UTF-8; may be empty */
    const sidegate_header *headers; /* names in UTF-8; values of one name become one */
    uint64_t headers_len;
    const sidegate_header *trailers;
    uint64_t trailers_len;
    sidegate_slice body;
    uint64_t timeout_ns; /* less than the configuration's; 0: that */
} sidegate_plugin_call_v1;

/* Of minor 1: how a call of a plugin ended. Lent until the hook returns. */
typedef struct sidegate_plugin_answer_v1 {
    uint64_t size;    /* set by the module */
    uint32_t outcome; /* SIDEGATE_PLUGIN_*; all but ANSWERED have a message and nothing else */
    int32_t status;   /* the plugin's own number; MOSN's refuse with -1 */
    const sidegate_header *headers;
    uint64_t headers_len;
    const sidegate_header *trailers;
    uint64_t trailers_len;
    sidegate_slice body;
    sidegate_slice message; /* why there is no answer, for people */
} sidegate_plugin_answer_v1;

/* How a stream ended. */
typedef struct sidegate_completion_v1 {
    uint64_t size;
    uint32_t status;               /* sent to the client; 0 if none was */
    uint32_t flags;                /* as VAR_RESPONSE_FLAGS */
    uint32_t reset_by;             /* SIDEGATE_RESET_* */
    uint32_t unused;               /* 0 */
    uint64_t bytes_received;       /* request body bytes from the client */
    uint64_t bytes_sent;           /* response body bytes to the client */
    uint64_t duration_ns;          /* from the first byte of the request to the end */
    uint64_t upstream_duration_ns; /* to the first byte of the upstream's response; or NO_DURATION */
} sidegate_completion_v1;

/* Given to headers_visit; called for each field in order. Return 0 to go on.
 * `*header` itself is valid during the call, its bytes as everywhere. It must
 * not change the map. */
typedef uint32_t (*sidegate_header_visitor)(void *user, const sidegate_header *header) SIDEGATE_NOEXCEPT_TYPE;

/* The host's functions. Valid until the process ends, on all threads. */
typedef struct sidegate_host_v1 {
    uint64_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    sidegate_slice host_version; /* for people; valid until the process ends */

    /* 1 if a message of this level would be written, else 0. Any thread. */
    uint32_t (*log_enabled)(sidegate_module *module, uint32_t level);

    /* Writes one line; control bytes are escaped. Any thread. LIMIT if the
     * module logs too much. */
    uint32_t (*log)(sidegate_module *module, uint32_t level, sidegate_slice message);

    /* Nanoseconds on a clock that never goes back. Any thread. */
    uint64_t (*monotonic_ns)(void);

    /* Nanoseconds since 1970-01-01 UTC. Any thread. */
    uint64_t (*wall_ns)(void);

    /* Defines a metric series and writes its number to *metric. The same name
     * and labels give the same number again. Call it while creating the
     * factory, not in hooks. Numbers stay valid until the module is unloaded.
     * BAD_NAME, BAD_VALUE (known with another kind), LIMIT, UNSUPPORTED. */
    uint32_t (*metric_define)(sidegate_module *module, uint32_t kind, sidegate_slice name,
                              const sidegate_header *labels, uint64_t labels_len, uint64_t *metric);

    /* Adds to a counter (delta must not be negative) or gauge. Any thread,
     * without lock. BAD_ARGUMENT if there is no such metric of that kind. */
    uint32_t (*metric_add)(sidegate_module *module, uint64_t metric, int64_t delta);

    /* Sets a gauge. Any thread. BAD_ARGUMENT as above. */
    uint32_t (*metric_set)(sidegate_module *module, uint64_t metric, int64_t level);

    /* Counts an observation of a histogram. Any thread. BAD_ARGUMENT. */
    uint32_t (*metric_observe)(sidegate_module *module, uint64_t metric, double value);

    /* Lends the value of the first field `name` (any case). In hooks.
     * NOT_FOUND; UNSUPPORTED if there is no such map. */
    uint32_t (*header_get)(sidegate_stream *stream, uint32_t map, sidegate_slice name, sidegate_slice *value);

    /* Lends the values of all fields `name`: writes the first `capacity` to
     * `values` (may be NULL if 0) and how many there are to *count. In hooks.
     * OK with *count 0 if there is none; UNSUPPORTED. */
    uint32_t (*header_get_all)(sidegate_stream *stream, uint32_t map, sidegate_slice name,
                               sidegate_slice *values, uint64_t capacity, uint64_t *count);

    /* Calls `visitor` for every field in order, before it returns; `host` comes
     * first. In hooks. UNSUPPORTED. */
    uint32_t (*headers_visit)(sidegate_stream *stream, uint32_t map, sidegate_header_visitor visitor, void *user);

    /* Replaces all fields `name` by one. In hooks. NOT_NOW, BAD_NAME,
     * BAD_VALUE, RESERVED (framing, hop-by-hop and `expect`), LIMIT (3,840
     * fields or 896 KiB: more room is the host's), UNSUPPORTED. Trailers are
     * edited in hooks of their own direction, while they can be sent: until
     * the head is out, as the host then sends chunks, and later if it does. So
     * NOT_NOW behind a head with a length, for a client of HTTP/1.0, and for
     * responses without body (HEAD, 204, 205, 304). */
    uint32_t (*header_set)(sidegate_stream *stream, uint32_t map, sidegate_slice name, sidegate_slice value);

    /* Appends a field. In hooks. Errors as header_set. */
    uint32_t (*header_add)(sidegate_stream *stream, uint32_t map, sidegate_slice name, sidegate_slice value);

    /* Removes all fields `name`; *removed (may be NULL) gets their number, OK
     * with 0 if there is none. In hooks. NOT_NOW, RESERVED, UNSUPPORTED. */
    uint32_t (*header_remove)(sidegate_stream *stream, uint32_t map, sidegate_slice name, uint64_t *removed);

    /* Lends a variable's bytes. In hooks. NOT_FOUND if it has no value yet,
     * UNSUPPORTED if it is an integer or not known. */
    uint32_t (*variable_get)(sidegate_stream *stream, uint32_t variable, sidegate_slice *value);

    /* Writes an integer variable to *value. In hooks. NOT_FOUND, UNSUPPORTED. */
    uint32_t (*variable_get_u64)(sidegate_stream *stream, uint32_t variable, uint64_t *value);

    /* Sets a variable; integers as decimal text. In hooks. NOT_NOW (already
     * sent, or it cannot be set), BAD_VALUE, UNSUPPORTED. */
    uint32_t (*variable_set)(sidegate_stream *stream, uint32_t variable, sidegate_slice value);

    /* Lends the value of a variable that the filters of a stream share by
     * name. In hooks. NOT_FOUND. */
    uint32_t (*named_get)(sidegate_stream *stream, sidegate_slice name, sidegate_slice *value);

    /* Sets such a variable to any bytes; the name is a token. In hooks.
     * BAD_NAME, LIMIT. */
    uint32_t (*named_set)(sidegate_stream *stream, sidegate_slice name, sidegate_slice value);

    /* Writes to *len how many body bytes this hook may see. In body hooks and
     * on_resume for one. NOT_NOW elsewhere or if the interest was not
     * declared; UNSUPPORTED for an unknown direction. So for all of body_*. */
    uint32_t (*body_len)(sidegate_stream *stream, uint32_t direction, uint64_t *len);

    /* Lends those bytes without copying: writes the first `capacity` slices
     * (may be NULL if 0) and to *count how many there are. */
    uint32_t (*body_read)(sidegate_stream *stream, uint32_t direction, sidegate_slice *slices, uint64_t capacity,
                          uint64_t *count);

    /* Replaces those bytes by copies of `count` slices. Also NOT_NOW if the
     * interest is only to observe; LIMIT. */
    uint32_t (*body_replace)(sidegate_stream *stream, uint32_t direction, const sidegate_slice *slices,
                             uint64_t count);

    /* Appends to those bytes. Errors as body_replace. */
    uint32_t (*body_append)(sidegate_stream *stream, uint32_t direction, sidegate_slice bytes);

    /* Removes up to `count` bytes from their front; *drained (may be NULL)
     * gets how many. Errors as body_replace. */
    uint32_t (*body_drain)(sidegate_stream *stream, uint32_t direction, uint64_t count, uint64_t *drained);

    /* Sets the reply that goes out when this hook returns STATUS_STOP. The
     * last call in a hook decides, taken or not: after one that was refused,
     * whatever the hook returns, and after one that was taken and anything but
     * STOP or TERMINATE, the stream gets 500 (a reset once a head is out),
     * whatever `on_fault` says, and comes no nearer to a `bypass`.
     * Content-Length is the host's. In hooks. NOT_NOW (a response is on its
     * way), BAD_NAME, BAD_VALUE, RESERVED, LIMIT. */
    uint32_t (*reply)(sidegate_stream *stream, const sidegate_reply_v1 *reply);

    /* Writes a handle to *resume that ends the wait after this hook returns
     * STATUS_PENDING. The module owns one reference of it; a second call in
     * the same hook gives one for the same wait. In hooks. LIMIT; GONE in
     * on_complete, where there is nothing left to wait for. */
    uint32_t (*resume_handle)(sidegate_stream *stream, sidegate_resume **resume);

    /* Ends the wait: on_resume follows on the worker. A resume that comes
     * before the hook has returned is kept. Any thread. ALREADY if it was
     * resumed, GONE if the stream has ended or moved on: nothing happens then.
     * Keeps the reference. */
    uint32_t (*resume)(sidegate_resume *resume);

    /* One reference more. Any thread. */
    uint32_t (*resume_retain)(sidegate_resume *resume);

    /* One reference less; the handle must not be used with the last one gone.
     * Handles that are left when nothing of a module can run any more are freed
     * with it. Any thread. */
    uint32_t (*resume_release)(sidegate_resume *resume);

    /* What create_route_config made for the matched route or virtual host, or
     * NULL. Lent until the hook returns, and shared with other workers. In
     * hooks. */
    void *(*route_config)(sidegate_stream *stream);

    /* Says why this hook is going to return STATUS_FAULT, for the log. In
     * hooks. */
    uint32_t (*fault)(sidegate_stream *stream, sidegate_slice message);

    /* Of minor 1; sidegate_waive_body asks for it. This filter wants no more
     * of this stream's body and trailers of `direction`. In the hook of the
     * message's head it is as if the interest had not been declared: the
     * length stays. Later, nothing more is shown. In hooks. NOT_NOW (no
     * interest was declared, or the stream has ended), UNSUPPORTED. */
    uint32_t (*body_waive)(sidegate_stream *stream, uint32_t direction);

    /* Of minor 1. Appends to what export_state hands over. In that function,
     * on its thread: GONE elsewhere. LIMIT above 16 MiB in all; nothing is
     * handed over then. */
    uint32_t (*state_write)(sidegate_state_out *state, sidegate_slice bytes);

    /* Of minor 1; sidegate_call_plugin asks for it. Begins a call of a plugin
     * that the configuration lets this filter call, and writes its number to
     * *id. Never waits: return STATUS_PENDING, and on_resume follows once a
     * call has ended; no resume handle is needed. There it may be another's
     * end: ask with plugin_answer, and return STATUS_PENDING again if it is
     * not there. The wait is as long as the calls' own bounds let it. Several
     * calls may be on their way; the end of the stream or of the filter
     * cancels them. Everything is copied. In hooks. NOT_FOUND (the
     * configuration gives this filter no such plugin), LIMIT (calls of the
     * stream: 16 that were not answered or read, 64 MiB that they ask; of the
     * plugin: its max_in_flight), BAD_NAME (no UTF-8), UNSUPPORTED (no
     * plugin is run here), GONE in on_complete. Whatever goes wrong later (a
     * plugin that is down, disabled, dies, answers late) is the call's end. */
    uint32_t (*plugin_call)(sidegate_stream *stream, const sidegate_plugin_call_v1 *call, uint64_t *id);

    /* Of minor 1. Writes how call `id` of this filter ended to *answer, whose
     * size the module has set: once. In hooks. NOT_NOW (it has not ended),
     * ALREADY (read before, or cancelled), NOT_FOUND (this filter has made no
     * such call on this stream). */
    uint32_t (*plugin_answer)(sidegate_stream *stream, uint64_t id, sidegate_plugin_answer_v1 *answer);

    /* Of minor 1. Gives call `id` up: its end will not be told. In hooks.
     * ALREADY (read or cancelled before), NOT_FOUND. */
    uint32_t (*plugin_cancel)(sidegate_stream *stream, uint64_t id);
} sidegate_host_v1;

/* ---- What the module gives. --------------------------------------------- */

/* What a hook is told. Valid during the hook. */
typedef struct sidegate_hook_v1 {
    uint64_t size;
    sidegate_stream *stream; /* for the host's functions */
    void *worker_state;      /* from worker_attach; NULL without */
    uint32_t phase;          /* SIDEGATE_PHASE_* */
    uint32_t flags;          /* SIDEGATE_HOOK_* bits */
} sidegate_hook_v1;

/* One hook: returns a SIDEGATE_STATUS_*. Runs on the stream's worker. */
typedef uint32_t (*sidegate_hook_fn)(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT_TYPE;

/* The functions of a filter. A hook that is NULL continues. After a hook
 * returned STATUS_FAULT only destroy follows. */
typedef struct sidegate_filter_table_v1 {
    uint64_t size;

    /* Frees the filter, once, on the stream's worker. Required. */
    void (*destroy)(void *filter) SIDEGATE_NOEXCEPT_TYPE;

    /* The request head, in each phase of sidegate_interests_v1.phases; again
     * after a rematch or for another attempt. */
    sidegate_hook_fn on_request_headers;

    /* A chunk of the request body, or all of it, as request_body asks; in the
     * first declared phase. STREAM and WHOLE see each request, one without a
     * body as an empty end: what is not touched stays without a length. Not for
     * requests to switch protocols, which may become a tunnel. */
    sidegate_hook_fn on_request_body;

    /* The request trailers, if there are any. */
    sidegate_hook_fn on_request_trailers;

    /* The head of the response or of a local reply. */
    sidegate_hook_fn on_response_headers;

    /* A chunk of the response body, or all of it, as response_body asks; one
     * without bytes as in on_request_body. Not for responses that cannot have a
     * body: to HEAD, 1xx, 204, 205, 304, and not in a tunnel. */
    sidegate_hook_fn on_response_body;

    /* The response trailers, if there are any. */
    sidegate_hook_fn on_response_trailers;

    /* After a resume, in place of the hook that returned STATUS_PENDING. It may
     * be returned again, for a new handle: the time for a resume counts from
     * the first, and 10,000 resumes of one hook are the most. */
    sidegate_hook_fn on_resume;

    /* The stream has ended: once, before destroy, also while pending; not
     * after a fault. `completion` is valid during the call. A tunnel that
     * outlives its module by `generation_timeout` goes on without the filter,
     * for which it ends there: reset_by is PROXY, RESPONSE_DETAILS
     * `generation_timeout`, and bytes are those so far. */
    void (*on_complete)(void *filter, const sidegate_hook_v1 *hook,
                        const sidegate_completion_v1 *completion) SIDEGATE_NOEXCEPT_TYPE;
} sidegate_filter_table_v1;

/* The functions of a factory. */
typedef struct sidegate_factory_table_v1 {
    uint64_t size;

    /* Frees the factory, once, after all its filters, route configurations and
     * worker states. Module-control thread. Required. */
    void (*destroy)(void *factory) SIDEGATE_NOEXCEPT_TYPE;

    /* Makes a filter for a new stream and writes it to *filter (may be NULL:
     * it is only handed back). `worker_state` is what worker_attach made. On
     * the stream's worker, several workers at a time. Any result but OK is a
     * fault, and destroy is not called. Required. */
    uint32_t (*create_filter)(void *factory, uint32_t worker, void *worker_state,
                              void **filter) SIDEGATE_NOEXCEPT_TYPE;

    /* Makes an object of a route's per_filter_config, a JSON value lent for
     * the call. Module-control thread. FAILED with the reason in `error`.
     * Optional. */
    uint32_t (*create_route_config)(void *factory, sidegate_slice config, sidegate_error_out_v1 *error,
                                    void **route_config) SIDEGATE_NOEXCEPT_TYPE;

    /* Frees such an object, once. Module-control thread. Required with
     * create_route_config. */
    void (*destroy_route_config)(void *factory, void *route_config) SIDEGATE_NOEXCEPT_TYPE;

    /* Makes the state of one worker, on that worker, before its first filter.
     * Any result but OK is a fault. Optional. */
    uint32_t (*worker_attach)(void *factory, uint32_t worker, void **state) SIDEGATE_NOEXCEPT_TYPE;

    /* Frees such a state, on that worker, after its last filter. Required with
     * worker_attach. */
    void (*worker_detach)(void *factory, uint32_t worker, void *state) SIDEGATE_NOEXCEPT_TYPE;

    /* Of minor 1, both optional: what survives a reload. Module-control
     * thread, beside hooks on workers. Both calls have a second together; what
     * comes later is dropped, and the new factory starts empty.
     *
     * Writes with state_write what the next factory of this filter is to know.
     * That may be another version of the module, so begin with a version. Any
     * result but OK hands nothing over: NOT_FOUND, there is nothing; FAILED
     * with the reason in `error`. */
    uint32_t (*export_state)(void *factory, sidegate_state_out *state,
                             sidegate_error_out_v1 *error) SIDEGATE_NOEXCEPT_TYPE;

    /* Takes over what the factory before wrote, which is lent for the call and
     * was written by whatever version of the module that was: check it. Once,
     * after the route configurations of the reload were made, and before the
     * first filter unless it took more than its time. Any result but OK must
     * have changed nothing: FAILED with the reason in `error`, for the log. */
    uint32_t (*import_state)(void *factory, sidegate_slice state,
                             sidegate_error_out_v1 *error) SIDEGATE_NOEXCEPT_TYPE;
} sidegate_factory_table_v1;

/* What the filters of a factory want to see: a hook nobody wants costs
 * nothing. With nothing at all the factory is refused. Frozen, since it stands inside another struct. */
typedef struct sidegate_interests_v1 {
    uint32_t phases;        /* bit 1 << SIDEGATE_PHASE_* for each phase of on_request_headers */
    uint32_t request_body;  /* SIDEGATE_BODY_NONE to SIDEGATE_BODY_WHOLE */
    uint32_t response_body; /* SIDEGATE_BODY_NONE to SIDEGATE_BODY_WHOLE */
    uint32_t hooks;         /* SIDEGATE_WANT_* bits */
} sidegate_interests_v1;

/* What the host gives when it asks for a factory. All but `host` and `module`
 * is valid during the call only. */
typedef struct sidegate_create_args_v1 {
    uint64_t size;
    const sidegate_host_v1 *host;
    sidegate_module *module;      /* for log and metrics */
    sidegate_slice filter_name;   /* which of the module's filters; empty asks for its only one */
    sidegate_slice config;        /* a JSON object in UTF-8; {} if absent */
    sidegate_error_out_v1 *error; /* for sidegate_error */
    uint32_t workers;             /* worker numbers are below it */
    uint32_t unused;              /* 0 */

    const sidegate_slice *plugins; /* of minor 1: names of the plugins that the filter may call */
    uint64_t plugins_len;          /* ask sidegate_has_plugin */
} sidegate_create_args_v1;

/* Filled by the module. The host sets `size` and zeroes the rest; the module
 * writes only fields that lie within `size` (those of 1.0 always do). The
 * tables stay valid until the module is unloaded: make them `static const`. */
typedef struct sidegate_create_result_v1 {
    uint64_t size;
    const sidegate_factory_table_v1 *factory_table;
    const sidegate_filter_table_v1 *filter_table;
    void *factory; /* handed to every function of the factory; may be NULL */
    sidegate_interests_v1 interests;
} sidegate_create_result_v1;

/* Required export: makes a factory of one of the module's filters.
 * Module-control thread. OK; NOT_FOUND if there is no such filter; FAILED if
 * the configuration is refused and PANICKED if the module's code panicked or
 * threw, with the reason in args->error. Nothing is destroyed if it does not
 * return OK. */
SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) SIDEGATE_NOEXCEPT;

/* Optional export: called on every thread that entered the module, before it
 * is unloaded. */
SIDEGATE_EXPORT void sidegate_thread_detach_v1(void) SIDEGATE_NOEXCEPT;

/* ---- The record that identifies a module without running it. ------------ */

/* Exported as `sidegate_module_v1`: constant data in the file, no pointers.
 * Texts are UTF-8, padded with NUL. SIDEGATE_MODULE_RECORD makes it. */
typedef struct sidegate_module_record_v1 {
    char magic[8]; /* "SIDEGATE" without end */
    uint32_t record_size;
    uint16_t abi_major;
    uint16_t abi_minor;      /* what the module was built for and knows */
    uint16_t min_host_minor; /* the lowest it can work with */
    uint16_t panic;          /* SIDEGATE_PANIC_* */
    uint32_t flags;          /* 0; refused otherwise */
    char name[64];
    char version[32];
    char sdk[32];
    char sdk_version[16];
    char compiler[64];
    char abi_stable_version[16]; /* empty */
    uint8_t layout_digest[32];   /* zero */
} sidegate_module_record_v1;

extern const sidegate_module_record_v1 sidegate_module_v1 __attribute__((visibility("default")));

#define SIDEGATE_TEXT_OF(number) #number
#define SIDEGATE_DOTTED(a, b, c) SIDEGATE_TEXT_OF(a) "." SIDEGATE_TEXT_OF(b) "." SIDEGATE_TEXT_OF(c)
#if defined(__clang__)
#define SIDEGATE_COMPILER "clang " SIDEGATE_DOTTED(__clang_major__, __clang_minor__, __clang_patchlevel__)
#elif defined(__GNUC__)
#define SIDEGATE_COMPILER "gcc " SIDEGATE_DOTTED(__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__)
#else
#define SIDEGATE_COMPILER "unknown"
#endif

/* Defines the record. Once per module, at file scope, without semicolon.
 * Name: up to 63 bytes; version: up to 31; both string literals. A longer text
 * does not compile. The empty string appended keeps literals literals. */
#define SIDEGATE_MODULE_RECORD(module_name, module_version)                                                       \
    const sidegate_module_record_v1 sidegate_module_v1 = {                                                        \
        {'S', 'I', 'D', 'E', 'G', 'A', 'T', 'E'}, (uint32_t)sizeof(sidegate_module_record_v1),                    \
        SIDEGATE_ABI_MAJOR, SIDEGATE_ABI_MINOR, 0, SIDEGATE_PANIC_NONE, 0,                                        \
        module_name "", module_version "", "sidegate.h", "1.1", SIDEGATE_COMPILER, "", {0},                       \
    };

/* Optional: what the module says of its filters, a JSON object in UTF-8 that the
 * host reads without running code (the book has its keys). Defines constant data
 * without pointers, exported as `sidegate_manifest_v1`, from string literals. Once
 * per module, at file scope, without semicolon. A longer text does not compile.
 *     SIDEGATE_MANIFEST("{\"filters\": [{\"name\": \"marks\"}]}") */
#define SIDEGATE_MANIFEST_MAX 262144 /* bytes of the text */
#define SIDEGATE_MANIFEST(json)                                                                                   \
    struct sidegate_manifest_v1 {                                                                                 \
        char magic[8]; /* "SGMANIF1" without end */                                                               \
        uint32_t len;  /* of the text, without its NUL */                                                         \
        uint32_t flags; /* 0; refused otherwise */                                                                \
        char text[sizeof(json "") <= SIDEGATE_MANIFEST_MAX + 1 ? (int)sizeof(json "") : -1];                      \
    };                                                                                                            \
    SIDEGATE_EXTERN_C const struct sidegate_manifest_v1 sidegate_manifest_v1                                      \
        __attribute__((visibility("default")));                                                                   \
    const struct sidegate_manifest_v1 sidegate_manifest_v1 = {                                                    \
        {'S', 'G', 'M', 'A', 'N', 'I', 'F', '1'}, (uint32_t)sizeof(json "") - 1, 0, json "",                      \
    };

/* ---- Helpers. ------------------------------------------------------------ */

/* Whether the peer that made `table` supports its function `field`. */
#define SIDEGATE_HAS(table, field)                                                                                \
    ((const char *)(&(table)->field + 1) - (const char *)(table) <= (ptrdiff_t)(table)->size && (table)->field)

/* Lends a string literal or any other NUL-terminated string. */
static inline sidegate_slice sidegate_str(const char *text) {
    sidegate_slice slice;
    slice.ptr = (const uint8_t *)text;
    slice.len = text ? (uint64_t)strlen(text) : 0;
    return slice;
}

/* Lends `len` bytes. */
static inline sidegate_slice sidegate_bytes(const void *bytes, size_t len) {
    sidegate_slice slice;
    slice.ptr = (const uint8_t *)bytes;
    slice.len = (uint64_t)len;
    return slice;
}

/* 1 if both have the same bytes, else 0. */
static inline int sidegate_slice_eq(sidegate_slice a, sidegate_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, (size_t)a.len) == 0);
}

/* 1 if both have the same bytes but for the case of ASCII letters, else 0. */
static inline int sidegate_slice_eq_nocase(sidegate_slice a, sidegate_slice b) {
    uint64_t i;
    if (a.len != b.len) return 0;
    for (i = 0; i < a.len; i++) {
        unsigned x = a.ptr[i], y = b.ptr[i];
        if (x >= 'A' && x <= 'Z') x += 'a' - 'A';
        if (y >= 'A' && y <= 'Z') y += 'a' - 'A';
        if (x != y) return 0;
    }
    return 1;
}

/* Copies as much of `text` as fits; for sidegate_error. */
static inline uint64_t sidegate_copy_out(uint8_t *to, uint64_t capacity, const char *text) {
    uint64_t len = text ? (uint64_t)strlen(text) : 0;
    if (!to) return 0;
    if (len > capacity) len = capacity;
    /* Never cuts a UTF-8 sequence in two. */
    if (text && len < (uint64_t)strlen(text))
        while (len > 0 && ((unsigned char)text[len] & 0xC0U) == 0x80U) len--;
    if (len > 0) memcpy(to, text, (size_t)len);
    return len;
}

/* Appends as much of `more` as fits to the NUL-terminated `text`. */
static inline void sidegate_append(char *text, size_t room, sidegate_slice more) {
    size_t len = strlen(text), fits = len + 1 < room ? room - len - 1 : 0;
    if (more.len < fits) fits = (size_t)more.len;
    if (fits > 0) memcpy(text + len, more.ptr, fits);
    text[len + fits] = 0;
}

/* Writes a refusal to `error` (may be NULL) and returns SIDEGATE_FAILED. Path
 * and message are NUL-terminated; the path may be NULL. */
static inline uint32_t sidegate_error(sidegate_error_out_v1 *error, const char *path, const char *message) {
    if (error) {
        error->path_len = sidegate_copy_out(error->path, error->path_capacity, path);
        error->message_len = sidegate_copy_out(error->message, error->message_capacity, message);
    }
    return SIDEGATE_FAILED;
}

/* Whether `host` is one this header can work with: not NULL, major 1, and
 * every function of 1.0 within its size. Ask it first of all. */
static inline int sidegate_host_ok(const sidegate_host_v1 *host) {
    /* `fault` is the last of 1.0: later minors of this header append to it. */
    return host && host->size >= offsetof(sidegate_host_v1, fault) + sizeof host->fault &&
           host->abi_major == SIDEGATE_ABI_MAJOR;
}

/* body_waive, or UNSUPPORTED on a host of 1.0: body hooks are called as always
 * then. */
static inline uint32_t sidegate_waive_body(const sidegate_host_v1 *host, sidegate_stream *stream, uint32_t direction) {
    return SIDEGATE_HAS(host, body_waive) ? host->body_waive(stream, direction) : SIDEGATE_UNSUPPORTED;
}

/* state_write, or UNSUPPORTED on a host of 1.0, which does not ask for state. */
static inline uint32_t sidegate_state_write(const sidegate_host_v1 *host, sidegate_state_out *state,
                                            sidegate_slice bytes) {
    return SIDEGATE_HAS(host, state_write) ? host->state_write(state, bytes) : SIDEGATE_UNSUPPORTED;
}

/* plugin_call, or UNSUPPORTED on a host of 1.0. */
static inline uint32_t sidegate_call_plugin(const sidegate_host_v1 *host, sidegate_stream *stream,
                                            const sidegate_plugin_call_v1 *call, uint64_t *id) {
    return SIDEGATE_HAS(host, plugin_call) ? host->plugin_call(stream, call, id) : SIDEGATE_UNSUPPORTED;
}

/* Whether a factory's filters may call this plugin: OK; NOT_FOUND if the
 * configuration gives them no such plugin; UNSUPPORTED by a host of 1.0. */
static inline uint32_t sidegate_has_plugin(const sidegate_create_args_v1 *args, sidegate_slice name) {
    uint64_t at;
    if (args->size < offsetof(sidegate_create_args_v1, plugins_len) + sizeof(args->plugins_len))
        return SIDEGATE_UNSUPPORTED;
    for (at = 0; at < args->plugins_len; at++)
        if (sidegate_slice_eq(args->plugins[at], name)) return SIDEGATE_OK;
    return SIDEGATE_NOT_FOUND;
}

/* Sets a reply with a plain-text body; return it from a hook. FAULT if the host
 * does not take the reply, which is answered 500. */
static inline uint32_t sidegate_reply_text(const sidegate_host_v1 *host, sidegate_stream *stream, uint32_t status,
                                           const char *text) {
    sidegate_header type;
    sidegate_reply_v1 reply;
    type.name = sidegate_str("content-type");
    type.value = sidegate_str("text/plain; charset=utf-8");
    reply.size = sizeof reply;
    reply.status = status;
    reply.flags = 0;
    reply.headers = &type;
    reply.headers_len = 1;
    reply.body = sidegate_str(text);
    if (host->reply(stream, &reply) == SIDEGATE_OK) return SIDEGATE_STATUS_STOP;
    host->fault(stream, sidegate_str("the host did not take the reply"));
    return SIDEGATE_STATUS_FAULT;
}

/* ---- A module in a few lines. -------------------------------------------
 *
 * SIDEGATE_FILTER(ident, "name", options...) defines one filter, at file scope,
 * without semicolon: `ident` is a C name of the author's choice, "name" what
 * `filter` in so_config says. Each option below may stand once, in any order;
 * at least one must. What they take are functions of the module.
 *
 * SIDEGATE_MODULE("name", "version", ident...) follows the last filter, once
 * per module. It defines the record, the exported entry and the two variables
 * below. A configuration that names no filter gets the only one; with several
 * it is refused.
 *
 * Nothing here is part of the ABI: it is compiled into the module. */

/* The host's functions, and this module for log and metrics. Set before any
 * other code of a SIDEGATE_MODULE runs; any thread. */
extern const sidegate_host_v1 *sidegate_host __attribute__((visibility("hidden")));
extern sidegate_module *sidegate_self __attribute__((visibility("hidden")));

/* Writes a line (NUL-terminated) if the level is on. Any thread. */
#define SIDEGATE_LOG(level, text) ((void)sidegate_host->log(sidegate_self, level, sidegate_str(text)))

/* Where header hooks run; join several with |. */
#define SIDEGATE_IN_BEFORE_ROUTE (UINT32_C(1) << SIDEGATE_PHASE_BEFORE_ROUTE)
#define SIDEGATE_IN_AFTER_ROUTE (UINT32_C(1) << SIDEGATE_PHASE_AFTER_ROUTE)
#define SIDEGATE_IN_AFTER_CHOOSE_HOST (UINT32_C(1) << SIDEGATE_PHASE_AFTER_CHOOSE_HOST)

/* Option: an object of `type` per configuration: zeroed memory, filled by
 *     uint32_t configure(void *object, const sidegate_create_args_v1 *args)
 * which returns OK, or refuses args->config with sidegate_error and has then
 * kept nothing, and emptied by
 *     void release(void *object)
 * which may be NULL. Module-control thread. Its memory is the macros'. In C++,
 * construct with placement new and end with the destructor. */
#define SIDEGATE_CONFIG(type, configure_fn, release_fn)                                                           \
    (sidegate_it->config_size = sizeof(type), sidegate_it->configure = (configure_fn),                            \
     sidegate_it->release = (release_fn))

/* Option: an object of `type` per stream, which hooks get as `filter`: zeroed
 * memory, filled by
 *     uint32_t begin(void *object, void *config, void *worker_state)
 * which may be NULL and returns OK or what else is a fault, and emptied by
 *     void end(void *object)
 * which may be NULL. On the stream's worker. Without this option hooks get the
 * configuration's object, which all workers share, or NULL. */
#define SIDEGATE_STREAM(type, begin_fn, end_fn)                                                                   \
    (sidegate_it->stream_size = sizeof(type), sidegate_it->begin = (begin_fn), sidegate_it->end = (end_fn))

/* Options: the functions of sidegate_factory_table_v1 of these names; their
 * `factory` is the configuration's object. */
#define SIDEGATE_ROUTE_CONFIG(create_fn, destroy_fn)                                                              \
    (sidegate_it->factory.create_route_config = (create_fn), sidegate_it->factory.destroy_route_config = (destroy_fn))
#define SIDEGATE_WORKER(attach_fn, detach_fn)                                                                     \
    (sidegate_it->factory.worker_attach = (attach_fn), sidegate_it->factory.worker_detach = (detach_fn))
#define SIDEGATE_STATE(export_fn, import_fn)                                                                      \
    (sidegate_it->factory.export_state = (export_fn), sidegate_it->factory.import_state = (import_fn))

/* Options: the hooks of sidegate_filter_table_v1. `phases` are SIDEGATE_IN_*,
 * `interest` is SIDEGATE_BODY_*. */
#define SIDEGATE_ON_REQUEST_HEADERS(hook_fn, wanted_phases)                                                       \
    (sidegate_it->filter.on_request_headers = (hook_fn), sidegate_it->interests.phases = (wanted_phases))
#define SIDEGATE_ON_REQUEST_BODY(hook_fn, interest)                                                               \
    (sidegate_it->filter.on_request_body = (hook_fn), sidegate_it->interests.request_body = (interest))
#define SIDEGATE_ON_REQUEST_TRAILERS(hook_fn)                                                                     \
    (sidegate_it->filter.on_request_trailers = (hook_fn),                                                         \
     sidegate_it->interests.hooks |= SIDEGATE_WANT_REQUEST_TRAILERS)
#define SIDEGATE_ON_RESPONSE_HEADERS(hook_fn)                                                                     \
    (sidegate_it->filter.on_response_headers = (hook_fn),                                                         \
     sidegate_it->interests.hooks |= SIDEGATE_WANT_RESPONSE_HEADERS)
#define SIDEGATE_ON_RESPONSE_BODY(hook_fn, interest)                                                              \
    (sidegate_it->filter.on_response_body = (hook_fn), sidegate_it->interests.response_body = (interest))
#define SIDEGATE_ON_RESPONSE_TRAILERS(hook_fn)                                                                    \
    (sidegate_it->filter.on_response_trailers = (hook_fn),                                                        \
     sidegate_it->interests.hooks |= SIDEGATE_WANT_RESPONSE_TRAILERS)
#define SIDEGATE_ON_RESUME(hook_fn) (sidegate_it->filter.on_resume = (hook_fn))
#define SIDEGATE_ON_COMPLETE(complete_fn)                                                                         \
    (sidegate_it->filter.on_complete = (complete_fn), sidegate_it->interests.hooks |= SIDEGATE_WANT_COMPLETE)

/* What SIDEGATE_FILTER collects. */
typedef struct sidegate_definition {
    const char *name;
    sidegate_factory_table_v1 factory;
    sidegate_filter_table_v1 filter;
    sidegate_interests_v1 interests;
    size_t config_size;
    uint32_t (*configure)(void *object, const sidegate_create_args_v1 *args) SIDEGATE_NOEXCEPT_TYPE;
    void (*release)(void *object) SIDEGATE_NOEXCEPT_TYPE;
    size_t stream_size;
    uint32_t (*begin)(void *object, void *config, void *worker_state) SIDEGATE_NOEXCEPT_TYPE;
    void (*end)(void *object) SIDEGATE_NOEXCEPT_TYPE;
} sidegate_definition;

typedef sidegate_definition *(*sidegate_definition_fn)(void);

/* Names of locals are long so that they cannot hide what the options name. */
#define SIDEGATE_FILTER(ident, filter_name, ...)                                                                  \
    static sidegate_definition *ident(void);                                                                      \
    static uint32_t sidegate_filter_create_##ident(void *sidegate_config, uint32_t sidegate_worker,               \
                                                   void *sidegate_state, void **sidegate_filter) SIDEGATE_NOEXCEPT {\
        (void)sidegate_worker;                                                                                    \
        return sidegate_begin_stream(ident(), sidegate_config, sidegate_state, sidegate_filter);                  \
    }                                                                                                             \
    static void sidegate_filter_end_##ident(void *sidegate_filter) SIDEGATE_NOEXCEPT {                            \
        sidegate_end_stream(ident(), sidegate_filter);                                                            \
    }                                                                                                             \
    static void sidegate_filter_destroy_##ident(void *sidegate_config) SIDEGATE_NOEXCEPT {                        \
        sidegate_release_config(ident(), sidegate_config);                                                        \
    }                                                                                                             \
    /* Filled by the first call, on the module-control thread; only read after that. */                           \
    static sidegate_definition *ident(void) {                                                                     \
        static sidegate_definition sidegate_made;                                                                 \
        sidegate_definition *const sidegate_it = &sidegate_made;                                                  \
        if (sidegate_it->name) return sidegate_it;                                                                \
        (void)(__VA_ARGS__);                                                                                      \
        sidegate_it->factory.size = sizeof sidegate_it->factory;                                                  \
        sidegate_it->factory.destroy = sidegate_filter_destroy_##ident;                                           \
        sidegate_it->factory.create_filter = sidegate_filter_create_##ident;                                      \
        sidegate_it->filter.size = sizeof sidegate_it->filter;                                                    \
        sidegate_it->filter.destroy = sidegate_filter_end_##ident;                                                \
        sidegate_it->name = filter_name "";                                                                       \
        return sidegate_it;                                                                                       \
    }

#define SIDEGATE_MODULE(module_name, module_version, ...)                                                         \
    SIDEGATE_MODULE_RECORD(module_name, module_version)                                                           \
    const sidegate_host_v1 *sidegate_host;                                                                        \
    sidegate_module *sidegate_self;                                                                               \
    uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *sidegate_args,                      \
                                               sidegate_create_result_v1 *sidegate_result) SIDEGATE_NOEXCEPT {    \
        const sidegate_definition_fn sidegate_filters[] = {__VA_ARGS__};                                          \
        if (!sidegate_host_ok(sidegate_args->host))                                                               \
            return sidegate_error(sidegate_args->error, NULL, "this host is too old");                            \
        if (!sidegate_host) sidegate_host = sidegate_args->host, sidegate_self = sidegate_args->module;           \
        return sidegate_create_from(sidegate_filters, sizeof sidegate_filters / sizeof *sidegate_filters,         \
                                    sidegate_args, sidegate_result);                                              \
    }

/* What the macros call. */

static inline uint32_t sidegate_begin_stream(const sidegate_definition *it, void *config, void *worker_state,
                                             void **filter) {
    void *object = config;
    uint32_t result;
    if (it->stream_size > 0) {
        object = calloc(1, it->stream_size);
        if (!object) return SIDEGATE_LIMIT;
        result = it->begin ? it->begin(object, config, worker_state) : SIDEGATE_OK;
        if (result != SIDEGATE_OK) {
            free(object);
            return result;
        }
    }
    *filter = object;
    return SIDEGATE_OK;
}

static inline void sidegate_end_stream(const sidegate_definition *it, void *filter) {
    if (it->stream_size == 0) return;
    if (it->end) it->end(filter);
    free(filter);
}

static inline void sidegate_release_config(const sidegate_definition *it, void *config) {
    if (it->config_size == 0) return;
    if (it->release) it->release(config);
    free(config);
}

static inline uint32_t sidegate_create_from(const sidegate_definition_fn *filters, size_t count,
                                            const sidegate_create_args_v1 *args, sidegate_create_result_v1 *result) {
    char known[256] = "expected one of this module's filters: ";
    void *config = NULL;
    uint32_t refused;
    size_t i;
    for (i = 0; i < count; i++) {
        const sidegate_definition *it = filters[i]();
        if (!(count == 1 && args->filter_name.len == 0) &&
            !sidegate_slice_eq(args->filter_name, sidegate_str(it->name))) {
            sidegate_append(known, sizeof known, sidegate_str(i ? ", " : ""));
            sidegate_append(known, sizeof known, sidegate_str(it->name));
            continue;
        }
        if (it->config_size > 0) {
            config = calloc(1, it->config_size);
            if (!config) return sidegate_error(args->error, NULL, "out of memory");
            refused = it->configure ? it->configure(config, args) : SIDEGATE_OK;
            if (refused != SIDEGATE_OK) {
                free(config);
                return refused;
            }
        }
        result->factory_table = &it->factory;
        result->filter_table = &it->filter;
        result->factory = config;
        result->interests = it->interests;
        return SIDEGATE_OK;
    }
    sidegate_error(args->error, NULL, known);
    return SIDEGATE_NOT_FOUND;
}

/* Defines a metric without labels, for `configure`. Anything but OK refuses the
 * configuration, with the reason told. */
static inline uint32_t sidegate_metric(const sidegate_create_args_v1 *args, uint32_t kind, const char *name,
                                       uint64_t *metric) {
    char message[128] = "the host did not take metric ";
    if (args->host->metric_define(args->module, kind, sidegate_str(name), NULL, 0, metric) == SIDEGATE_OK)
        return SIDEGATE_OK;
    sidegate_append(message, sizeof message, sidegate_str(name));
    return sidegate_error(args->error, NULL, message);
}

#ifdef __cplusplus
}
#endif

#endif
