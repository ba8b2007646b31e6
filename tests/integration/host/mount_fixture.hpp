#pragma once

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/storage/detached_mount.hpp"
#include "host/storage/id_mapping.hpp"
#include "host/storage/mountinfo.hpp"
#include "host/storage/unmount.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm::storage {

/// Each test in a mount namespace of its own, on a tmpfs that is shared as a host's mounts are
/// under systemd.
class MountTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) {
            GTEST_SKIP() << "needs root for mounts";
        }
        ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
        mount_tmpfs(dir.path());
        ASSERT_EQ(::mount(nullptr, dir.path().c_str(), nullptr, MS_SHARED, nullptr), 0);
    }

    void TearDown() override {
        if (::geteuid() == 0) {
            unmount_all(dir.path());
        }
    }

    std::string make_dir(const std::string& name) const {
        const auto path = dir / name;
        std::filesystem::create_directories(path);
        return path;
    }

    static void mount_tmpfs(const std::filesystem::path& path) {
        std::filesystem::create_directories(path);
        ASSERT_EQ(::mount("tmpfs", path.c_str(), "tmpfs", 0, nullptr), 0) << path;
    }

    static void bind(const std::filesystem::path& source, const std::filesystem::path& target) {
        ASSERT_EQ(::mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr), 0) << target;
    }

    static std::string content(const std::filesystem::path& path) { return read_file(path, 4096); }

    /// 0, or the errno of creating a file there.
    static int try_write(const std::filesystem::path& path) {
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        return fd ? 0 : errno;
    }

    /// Whether the kernel knows id-mapped mounts of what the tests lie on.
    bool can_map_tmpfs() const {
        try {
            DetachedMount(dir.path(), false)
                .set_id_map(make_user_namespace({{{0, 1, 1}}, {{0, 1, 1}}}).get(), false);
            return true;
        } catch (const Error&) {
            return false;
        }
    }

    static std::size_t mounts_at(const std::filesystem::path& path) {
        return mounts_below(read_mountinfo(), path).size();
    }

    testing::TempDir dir;
    testing::LogCapture log;
};

/// The text of the Error that `function` throws.
template <class F>
std::string error_of(F function) {
    try {
        function();
    } catch (const Error& error) {
        return error.message();
    }
    return "nothing was thrown";
}

} // namespace cppvm::storage
