#include "common/base/error.hpp"
#include "host/rundir/task_record.hpp"
#include "host/shim/start_record.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

TEST(TaskRecordTest, ComesBackAsItWasWritten) {
    const TempDir dir;
    const TaskRecord running{42, std::nullopt};
    write_task_record(dir.path(), running);
    EXPECT_EQ(read_task_record(dir.path()), running);
    const TaskRecord ended{
        42,
        TaskRecord::Exit{
            137,
            std::chrono::system_clock::time_point(std::chrono::nanoseconds(1'700'000'000'123'456'789
            ))
        }
    };
    write_task_record(dir.path(), ended);
    EXPECT_EQ(read_task_record(dir.path()), ended);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1)
        << "a temporary file is left";
}

TEST(TaskRecordTest, IsNothingWhereThereIsNone) {
    const TempDir dir;
    EXPECT_EQ(read_task_record(dir.path()), std::nullopt);
    EXPECT_EQ(read_task_record(dir / "no"), std::nullopt);
    EXPECT_EQ(read_task_record({}), std::nullopt);
}

TEST(TaskRecordTest, IsNothingWhenDamaged) {
    const TempDir dir;
    for (const char* text :
         {"",
          "{",
          "[]",
          "{}",
          R"({"pid": "1"})",
          R"({"pid": -1})",
          R"({"pid": 99999999999})",
          R"({"pid": 1, "exit_status": 3})",
          R"({"pid": 1, "exit_status": -3, "exited_at_ns": 5})",
          R"({"pid": 1, "exit_status": 4294967296, "exited_at_ns": 5})",
          R"({"pid": 1, "exit_status": 3, "exited_at_ns": "x"})"}) {
        dir.write("cppvm-task.json", text);
        EXPECT_EQ(read_task_record(dir.path()), std::nullopt) << text;
    }
    dir.write("cppvm-task.json", std::string(10'000, ' '));
    EXPECT_EQ(read_task_record(dir.path()), std::nullopt);
}

TEST(StartRecordTest, ComesBackAsItWasWritten) {
    const TempDir dir;
    shim::StartRecord record;
    record.id = "c";
    record.grouping = {"pod", true, "/kubepods/pod1/c"};
    record.socket = "/run/s/x";
    record.ttrpc_address = "/run/c.ttrpc";
    record.publish_binary = "/usr/bin/containerd";
    record.config = "vm = { vcpus = 1 }\n\"quoted\"";
    record.config_sources = "/etc/ü.toml";
    record.log_level = "debug";
    shim::write_start_record(dir.path(), record);
    EXPECT_EQ(shim::read_start_record(dir.path()), record);
    const auto mode = std::filesystem::status(shim::start_record_path(dir.path())).permissions();
    EXPECT_EQ(mode, std::filesystem::perms(0600));
}

TEST(StartRecordTest, RefusesWhatIsNotText) {
    const TempDir dir;
    shim::StartRecord record;
    record.config = "\xff";
    EXPECT_THROW(shim::write_start_record(dir.path(), record), Error);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(StartRecordTest, SaysThatItIsMissingOrDamaged) {
    const TempDir dir;
    EXPECT_THROW(shim::read_start_record(dir.path()), Error);
    for (const char* text : {"", "[]", "{}", R"({"pod_member": false})"}) {
        dir.write("cppvm-start.json", text);
        try {
            shim::read_start_record(dir.path());
            ADD_FAILURE() << "no error for " << text;
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("cppvm-start.json: damaged"));
        }
    }
}

} // namespace
} // namespace cppvm
