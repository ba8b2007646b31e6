#pragma once

#include <string>
#include <string_view>
#include <sys/types.h>

namespace cppvm::guest {

/// The home directory of a user in the text of passwd(5); empty if there is no such user, or the
/// user has none. Lines that are no entries are skipped: the text is an image's.
std::string home_of(uid_t uid, std::string_view passwd);

} // namespace cppvm::guest
