/*
 * The configuration of auth.c: a JSON object of strings. Header only, so that
 * the module stays one compiler line.
 */
#ifndef RULES_H
#define RULES_H

#include <stdlib.h>

#include "json.h"

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

static inline void rules_free(rules *parsed) {
    free(parsed->items);
    free(parsed->text);
    memset(parsed, 0, sizeof *parsed);
}

/* Sets the rule for `name`; the last one of equal names holds, as in JSON. */
static inline int rules_add(rules *parsed, sidegate_slice name, sidegate_slice value) {
    rule *grown;
    size_t i;
    for (i = 0; i < parsed->count; i++) {
        if (sidegate_slice_eq(parsed->items[i].name, name)) {
            parsed->items[i].value = value;
            return 1;
        }
    }
    grown = (rule *)realloc(parsed->items, (parsed->count + 1) * sizeof *grown);
    if (!grown) return 0;
    parsed->items = grown;
    parsed->items[parsed->count].name = name;
    parsed->items[parsed->count++].value = value;
    return 1;
}

/* Reads `config` into `parsed`, which the caller frees with rules_free. If it
 * is not an object of strings, says so in `error` and leaves nothing to free. */
static inline uint32_t rules_parse(sidegate_slice config, rules *parsed, sidegate_error_out_v1 *error) {
    json r;
    size_t i;
    memset(parsed, 0, sizeof *parsed);
    parsed->text = (uint8_t *)malloc((size_t)config.len + 1);
    if (!parsed->text) return sidegate_error(error, NULL, "out of memory");
    json_begin(&r, config, parsed->text);
    if (!json_take(&r, '{')) json_wrong(&r, "expected an object of strings");
    for (i = 0; json_more(&r, '}', i); i++) {
        sidegate_slice name, value;
        size_t level;
        if (!json_key(&r, &name)) break;
        level = json_down(&r, name);
        if (json_string(&r, &value) && !rules_add(parsed, name, value)) json_wrong(&r, "out of memory");
        json_up(&r, level);
    }
    if (json_end(&r)) return SIDEGATE_OK;
    rules_free(parsed);
    return sidegate_error(error, r.path, r.wrong);
}

#endif
