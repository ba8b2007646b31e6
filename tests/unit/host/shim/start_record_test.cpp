#include "common/base/error.hpp"
#include "host/shim/start_record.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace cppvm::shim {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

TEST(StartRecordTest, ComesBackAsItWasWritten) {
    const TempDir dir;
    StartRecord record;
    record.id = "c";
    record.pod.sandbox_id = "pod";
    record.pod.is_member = true;
    record.pod.cgroups_path = "/kubepods/pod1/c";
    record.pod.network = {network::NamespaceSpec::Kind::path, "/run/netns/n1"};
    record.pod.hostname = "web";
    record.pod.sysctls = {{"net.ipv4.ip_forward", "1"}};
    record.pod.annotations = {{"a", "1"}, {"b", ""}};
    record.socket = "/run/s/x";
    record.ttrpc_address = "/run/c.ttrpc";
    record.publish_binary = "/usr/bin/containerd";
    record.config = "vm = { vcpus = 1 }\n\"quoted\"";
    record.config_sources = "/etc/ü.toml";
    record.log_level = "debug";
    write_start_record(dir.path(), record);
    EXPECT_EQ(read_start_record(dir.path()), record);
    const auto mode = std::filesystem::status(start_record_path(dir.path())).permissions();
    EXPECT_EQ(mode, std::filesystem::perms(0600));
}

TEST(StartRecordTest, RefusesWhatIsNotText) {
    const TempDir dir;
    StartRecord record;
    record.config = "\xff";
    EXPECT_THROW(write_start_record(dir.path(), record), Error);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(StartRecordTest, SaysThatItIsMissingOrDamaged) {
    const TempDir dir;
    EXPECT_THROW(read_start_record(dir.path()), Error);
    for (const char* text : {"", "[]", "{}", R"({"pod": {}})", R"({"id": 1})"}) {
        dir.write("cppvm-start.json", text);
        try {
            read_start_record(dir.path());
            ADD_FAILURE() << "no error for " << text;
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("cppvm-start.json: damaged"));
        }
    }
}

} // namespace
} // namespace cppvm::shim
