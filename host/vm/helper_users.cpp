#include "host/vm/helper_users.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"

#include <optional>
#include <sys/random.h>
#include <sys/stat.h>

namespace cppvm::vm {

namespace {

constexpr uid_t users_each = 3;
constexpr int max_draws = 1000;

std::optional<uid_t> read_claim(const std::filesystem::path& path) {
    try {
        return line_to_number<uid_t>(read_file(path, 32));
    } catch (const Error&) {
        return std::nullopt; // none there, or it has just gone
    }
}

bool is_taken(uid_t first, const std::filesystem::path& run_dir) {
    std::error_code error;
    for (const auto& other : std::filesystem::directory_iterator(run_dir.parent_path(), error)) {
        if (other.path() != run_dir && read_claim(other.path() / users_file) == first) {
            return true;
        }
    }
    return false;
}

// Drawn rather than counted up, so that the user of a machine that has gone does not come back
// soon, to what that one may have left open somewhere.
uid_t draw(const config::Isolation& isolation) {
    std::uint32_t number = 0;
    if (::getrandom(&number, sizeof number, 0) != sizeof number) {
        throw_errno("draw", "a user id");
    }
    return isolation.first_uid + number % (isolation.uid_count / users_each) * users_each;
}

HelperUsers users_from(uid_t first) {
    return {first, first + 1, first + 2};
}

} // namespace

HelperUsers claim_users(const std::filesystem::path& run_dir, const config::Isolation& isolation) {
    for (int i = 0; i < max_draws; ++i) {
        const uid_t first = draw(isolation);
        // Written before others are looked at: of two that draw the same at once, one sees the
        // other, or both do.
        write_file_atomically(run_dir / users_file, std::to_string(first) + "\n", 0600);
        if (!is_taken(first, run_dir)) {
            return users_from(first);
        }
    }
    throw Error(
        Code::resource_exhausted,
        "find a free user id: " + std::to_string(max_draws) + " of " +
            std::to_string(isolation.uid_count) +
            " tried are in use; raise uid_count in [isolation]"
    );
}

std::optional<HelperUsers> read_users(const std::filesystem::path& run_dir) {
    const auto first = read_claim(run_dir / users_file);
    return first ? std::optional(users_from(*first)) : std::nullopt;
}

gid_t qemu_group(std::string_view acceleration, uid_t user) noexcept {
    struct stat kvm{};
    const bool by_group = acceleration == "kvm" && ::stat("/dev/kvm", &kvm) == 0 &&
                          (kvm.st_mode & 0060) == 0060 && kvm.st_gid != 0;
    return by_group ? kvm.st_gid : user;
}

} // namespace cppvm::vm
