/*
 * Lets a request through if it carries every configured header with the
 * configured value, and answers 403 otherwise. The configuration is an object
 * of strings: {"User": "admin"}. Names are compared without case, values
 * exactly; of several fields of one name all must match, since which of them
 * the upstream looks at is not known here.
 */
#include <algorithm>
#include <string_view>

#include "rules.hpp"
#include "sidegate.hpp"

namespace {

class Auth : public sidegate::Filter {
public:
    using Config = Rules;
    explicit Auth(const Rules &required) : required_(required) {}

    sidegate::Status on_request_headers(sidegate::Stream &stream) override {
        for (const auto &[name, wanted] : required_.values()) {
            const auto found = stream.request().get_all(name);
            const auto matches = [&value = wanted](std::string_view one) { return one == value; };
            if (found.empty() || !std::all_of(found.begin(), found.end(), matches))
                return stream.reply(sidegate::Reply::text(403, "forbidden\n"));
        }
        return sidegate::Status::Continue;
    }

private:
    const Rules &required_;
};

} // namespace

SIDEGATE_MANIFEST(
    R"({"description": "Lets a request through if it carries every configured header with the configured value, and )"
    R"(answers 403 otherwise.", "licence": "Apache-2.0", "filters": [{"name": "auth-cpp", )"
    R"("hooks": ["request_headers"], "bodies": {"request": "none", "response": "none"}, )"
    R"("config": {"type": "object", "additionalProperties": {"type": "string"}, )"
    R"("description": "required value by header name"}}]})")
SIDEGATE_CPP_MODULE("auth-cpp", "1.0.0", sidegate::filter<Auth>("auth-cpp"))
