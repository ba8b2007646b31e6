#include "host/shim/start_record.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/pod/pod_spec_json.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace cppvm::shim {

namespace {

using Json = nlohmann::json;

// Of config.json, of which the pod may be a large part, each byte can become six.
constexpr std::size_t max_record_bytes = 128UL * 1024 * 1024;

// The members that are texts, by name: one list for both directions.
template <class Record, class Function>
void for_each_text(Record& record, Function function) {
    function("id", record.id);
    function("socket", record.socket);
    function("ttrpc_address", record.ttrpc_address);
    function("publish_binary", record.publish_binary);
    function("config", record.config);
    function("config_sources", record.config_sources);
    function("log_level", record.log_level);
}

} // namespace

std::filesystem::path start_record_path(const std::filesystem::path& bundle) {
    return bundle / "cppvm-start.json";
}

void write_start_record(const std::filesystem::path& bundle, const StartRecord& record) {
    Json json;
    for_each_text(record, [&](const char* name, const std::string& text) { json[name] = text; });
    std::string text;
    try {
        json["pod"] = record.pod;
        text = json.dump(2) + "\n";
    } catch (const Json::exception&) { // what it got is not UTF-8
        throw Error(Code::invalid_argument, "write cppvm-start.json: a setting is not UTF-8 text");
    }
    write_file_atomically(start_record_path(bundle), text, 0600);
}

StartRecord read_start_record(const std::filesystem::path& bundle) {
    const auto path = start_record_path(bundle);
    const Json json = Json::parse(read_file(path, max_record_bytes), nullptr, false);
    StartRecord record;
    bool whole = json.is_object() && json.contains("pod");
    for_each_text(record, [&](const char* name, std::string& text) {
        whole = whole && json.contains(name) && json[name].is_string();
        if (whole) {
            text = json[name].get<std::string>();
        }
    });
    try {
        if (whole) {
            json["pod"].get_to(record.pod);
        }
    } catch (const Json::exception&) {
        whole = false;
    }
    if (!whole) {
        throw Error(Code::data_loss, "read " + path.native() + ": damaged");
    }
    return record;
}

} // namespace cppvm::shim
