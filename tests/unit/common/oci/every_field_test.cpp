// What is wrong with any one field of a spec is told by that field's path. The fields are those of
// the tables, so that a new one is tried, too.

#include "common/base/error.hpp"
#include "common/oci/fields.hpp"
#include "common/oci/spec_json.hpp"
#include "common/oci/writer.hpp"
#include "tests/support/failure_of.hpp"
#include "tests/unit/common/oci/whole_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace cppvm::oci {
namespace {

using nlohmann::json;
using ::testing::StartsWith;

template <class T>
struct ElementOf {
    using Type = T;
};
template <class T>
struct ElementOf<std::optional<T>> : ElementOf<T> {};
template <class T>
struct ElementOf<std::vector<T>> : ElementOf<T> {};
template <class T>
struct ElementOf<std::map<std::string, T>> : ElementOf<T> {};

/// The object that is an example of a struct, where the member of that is a list or a map of them.
const json& example(const json& value, bool is_object) {
    return value.is_array() || !is_object ? value.front() : value;
}

template <class Struct>
void expect_every_key(const json& object, const std::string& path) {
    const auto check = [&](const auto& field) {
        using Member = std::remove_cvref_t<decltype(std::declval<Struct>().*field.member)>;
        using Element = typename ElementOf<Member>::Type;
        const std::string place = path + "." + field.key;
        ASSERT_TRUE(object.contains(field.key)) << "whole_spec has no " << place;
        if constexpr (detail::has_fields<Element>) {
            constexpr bool is_map = std::is_same_v<Member, std::map<std::string, Element>>;
            expect_every_key<Element>(example(object[field.key], !is_map), place);
        }
    };
    std::apply([&](const auto&... field) { (check(field), ...); }, detail::fields<Struct>);
}

TEST(EveryFieldTest, IsInTheWholeSpec) {
    expect_every_key<Spec>(json::parse(whole_spec), "");
}

/// Values that a field with this value cannot have.
std::vector<json> impossible(const json& value) {
    const json huge = json::parse("18446744073709551616");
    const json lowest = json::parse("-9223372036854775809");
    switch (value.type()) {
    case json::value_t::object:
        return {"x", 7, true, json::array({1})};
    case json::value_t::array:
        return {"x", 7, true, json::object({{"a", 1}})};
    case json::value_t::string:
        return {7, true, 1.5, json::array({"x"}), json::object({{"a", 1}}), std::string("a\0b", 3)};
    case json::value_t::boolean:
        return {"true", 1, 0, json::array(), json::object()};
    default:
        return {"1", true, 1.5, huge, lowest, json::array({1}), json::object({{"a", 1}})};
    }
}

/// Tries each value of the document, which is `at` somewhere in it and called `path` in errors.
void try_all(const json& document, const json::json_pointer& at, const std::string& path) {
    const json& value = document[at];
    for (const json& wrong : impossible(value)) {
        json changed = document;
        changed[at] = wrong;
        const std::string text = changed.dump();
        EXPECT_THAT(
            testing::failure_of([&] { static_cast<void>(parse_spec(text)); }),
            StartsWith((path.empty() ? "config" : path) + ": ")
        ) << wrong.dump();
    }
    if (value.is_object()) {
        for (const auto& [key, item] : value.items()) {
            try_all(document, at / key, path.empty() ? key : path + "." + key);
        }
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            try_all(document, at / i, path + "[" + std::to_string(i) + "]");
        }
    }
}

TEST(EveryFieldTest, IsNamedWhereItIsOfAnotherType) {
    try_all(json::parse(whole_spec), json::json_pointer(), "");
}

TEST(EveryFieldTest, IsNamedWhereItIsMissingAndMustNot) {
    const json whole = json::parse(whole_spec);
    for (const char* pointer :
         {"/ociVersion",
          "/root",
          "/root/path",
          "/process",
          "/process/args",
          "/process/cwd",
          "/process/consoleSize/height",
          "/process/consoleSize/width",
          "/process/rlimits/0/type",
          "/process/rlimits/0/soft",
          "/process/rlimits/0/hard",
          "/process/ioPriority/class",
          "/process/scheduler/policy",
          "/mounts/0/destination",
          "/mounts/0/uidMappings/0/size",
          "/hooks/prestart/0/path",
          "/linux/namespaces/0/type",
          "/linux/devices/0/path",
          "/linux/devices/0/type",
          "/linux/resources/hugepageLimits/0/pageSize",
          "/linux/resources/hugepageLimits/0/limit",
          "/linux/seccomp/defaultAction",
          "/linux/seccomp/syscalls/0/names",
          "/linux/seccomp/syscalls/0/action",
          "/linux/seccomp/syscalls/0/args/0/op",
          "/linux/personality/domain"}) {
        const json::json_pointer at(pointer);
        json changed = whole;
        changed[at.parent_pointer()].erase(at.back());
        const std::string text = changed.dump();
        EXPECT_THAT(
            testing::failure_of([&] { static_cast<void>(parse_spec(text)); }),
            ::testing::HasSubstr(at.back() + ": is missing")
        ) << pointer;
    }
}

struct BadValue {
    const char* pointer;
    json value;
    const char* message;
};

TEST(EveryFieldTest, IsNamedWhereItsValueIsOutOfRange) {
    const std::vector<BadValue> rows{
        {"/ociVersion", "2.0", "ociVersion: must be 1.x"},
        {"/root/path", "", "root.path: must not be empty"},
        {"/process/args", json::array(), "process.args: must not be empty"},
        {"/process/args", json::array({""}), "process.args: must not be empty"},
        {"/process/cwd", "../../etc", "process.cwd: must be an absolute path"},
        {"/process/user/uid", -1, "process.user.uid: is out of range"},
        {"/process/user/gid", 4294967296, "process.user.gid: is out of range"},
        {"/process/user/umask", 512, "process.user.umask: is out of range"},
        {"/process/user/additionalGids/1", -7, "process.user.additionalGids[1]: is out of range"},
        {"/process/consoleSize/width", -1, "process.consoleSize.width: is out of range"},
        {"/process/oomScoreAdj", -1001, "process.oomScoreAdj: must be between"},
        {"/process/rlimits/0/soft", -1, "process.rlimits[0].soft: is out of range"},
        {"/process/ioPriority/priority", 4294967296, "process.ioPriority.priority: is out"},
        {"/process/scheduler/runtime", -1, "process.scheduler.runtime: is out of range"},
        {"/mounts/0/destination", "../etc", "mounts[0].destination: must be an absolute path"},
        {"/mounts/0/uidMappings/0/hostID", -1, "mounts[0].uidMappings[0].hostID: is out of range"},
        {"/hooks/startContainer/0/path", "bin/x", "hooks.startContainer[0].path: must be an abs"},
        {"/hooks/prestart/0/timeout", 0, "hooks.prestart[0].timeout: must be greater than zero"},
        {"/hooks/prestart/0/timeout", 3000000000, "hooks.prestart[0].timeout: is out of range"},
        {"/linux/timeOffsets/boottime/nanosecs", -1, "linux.timeOffsets.boottime.nanosecs: is out"},
        {"/linux/devices/0/path", "../dev/x", "linux.devices[0].path: must be an absolute path"},
        {"/linux/devices/0/type", "q", "linux.devices[0].type: must be c, u, b or p"},
        {"/linux/devices/0/fileMode", -1, "linux.devices[0].fileMode: is out of range"},
        {"/linux/maskedPaths/0", "proc", "linux.maskedPaths[0]: must be an absolute path"},
        {"/linux/readonlyPaths/0", "..", "linux.readonlyPaths[0]: must be an absolute path"},
        {"/linux/resources/cpu/shares", -1, "linux.resources.cpu.shares: is out of range"},
        {"/linux/resources/hugepageLimits/0/limit", -1, "linux.resources.hugepageLimits[0].limit"},
        {"/linux/seccomp/syscalls/0/args/0/index", -1, "linux.seccomp.syscalls[0].args[0].index"},
    };
    for (const BadValue& row : rows) {
        json changed = json::parse(whole_spec);
        changed[json::json_pointer(row.pointer)] = row.value;
        const std::string text = changed.dump();
        EXPECT_THAT(
            testing::failure_of([&] { static_cast<void>(parse_spec(text)); }),
            StartsWith(row.message)
        );
    }
}

} // namespace
} // namespace cppvm::oci
