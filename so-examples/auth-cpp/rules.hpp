/*
 * The configuration of auth.cpp: a JSON object of strings. Of equal names the
 * last one holds, as in JSON.
 */
#ifndef RULES_HPP
#define RULES_HPP

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"
#include "sidegate.hpp"

class Rules {
public:
    /* Throws sidegate::ConfigError if it is anything else. */
    explicit Rules(std::string_view text) {
        /* Where strings are decoded: none gets longer. */
        std::vector<uint8_t> room(text.size() + 1);
        json reader;
        json_begin(&reader, sidegate::slice(text), room.data());
        if (!json_take(&reader, '{')) json_wrong(&reader, "expected an object of strings");
        for (size_t i = 0; json_more(&reader, '}', i); i++) {
            sidegate_slice name, value;
            if (!json_key(&reader, &name)) break;
            const size_t level = json_down(&reader, name);
            if (json_string(&reader, &value)) values_[std::string(sidegate::view(name))] = sidegate::view(value);
            json_up(&reader, level);
        }
        if (!json_end(&reader)) throw sidegate::ConfigError(reader.path, reader.wrong);
    }

    /* Required value by header name. */
    const std::map<std::string, std::string> &values() const { return values_; }

private:
    std::map<std::string, std::string> values_;
};

#endif
