#include "host/rundir/task_record.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

namespace cppvm {
namespace {

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

} // namespace
} // namespace cppvm
