#include "host/pod/pod_spec.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"
#include "host/rundir/identity.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <initializer_list>
#include <limits>
#include <utility>

namespace cppvm::pod {

namespace {

using Json = nlohmann::json;

constexpr std::size_t max_config_bytes = 16UL * 1024 * 1024;
constexpr const char* group_key = "io.containerd.runc.v2.group";
constexpr const char* sandbox_key = "io.kubernetes.cri.sandbox-id";
constexpr const char* type_key = "io.kubernetes.cri.container-type";
constexpr const char* memory_key = "io.kubernetes.cri.sandbox-memory";
constexpr const char* quota_key = "io.kubernetes.cri.sandbox-cpu-quota";
constexpr const char* period_key = "io.kubernetes.cri.sandbox-cpu-period";

/// Where in the document a value is: the keys of the objects that it is in, "" for an array.
class Place {
  public:
    void enter(bool array) {
        ++depth_;
        if (depth_ <= keys_.size()) {
            keys_[depth_ - 1].clear();
            arrays_[depth_ - 1] = array;
        }
    }
    void leave() { --depth_; }
    void set_key(std::string& key) {
        if (depth_ <= keys_.size()) {
            keys_[depth_ - 1].swap(key);
        }
    }

    std::size_t depth() const noexcept { return depth_; }
    /// Whether it is the value of the last key, in objects of the keys before; "" is an array's.
    bool is(std::initializer_list<std::string_view> keys) const {
        return depth_ == keys.size() && begins(keys);
    }
    /// Whether it is a value of the object at `keys`.
    bool is_in(std::initializer_list<std::string_view> keys) const {
        return depth_ == keys.size() + 1 && !arrays_.at(keys.size()) && begins(keys);
    }
    const std::string& key() const { return keys_.at(depth_ - 1); }

  private:
    bool begins(std::initializer_list<std::string_view> keys) const {
        std::size_t i = 0;
        for (const std::string_view key : keys) {
            if (arrays_.at(i) != key.empty() || keys_.at(i) != key) {
                return false;
            }
            ++i;
        }
        return true;
    }

    std::size_t depth_ = 0;
    std::array<std::string, 4> keys_; // what is deeper is of no interest here
    std::array<bool, 4> arrays_{};
};

/// Picks the few values out of the stream. A tree of the whole spec would cost more than all else
/// that `start` does.
class SpecReader : public nlohmann::json_sax<Json> {
  public:
    PodSpec spec;
    std::size_t error_position = 0;
    bool is_object = false;
    bool has_process = false;
    bool has_pid = false; ///< a namespace
    bool has_ipc = false;

    bool null() override { return true; }
    bool boolean(bool /*value*/) override { return true; }
    bool number_integer(number_integer_t value) override {
        if (place_.is({"linux", "resources", "memory", "limit"})) {
            spec.limits.memory_bytes = value;
        } else if (place_.is({"linux", "resources", "cpu", "quota"})) {
            spec.limits.cpu_quota_us = value;
        }
        return true;
    }
    bool number_unsigned(number_unsigned_t value) override {
        if (place_.is({"linux", "resources", "cpu", "period"})) {
            spec.limits.cpu_period_us = value;
            return true;
        }
        constexpr auto most = std::numeric_limits<number_integer_t>::max();
        return number_integer(
            std::cmp_less(value, most) ? static_cast<number_integer_t>(value) : most
        );
    }
    bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
    bool binary(binary_t& /*value*/) override { return true; }

    bool string(string_t& value) override {
        if (place_.is_in({"annotations"})) {
            spec.annotations[place_.key()] = value;
        } else if (place_.is({"hostname"})) {
            spec.hostname = value;
        } else if (place_.is({"linux", "cgroupsPath"})) {
            spec.cgroups_path = value;
        } else if (place_.is_in({"linux", "sysctl"})) {
            spec.sysctls[place_.key()] = value;
        } else if (place_.is({"linux", "namespaces", "", "type"})) {
            namespace_type_ = value;
        } else if (place_.is({"linux", "namespaces", "", "path"})) {
            namespace_path_ = value;
        }
        return true;
    }

    bool start_object(std::size_t /*elements*/) override {
        is_object = is_object || place_.depth() == 0;
        place_.enter(false);
        namespace_type_.clear();
        namespace_path_.clear();
        return true;
    }

    bool end_object() override {
        place_.leave();
        if (place_.is({"linux", "namespaces", ""})) {
            take_namespace();
        }
        return true;
    }

    bool key(string_t& name) override {
        has_process = has_process || (place_.depth() == 1 && name == "process");
        place_.set_key(name);
        return true;
    }

    bool start_array(std::size_t /*elements*/) override {
        place_.enter(true);
        return true;
    }

    bool end_array() override {
        place_.leave();
        return true;
    }

    bool parse_error(
        std::size_t position, const std::string& /*token*/, const nlohmann::detail::exception& /*e*/
    ) override {
        error_position = position;
        return false;
    }

  private:
    void take_namespace() {
        using Kind = network::NamespaceSpec::Kind;
        if (namespace_type_ == "network") {
            spec.network = {namespace_path_.empty() ? Kind::fresh : Kind::path, namespace_path_};
        }
        has_pid = has_pid || namespace_type_ == "pid";
        has_ipc = has_ipc || namespace_type_ == "ipc";
    }

    Place place_;
    std::string namespace_type_;
    std::string namespace_path_;
};

std::string annotation(const PodSpec& spec, const char* key) {
    const auto found = spec.annotations.find(key);
    return found == spec.annotations.end() ? std::string() : found->second;
}

// A number that is none is as good as none: CRI writes them, and nobody else.
template <class Number>
void read_annotation(const PodSpec& spec, const char* key, Number& number) {
    number = to_number<Number>(annotation(spec, key)).value_or(number);
}

/// The container that starts a pod's shim is the pod's pause container, or one of a group: its own
/// limits say nothing of the others.
Limits limits_of_pod(const PodSpec& spec) {
    Limits limits;
    read_annotation(spec, memory_key, limits.memory_bytes);
    read_annotation(spec, quota_key, limits.cpu_quota_us);
    read_annotation(spec, period_key, limits.cpu_period_us);
    return limits;
}

} // namespace

void refuse_namespaces_of_host(bool pid, bool ipc) {
    if (pid || ipc) {
        throw Error(
            Code::unimplemented,
            std::string(pid ? "hostPID: the process" : "hostIPC: the IPC") +
                " namespace of the host does not reach into a VM; leave it out, or run the pod "
                "with a runtime class of runc's"
        );
    }
}

PodSpec read_pod_spec(const std::filesystem::path& bundle, const std::string& id) {
    const auto path = bundle / "config.json";
    std::string text;
    try {
        text = read_file(path, max_config_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            PodSpec spec;
            spec.sandbox_id = id;
            spec.awaits_create = true;
            return spec;
        }
        throw;
    }
    return parse_pod_spec(text, path.native(), id);
}

PodSpec parse_pod_spec(std::string_view config, const std::string& name, const std::string& id) {
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
    PodSpec spec = std::move(reader.spec);
    if (annotation(spec, type_key) == "sandbox") {
        refuse_namespaces_of_host(!reader.has_pid, !reader.has_ipc);
    }
    const char* key = group_key;
    spec.sandbox_id = annotation(spec, key);
    if (spec.sandbox_id.empty()) {
        key = sandbox_key;
        spec.sandbox_id = annotation(spec, key);
    }
    if (!spec.sandbox_id.empty()) {
        spec.limits = limits_of_pod(spec);
    }
    if (spec.sandbox_id.empty() || spec.sandbox_id == id) {
        spec.sandbox_id = id;
        spec.awaits_create = !reader.has_process;
        return spec;
    }
    check_identifier("annotation " + std::string(key) + " in " + name, spec.sandbox_id);
    spec.is_member = annotation(spec, type_key) == "container";
    return spec;
}

} // namespace cppvm::pod
