#include "host/rundir/task_record.hpp"

#include "common/os/file.hpp"

#include <nlohmann/json.hpp>

#include <limits>

namespace cppvm {

namespace {

using Json = nlohmann::json;

constexpr std::size_t max_record_bytes = 4096;

std::filesystem::path record_path(const std::filesystem::path& bundle) {
    return bundle / "cppvm-task.json";
}

std::optional<TaskRecord> parse(const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("pid") || !json["pid"].is_number_integer()) {
        return std::nullopt;
    }
    TaskRecord record;
    const auto pid = json["pid"].get<std::int64_t>();
    if (pid < 0 || pid > std::numeric_limits<pid_t>::max()) {
        return std::nullopt;
    }
    record.pid = static_cast<pid_t>(pid);
    if (!json.contains("exit_status")) {
        return record;
    }
    const Json at = json.value("exited_at_ns", Json());
    if (!json["exit_status"].is_number_unsigned() || !at.is_number_integer()) {
        return std::nullopt;
    }
    const auto status = json["exit_status"].get<std::uint64_t>();
    if (status > std::numeric_limits<std::uint32_t>::max()) {
        return std::nullopt;
    }
    record.exit = TaskRecord::Exit{
        static_cast<std::uint32_t>(status),
        std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(
                std::chrono::nanoseconds(at.get<std::int64_t>())
            )
        ),
    };
    return record;
}

} // namespace

void write_task_record(const std::filesystem::path& bundle, const TaskRecord& record) {
    Json json{{"pid", record.pid}};
    if (record.exit) {
        const auto since_epoch = record.exit->at.time_since_epoch();
        json["exit_status"] = record.exit->status;
        json["exited_at_ns"] =
            std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count();
    }
    write_file_atomically(record_path(bundle), json.dump() + "\n", 0600);
}

std::optional<TaskRecord> read_task_record(const std::filesystem::path& bundle) noexcept {
    try {
        return parse(read_file(record_path(bundle), max_record_bytes));
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

} // namespace cppvm
