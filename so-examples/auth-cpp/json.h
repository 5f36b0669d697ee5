/*
 * Reads a small JSON configuration, value by value, in the order of the text.
 * Nothing is kept but strings, which are decoded into one buffer of the
 * caller's. The host hands only JSON to a module; anything else is refused here
 * and does no harm.
 *
 *     json r;
 *     json_begin(&r, args->config, buffer);         // config.len bytes of room
 *     json_take(&r, '{');
 *     for (i = 0; json_more(&r, '}', i); i++) {
 *         if (!json_key(&r, &key)) break;
 *         ... json_string(&r, &value), or an array with json_more(&r, ']', ...)
 *     }
 *     if (!json_end(&r)) return sidegate_error(args->error, r.path, r.wrong);
 */
#ifndef JSON_H
#define JSON_H

#include <string.h>

#include "sidegate.h"

typedef struct json {
    const uint8_t *at;
    const uint8_t *end;
    /* Where the next string goes. Decoding makes nothing longer: an escape is
     * at least as long as its UTF-8, so the text's own length is room enough. */
    uint8_t *out;
    /* The first mistake; NULL while there is none. Nothing is read after it. */
    const char *wrong;
    /* The key whose value is read, as key.key, for messages. */
    char path[96];
} json;

static inline void json_begin(json *r, sidegate_slice text, uint8_t *buffer) {
    memset(r, 0, sizeof *r);
    r->at = text.ptr;
    r->end = text.len ? text.ptr + text.len : text.ptr;
    r->out = buffer;
}

/* Notes a mistake and returns 0. */
static inline int json_wrong(json *r, const char *message) {
    if (!r->wrong) r->wrong = message;
    return 0;
}

static inline void json_blanks(json *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

/* Takes one byte if it is the next after blanks. */
static inline int json_take(json *r, char c) {
    json_blanks(r);
    if (r->wrong || r->at == r->end || *r->at != (uint8_t)c) return 0;
    r->at++;
    return 1;
}

/* In an object or array: whether an element follows. Takes the comma before it,
 * or `close` after the last. */
static inline int json_more(json *r, char close, size_t index) {
    if (json_take(r, close) || r->wrong) return 0;
    if (index == 0 || json_take(r, ',')) return 1;
    return json_wrong(r, close == '}' ? "expected `,` or `}`" : "expected `,` or `]`");
}

/* Four hexadecimal digits, or -1. */
static inline long json_hex4(json *r) {
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

static inline void json_put_utf8(json *r, unsigned long c) {
    if (c < 0x80) {
        *r->out++ = (uint8_t)c;
        return;
    }
    if (c < 0x800) {
        *r->out++ = (uint8_t)(0xC0 | (c >> 6));
    } else {
        if (c < 0x10000) {
            *r->out++ = (uint8_t)(0xE0 | (c >> 12));
        } else {
            *r->out++ = (uint8_t)(0xF0 | (c >> 18));
            *r->out++ = (uint8_t)(0x80 | ((c >> 12) & 0x3F));
        }
        *r->out++ = (uint8_t)(0x80 | ((c >> 6) & 0x3F));
    }
    *r->out++ = (uint8_t)(0x80 | (c & 0x3F));
}

/* The rest of an escape, after the backslash. */
static inline int json_escape(json *r) {
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
    high = json_hex4(r);
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF)) return 0;
    if (high >= 0xD800 && high <= 0xDBFF) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') return 0;
        r->at += 2;
        low = json_hex4(r);
        if (low < 0xDC00 || low > 0xDFFF) return 0;
        high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    json_put_utf8(r, (unsigned long)high);
    return 1;
}

/* A string; its bytes stay in the buffer. */
static inline int json_string(json *r, sidegate_slice *string) {
    uint8_t *start = r->out;
    if (!json_take(r, '"')) return json_wrong(r, "expected a string");
    while (r->at < r->end && *r->at >= ' ') {
        uint8_t c = *r->at++;
        if (c == '"') {
            *string = sidegate_bytes(start, (size_t)(r->out - start));
            return 1;
        }
        if (c != '\\') *r->out++ = c;
        else if (!json_escape(r)) break;
    }
    return json_wrong(r, "expected the end of the string or a valid escape");
}

/* A key and its colon. */
static inline int json_key(json *r, sidegate_slice *key) {
    if (!json_string(r, key) || !json_take(r, ':')) {
        r->wrong = "expected \"key\": value";
        return 0;
    }
    return 1;
}

/* Adds a key to the path. Returns what json_up takes to remove it again. */
static inline size_t json_down(json *r, sidegate_slice key) {
    size_t before = strlen(r->path), at = before, i = 0;
    if (r->wrong) return before;
    if (at > 0 && at + 1 < sizeof r->path) r->path[at++] = '.';
    while (i < key.len && at + 1 < sizeof r->path) r->path[at++] = (char)key.ptr[i++];
    /* Never cuts a UTF-8 sequence in two. */
    while (i < key.len && i > 0 && (key.ptr[i] & 0xC0) == 0x80) i--, at--;
    r->path[at] = 0;
    return before;
}

/* Goes up again, unless a mistake was found below. */
static inline void json_up(json *r, size_t before) {
    if (!r->wrong) r->path[before] = 0;
}

/* Whether all was read without a mistake. */
static inline int json_end(json *r) {
    json_blanks(r);
    if (!r->wrong && r->at != r->end) return json_wrong(r, "expected nothing after the object");
    return r->wrong == NULL;
}

#endif
