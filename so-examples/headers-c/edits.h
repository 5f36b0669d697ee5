/*
 * The configuration of headers.c, as lists of edits:
 *
 *     {"request":  {"remove": ["x-debug"], "set": {"x-team": "edge"}},
 *      "response": {"add": {"via": "1.1 sidegate"}}}
 */
#ifndef EDITS_H
#define EDITS_H

#include <stdlib.h>

#include "json.h"

/* In the order in which they are done, whatever the configuration's order. */
enum edit_kind { EDIT_REMOVE, EDIT_SET, EDIT_ADD, EDIT_KINDS };

/* Name and value point into config.text. */
typedef struct edit {
    enum edit_kind kind;
    sidegate_slice name;
    sidegate_slice value;
} edit;

typedef struct edits {
    edit *items;
    size_t count;
} edits;

typedef struct config {
    edits request;
    edits response;
    uint8_t *text;
} config;

static inline void config_free(config *parsed) {
    free(parsed->request.items);
    free(parsed->response.items);
    free(parsed->text);
    memset(parsed, 0, sizeof *parsed);
}

/* Whether the host would take it as a name. */
static inline int is_header_name(sidegate_slice name) {
    uint64_t i;
    for (i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        int letter_or_digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter_or_digit && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return 0;
    }
    return name.len > 0;
}

/* Headers of framing and of the connection are the host's: a configuration that
 * edits them is refused, as each request would be. */
static inline int is_reserved(sidegate_slice name) {
    static const char *const reserved[] = {"connection", "content-length", "keep-alive",        "proxy-connection",
                                           "te",         "trailer",        "transfer-encoding", "upgrade"};
    size_t i;
    for (i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (sidegate_slice_eq_nocase(name, sidegate_str(reserved[i]))) return 1;
    return 0;
}

/* Whether the host would take it as a value. */
static inline int is_header_value(sidegate_slice value) {
    uint64_t i;
    for (i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return 0;
        if ((c == ' ' || c == '\t') && (i == 0 || i == value.len - 1)) return 0;
    }
    return 1;
}

static inline void edits_add(json *r, edits *list, enum edit_kind kind, sidegate_slice name, sidegate_slice value) {
    edit *grown;
    if (r->wrong) return;
    if (!is_header_name(name)) {
        json_wrong(r, "expected the name of a header");
        return;
    }
    if (is_reserved(name)) {
        json_wrong(r, "a header of framing or the connection is the proxy's");
        return;
    }
    if (!is_header_value(value)) {
        json_wrong(r, "expected the value of a header");
        return;
    }
    grown = (edit *)realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown) {
        json_wrong(r, "out of memory");
        return;
    }
    list->items = grown;
    list->items[list->count].kind = kind;
    list->items[list->count].name = name;
    list->items[list->count++].value = value;
}

/* `["name", ...]`, for remove. */
static inline void edits_names(json *r, edits *list) {
    sidegate_slice name = {NULL, 0};
    size_t i;
    if (!json_take(r, '[')) json_wrong(r, "expected an array of header names");
    for (i = 0; json_more(r, ']', i); i++) {
        json_string(r, &name);
        edits_add(r, list, EDIT_REMOVE, name, name);
    }
}

/* `{"name": "value", ...}`, for set and add. */
static inline void edits_fields(json *r, edits *list, enum edit_kind kind) {
    sidegate_slice name, value = {NULL, 0};
    size_t i, level;
    if (!json_take(r, '{')) json_wrong(r, "expected an object of strings");
    for (i = 0; json_more(r, '}', i); i++) {
        if (!json_key(r, &name)) return;
        level = json_down(r, name);
        json_string(r, &value);
        edits_add(r, list, kind, name, value);
        json_up(r, level);
    }
}

/* The edits of one direction. */
static inline void edits_parse(json *r, edits *list) {
    sidegate_slice key;
    size_t i, level;
    if (!json_take(r, '{')) json_wrong(r, "expected an object with `set`, `add` or `remove`");
    for (i = 0; json_more(r, '}', i); i++) {
        if (!json_key(r, &key)) return;
        level = json_down(r, key);
        if (sidegate_slice_eq(key, sidegate_str("remove"))) edits_names(r, list);
        else if (sidegate_slice_eq(key, sidegate_str("set"))) edits_fields(r, list, EDIT_SET);
        else if (sidegate_slice_eq(key, sidegate_str("add"))) edits_fields(r, list, EDIT_ADD);
        else json_wrong(r, "unknown key: expected `set`, `add` or `remove`");
        json_up(r, level);
    }
}

/* A request has one `host`, its authority: it can be set, to what is a host. */
static inline void edits_host(json *r, const edits *list) {
    size_t i;
    uint64_t at;
    for (i = 0; i < list->count && !r->wrong; i++) {
        const edit *item = &list->items[i];
        if (!sidegate_slice_eq_nocase(item->name, sidegate_str("host"))) continue;
        if (item->kind != EDIT_SET || item->value.len == 0) json_wrong(r, "`host` of a request can be set only");
        for (at = 0; at < item->value.len; at++) {
            uint8_t c = item->value.ptr[at];
            if (c <= ' ' || c > '~' || strchr("/?#@,\\", c)) json_wrong(r, "expected a host as the value of `host`");
        }
    }
}

/* Reads `text` into `parsed`, which the caller frees with config_free. If it is
 * not as above, says so in `error` and leaves nothing to free. */
static inline uint32_t config_parse(sidegate_slice text, config *parsed, sidegate_error_out_v1 *error) {
    json r;
    size_t i, level;
    sidegate_slice key;
    memset(parsed, 0, sizeof *parsed);
    parsed->text = (uint8_t *)malloc((size_t)text.len + 1);
    if (!parsed->text) return sidegate_error(error, NULL, "out of memory");
    json_begin(&r, text, parsed->text);
    if (!json_take(&r, '{')) json_wrong(&r, "expected an object with `request` or `response`");
    for (i = 0; json_more(&r, '}', i); i++) {
        if (!json_key(&r, &key)) break;
        level = json_down(&r, key);
        if (sidegate_slice_eq(key, sidegate_str("request"))) {
            edits_parse(&r, &parsed->request);
            edits_host(&r, &parsed->request);
        }
        else if (sidegate_slice_eq(key, sidegate_str("response"))) edits_parse(&r, &parsed->response);
        else json_wrong(&r, "unknown key: expected `request` or `response`");
        json_up(&r, level);
    }
    if (json_end(&r)) return SIDEGATE_OK;
    config_free(parsed);
    return sidegate_error(error, r.path, r.wrong);
}

#endif
