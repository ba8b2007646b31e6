#include "host/rundir/description.hpp"

#include "common/os/file.hpp"

#include <nlohmann/json.hpp>

namespace cppvm {

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t max_description_bytes = 16384;

std::filesystem::path description_path(const std::filesystem::path& run_dir) {
    return run_dir / "sandbox.json";
}

} // namespace

void write_description(
    const std::filesystem::path& run_dir, const SandboxDescription& description
) {
    const auto started =
        std::chrono::duration_cast<std::chrono::nanoseconds>(description.started.time_since_epoch()
        );
    const OrderedJson json{
        {"id", description.sandbox_id},
        {"namespace", description.containerd_namespace},
        {"address", description.address},
        {"bundle", description.bundle.native()},
        {"version", description.version},
        {"build_id", description.build_id},
        {"daemon", description.daemon},
        {"started_ns", started.count()},
    };
    write_file_atomically(description_path(run_dir), json.dump(2) + "\n", 0600);
}

std::optional<SandboxDescription> read_description(const std::filesystem::path& run_dir) noexcept {
    try {
        const OrderedJson json =
            OrderedJson::parse(read_file(description_path(run_dir), max_description_bytes));
        SandboxDescription description;
        description.sandbox_id = json.at("id").get<std::string>();
        description.containerd_namespace = json.at("namespace").get<std::string>();
        description.address = json.at("address").get<std::string>();
        description.bundle = json.at("bundle").get<std::string>();
        description.version = json.at("version").get<std::string>();
        description.build_id = json.at("build_id").get<std::string>();
        description.daemon = json.at("daemon").get<pid_t>();
        description.started = std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(
                std::chrono::nanoseconds(json.at("started_ns").get<std::int64_t>())
            )
        );
        return description;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

std::filesystem::path control_socket_path(const std::filesystem::path& run_dir) {
    return run_dir / "control.sock";
}

} // namespace cppvm
