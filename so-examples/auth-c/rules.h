/*
 * The configuration of auth.c: a JSON object of strings. Header only, so that
 * the module stays one compiler line.
 */
#ifndef RULES_H
#define RULES_H

#include <stdlib.h>
#include <string.h>

#include "sidegate.h"

/* A header that must be there with this value. Both point into rules.text. */
typedef struct rule {
    sidegate_slice name;
    sidegate_slice value;
} rule;

typedef struct rules {
    rule *items;
    size_t count;
    uint8_t *text;
} rules;

typedef struct rules_error {
    const char *message;
    char path[64]; /* key whose value was refused; empty if it was not a value */
} rules_error;

/* Decoding makes nothing longer: an escape is at least as long as its UTF-8,
 * so `out` needs no more room than the input. */
typedef struct rules_reader {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t *out;
} rules_reader;

static inline void rules_blanks(rules_reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

/* Takes one byte if it is `c`. */
static inline int rules_take(rules_reader *r, uint8_t c) {
    rules_blanks(r);
    if (r->at == r->end || *r->at != c) return 0;
    r->at++;
    return 1;
}

/* Four hexadecimal digits, or -1. */
static inline long rules_hex4(rules_reader *r) {
    long number = 0;
    int i;
    if (r->end - r->at < 4) return -1;
    for (i = 0; i < 4; i++) {
        uint8_t c = *r->at++;
        if (c >= '0' && c <= '9') number = number * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f') number = number * 16 + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') number = number * 16 + (c - 'A' + 10);
        else return -1;
    }
    return number;
}

static inline void rules_put_utf8(rules_reader *r, unsigned long c) {
    if (c < 0x80) {
        *r->out++ = (uint8_t)c;
    } else if (c < 0x800) {
        *r->out++ = (uint8_t)(0xC0 | (c >> 6));
        *r->out++ = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *r->out++ = (uint8_t)(0xE0 | (c >> 12));
        *r->out++ = (uint8_t)(0x80 | ((c >> 6) & 0x3F));
        *r->out++ = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        *r->out++ = (uint8_t)(0xF0 | (c >> 18));
        *r->out++ = (uint8_t)(0x80 | ((c >> 12) & 0x3F));
        *r->out++ = (uint8_t)(0x80 | ((c >> 6) & 0x3F));
        *r->out++ = (uint8_t)(0x80 | (c & 0x3F));
    }
}

/* The rest of an escape, after the backslash. */
static inline int rules_escape(rules_reader *r) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known;
    long high, low;
    uint8_t c;
    if (r->at == r->end) return 0;
    c = *r->at++;
    if (c != 'u') {
        known = c ? strchr(from, c) : NULL;
        if (!known) return 0;
        *r->out++ = (uint8_t)to[known - from];
        return 1;
    }
    high = rules_hex4(r);
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF)) return 0;
    if (high >= 0xD800 && high <= 0xDBFF) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') return 0;
        r->at += 2;
        low = rules_hex4(r);
        if (low < 0xDC00 || low > 0xDFFF) return 0;
        high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    rules_put_utf8(r, (unsigned long)high);
    return 1;
}

/* A string, decoded behind what was decoded before. */
static inline int rules_string(rules_reader *r, sidegate_slice *string) {
    uint8_t *start = r->out;
    if (!rules_take(r, '"')) return 0;
    while (r->at < r->end && *r->at >= ' ') {
        uint8_t c = *r->at++;
        if (c == '"') {
            *string = sidegate_bytes(start, (size_t)(r->out - start));
            return 1;
        }
        if (c != '\\') *r->out++ = c;
        else if (!rules_escape(r)) return 0;
    }
    return 0;
}

static inline void rules_free(rules *parsed) {
    free(parsed->items);
    free(parsed->text);
    memset(parsed, 0, sizeof *parsed);
}

static inline int rules_refuse(rules *parsed, rules_error *error, sidegate_slice key, const char *message) {
    size_t len = key.len < sizeof error->path - 1 ? (size_t)key.len : sizeof error->path - 1;
    error->message = message;
    /* Never cuts a UTF-8 sequence in two. */
    while (len < key.len && len > 0 && (key.ptr[len] & 0xC0) == 0x80) len--;
    if (len > 0) memcpy(error->path, key.ptr, len);
    error->path[len] = 0;
    rules_free(parsed);
    return 0;
}

/* Sets the rule for `name`; the last one of equal names holds, as in JSON. */
static inline int rules_add(rules *parsed, rule added) {
    size_t i;
    rule *grown;
    for (i = 0; i < parsed->count; i++) {
        if (sidegate_slice_eq(parsed->items[i].name, added.name)) {
            parsed->items[i] = added;
            return 1;
        }
    }
    grown = (rule *)realloc(parsed->items, (parsed->count + 1) * sizeof *grown);
    if (!grown) return 0;
    parsed->items = grown;
    parsed->items[parsed->count++] = added;
    return 1;
}

/* Reads `json` into `parsed`, which the caller frees with rules_free. Returns
 * 0 and says why in `error` if it is not an object of strings. */
static inline int rules_parse(sidegate_slice json, rules *parsed, rules_error *error) {
    const sidegate_slice nowhere = {NULL, 0};
    rules_reader r;
    memset(parsed, 0, sizeof *parsed);
    parsed->text = (uint8_t *)malloc((size_t)json.len + 1);
    if (!parsed->text) return rules_refuse(parsed, error, nowhere, "out of memory");
    r.at = json.ptr;
    r.end = json.len ? json.ptr + json.len : json.ptr;
    r.out = parsed->text;
    if (!rules_take(&r, '{')) return rules_refuse(parsed, error, nowhere, "expected an object of strings");
    if (!rules_take(&r, '}')) {
        do {
            rule read;
            if (!rules_string(&r, &read.name) || !rules_take(&r, ':'))
                return rules_refuse(parsed, error, nowhere, "expected \"key\": \"value\"");
            rules_blanks(&r);
            if (r.at == r.end || *r.at != '"')
                return rules_refuse(parsed, error, read.name, "expected a string");
            if (!rules_string(&r, &read.value))
                return rules_refuse(parsed, error, read.name, "expected the end of the string or a valid escape");
            if (!rules_add(parsed, read)) return rules_refuse(parsed, error, nowhere, "out of memory");
        } while (rules_take(&r, ','));
        if (!rules_take(&r, '}')) return rules_refuse(parsed, error, nowhere, "expected `,` or `}`");
    }
    rules_blanks(&r);
    if (r.at != r.end) return rules_refuse(parsed, error, nowhere, "expected nothing after the object");
    return 1;
}

#endif
