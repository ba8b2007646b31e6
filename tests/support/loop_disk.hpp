#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace cppvm::testing {

/// Runs a shell command of the test's own making.
inline void run_shell(const std::string& command) {
    EXPECT_EQ(std::system(command.c_str()), 0) << command; // NOLINT(cert-env33-c)
}

/// A file of zeros.
inline std::filesystem::path make_image(const std::filesystem::path& path, std::size_t bytes) {
    std::ofstream(path).close();
    std::filesystem::resize_file(path, bytes);
    return path;
}

/// Makes an ext4 file system in a file, with what is in `directory`.
inline std::filesystem::path
make_ext4(const std::filesystem::path& path, const std::filesystem::path& directory) {
    make_image(path, 32UL * 1024 * 1024);
    run_shell("mkfs.ext4 -q -F -d " + directory.native() + " " + path.native());
    return path;
}

/// The loop devices that a file has now: "loop3".
inline std::vector<std::string> loops_of(const std::filesystem::path& image) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/block")) {
        std::ifstream file(entry.path() / "loop/backing_file");
        std::string backing;
        if (std::getline(file, backing) && backing == image.native()) {
            found.push_back(entry.path().filename());
        }
    }
    return found;
}

/// A loop device on a file, as long as the object lives.
class LoopDisk {
  public:
    explicit LoopDisk(const std::filesystem::path& image) {
        run_shell("losetup --find " + image.native());
        const auto loops = loops_of(image);
        if (loops.size() != 1) {
            ADD_FAILURE() << "no loop device on " << image;
            return;
        }
        name_ = loops[0];
        struct stat status{};
        EXPECT_EQ(::stat(path().c_str(), &status), 0);
        number_ = status.st_rdev;
    }
    LoopDisk(const LoopDisk&) = delete;
    LoopDisk& operator=(const LoopDisk&) = delete;
    ~LoopDisk() { run_shell("losetup --detach " + path().native()); }

    const std::string& name() const noexcept { return name_; }
    std::filesystem::path path() const { return "/dev/" + name_; }
    dev_t number() const noexcept { return number_; }

  private:
    std::string name_;
    dev_t number_ = 0;
};

} // namespace cppvm::testing
