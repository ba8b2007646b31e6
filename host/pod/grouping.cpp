#include "host/pod/grouping.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/rundir/identity.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>

namespace cppvm::shim {

namespace {

using Json = nlohmann::json;

constexpr std::size_t max_config_bytes = 16UL * 1024 * 1024;
constexpr std::string_view group_key = "io.containerd.runc.v2.group";
constexpr std::string_view sandbox_key = "io.kubernetes.cri.sandbox-id";
constexpr std::string_view type_key = "io.kubernetes.cri.container-type";

/// Picks three annotations and one path out of the stream of values. A tree of the whole spec would
/// cost more than all else that `start` does.
class SpecReader : public nlohmann::json_sax<Json> {
  public:
    std::string group;
    std::string sandbox_id;
    std::string container_type;
    std::string cgroups_path;
    std::size_t error_position = 0;
    bool is_object = false;

    bool null() override { return scalar(); }
    bool boolean(bool /*value*/) override { return scalar(); }
    bool number_integer(number_integer_t /*value*/) override { return scalar(); }
    bool number_unsigned(number_unsigned_t /*value*/) override { return scalar(); }
    bool number_float(number_float_t /*value*/, const string_t& /*text*/) override {
        return scalar();
    }
    bool binary(binary_t& /*value*/) override { return scalar(); }

    bool string(string_t& value) override {
        if (depth_ == 2 && in_linux_ && key_ == "cgroupsPath") {
            cgroups_path = value;
        }
        if (depth_ == 2 && in_annotations_) {
            if (key_ == group_key) {
                group = value;
            } else if (key_ == sandbox_key) {
                sandbox_id = value;
            } else if (key_ == type_key) {
                container_type = value;
            }
        }
        return scalar();
    }

    bool start_object(std::size_t /*elements*/) override {
        is_object = is_object || depth_ == 0;
        in_annotations_ = depth_ == 1 ? key_ == "annotations" : in_annotations_;
        in_linux_ = depth_ == 1 ? key_ == "linux" : in_linux_;
        ++depth_;
        return true;
    }

    bool end_object() override {
        --depth_;
        in_annotations_ = in_annotations_ && depth_ > 1;
        in_linux_ = in_linux_ && depth_ > 1;
        return true;
    }

    bool key(string_t& name) override {
        if (depth_ <= 2) {
            key_ = name;
        }
        return true;
    }

    bool start_array(std::size_t /*elements*/) override {
        ++depth_;
        return true;
    }

    bool end_array() override {
        --depth_;
        return true;
    }

    bool parse_error(
        std::size_t position, const std::string& /*token*/, const nlohmann::detail::exception& /*e*/
    ) override {
        error_position = position;
        return false;
    }

  private:
    static bool scalar() { return true; }

    std::size_t depth_ = 0;
    std::string key_;
    bool in_annotations_ = false;
    bool in_linux_ = false;
};

} // namespace

Grouping read_grouping(const std::filesystem::path& bundle, const std::string& id) {
    const auto path = bundle / "config.json";
    std::string text;
    try {
        text = read_file(path, max_config_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            return {id, false, {}};
        }
        throw;
    }
    return parse_grouping(text, path.native(), id);
}

Grouping parse_grouping(std::string_view config, const std::string& name, const std::string& id) {
    SpecReader reader;
    if (!Json::sax_parse(config, &reader)) {
        throw Error(
            Code::invalid_argument,
            "read " + name + ": not valid JSON at byte " + std::to_string(reader.error_position)
        );
    }
    if (!reader.is_object) {
        throw Error(Code::invalid_argument, "read " + name + ": not a JSON object");
    }
    const bool explicit_group = !reader.group.empty();
    std::string group = explicit_group ? reader.group : reader.sandbox_id;
    if (group.empty() || group == id) {
        return {id, false, std::move(reader.cgroups_path)};
    }
    check_identifier(
        "annotation " + std::string(explicit_group ? group_key : sandbox_key) + " in " + name, group
    );
    return {std::move(group), reader.container_type == "container", std::move(reader.cgroups_path)};
}

} // namespace cppvm::shim
