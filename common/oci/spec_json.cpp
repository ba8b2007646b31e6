#include "common/oci/spec_json.hpp"

#include "common/oci/reader.hpp"
#include "common/oci/writer.hpp"

namespace cppvm::oci {

namespace {

using detail::fail;
using detail::Json;
using detail::JsonPath;

Json parse_text(std::string_view text, const JsonPath& root) {
    if (text.size() > max_spec_bytes) {
        fail(
            root,
            "is " + std::to_string(text.size()) + " bytes, limit is " +
                std::to_string(max_spec_bytes)
        );
    }
    // The parser itself does not recurse, but what reads and destroys the tree might.
    const auto check_depth = [&root](int depth, Json::parse_event_t, Json&) {
        if (depth > max_spec_depth) {
            fail(root, "is nested deeper than " + std::to_string(max_spec_depth) + " levels");
        }
        return true;
    };
    try {
        return Json::parse(text.begin(), text.end(), check_depth);
    } catch (const Json::parse_error& error) {
        fail(root, "is not JSON (byte " + std::to_string(error.byte) + ")");
    } catch (const Json::out_of_range&) {
        fail(root, "has a number that is too large");
    }
}

template <class T>
Parsed<T> parse(std::string_view text, const JsonPath& root) {
    const Json tree = parse_text(text, root);
    Parsed<T> result;
    detail::Reader reader;
    reader.read(tree, root, result.value);
    result.unsupported = reader.take_unsupported();
    return result;
}

} // namespace

Parsed<Spec> parse_spec(std::string_view json) {
    return parse<Spec>(json, JsonPath(""));
}

Parsed<Process> parse_process(std::string_view json) {
    return parse<Process>(json, JsonPath("process"));
}

Parsed<Resources> parse_resources(std::string_view json) {
    return parse<Resources>(json, JsonPath("linux.resources"));
}

std::string write_spec(const Spec& spec) {
    return detail::write(spec).dump();
}

std::string write_process(const Process& process) {
    return detail::write(process).dump();
}

std::string write_resources(const Resources& resources) {
    return detail::write(resources).dump();
}

} // namespace cppvm::oci
