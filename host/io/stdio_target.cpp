#include "host/io/stdio_target.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/one_line.hpp"

#include <algorithm>

namespace cppvm::io {

namespace {

constexpr std::size_t max_shown = 256;

[[noreturn]] void
refuse(Code code, std::string_view stream, std::string_view uri, std::string_view why) {
    const std::string shown = one_line(std::string(uri), max_shown);
    throw Error(code, "open " + std::string(stream) + " '" + shown + "': " + std::string(why));
}

// RFC 3986 section 2.1; in queries also '+' (HTML form encoding, which containerd's clients use).
bool decode(std::string_view text, bool in_query, std::string& out) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && in_query) {
            out.push_back(' ');
        } else if (text[i] != '%') {
            out.push_back(text[i]);
        } else {
            const std::string_view digits = text.substr(i + 1, 2);
            const auto value = to_number<unsigned>(digits, 16);
            if (digits.size() != 2 || !value || *value == 0) {
                return false;
            }
            out.push_back(static_cast<char>(*value));
            i += 2;
        }
    }
    return true;
}

struct UriParts {
    std::string path;
    std::vector<std::string> query; // key, value, key, value …
};

UriParts split(std::string_view stream, std::string_view uri, std::string_view rest) {
    UriParts parts;
    rest = rest.substr(0, rest.find('#'));
    const std::size_t question = rest.find('?');
    if (!decode(rest.substr(0, question), false, parts.path)) {
        refuse(Code::invalid_argument, stream, uri, "bad percent-escape");
    }
    if (!parts.path.starts_with('/')) {
        refuse(Code::invalid_argument, stream, uri, "the path must be absolute (scheme:///path)");
    }
    std::string_view query = question == rest.npos ? "" : rest.substr(question + 1);
    std::vector<std::string> keys;
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        if (pair.empty()) {
            continue;
        }
        const std::size_t equals = pair.find('=');
        std::string key;
        std::string value;
        if (!decode(pair.substr(0, equals), true, key) ||
            (equals != pair.npos && !decode(pair.substr(equals + 1), true, value))) {
            refuse(Code::invalid_argument, stream, uri, "bad percent-escape");
        }
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
            keys.push_back(key);
            parts.query.push_back(std::move(key));
            parts.query.push_back(std::move(value));
        }
    }
    return parts;
}

// `query`: as in UriParts.
std::string
streaming_id(std::string_view stream, std::string_view uri, const std::vector<std::string>& query) {
    for (std::size_t i = 0; i < query.size(); i += 2) {
        if (query[i] == "streaming_id" && !query[i + 1].empty()) {
            return query[i + 1];
        }
    }
    refuse(Code::invalid_argument, stream, uri, "no streaming_id in the address");
}

} // namespace

StdioTarget parse_stdio_target(std::string_view stream, std::string_view uri) {
    if (uri.empty()) {
        return NullTarget{};
    }
    if (uri.size() > max_stdio_uri || uri.find('\0') != uri.npos) {
        refuse(Code::invalid_argument, stream, uri, "too long, or contains a zero byte");
    }
    const std::size_t colon = uri.find("://");
    if (uri.starts_with('/')) {
        return PathTarget{std::string(uri)};
    }
    if (colon == uri.npos) {
        refuse(Code::invalid_argument, stream, uri, "not an absolute path");
    }
    const std::string_view scheme = uri.substr(0, colon);
    const std::string_view rest = uri.substr(colon + 3);
    if (scheme == "file") {
        return LogFileTarget{split(stream, uri, rest).path};
    }
    if (scheme == "binary" || scheme == "binary-v2") {
        UriParts parts = split(stream, uri, rest);
        LoggerTarget target;
        target.arguments = std::move(parts.query);
        target.arguments.insert(target.arguments.begin(), std::move(parts.path));
        target.must_report_ready = scheme == "binary-v2";
        return target;
    }
    if (scheme == "ttrpc+unix") {
        UriParts parts = split(stream, uri, rest);
        return StreamTarget{std::move(parts.path), streaming_id(stream, uri, parts.query)};
    }
    if (scheme.starts_with("ttrpc+") || scheme.starts_with("grpc+") || scheme == "stream") {
        refuse(
            Code::unimplemented,
            stream,
            uri,
            "of streaming addresses only ttrpc+unix:// is supported"
        );
    }
    refuse(
        Code::invalid_argument,
        stream,
        uri,
        "unknown scheme; a path, file://, binary://, binary-v2:// and ttrpc+unix:// are supported"
    );
}

} // namespace cppvm::io
