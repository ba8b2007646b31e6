#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// A program that reports what a container looks like from inside, as one line of JSON. Nothing in
/// it may differ from run to run: what does (inode numbers, pids of children) is reported by kind.
namespace cppvm::probe {

using Json = nlohmann::json;

Json identity();                                   ///< users, groups, capabilities, filters
Json scheduling();                                 ///< policies, priorities, processors
Json limits();                                     ///< resource limits, the cgroup's
Json surroundings(const std::vector<char*>& argv); ///< arguments, environment, names, namespaces
Json terminal();                                   ///< session, controlling terminal, its settings
Json mounts();                                     ///< mountinfo, by mount point
Json devices();                                    ///< all below /dev
Json files(const std::vector<std::string>& more);  ///< usual paths and `more`: read, written
Json abilities();                                  ///< what the kernel lets the process do

/// Output of `identity` of a program of the image that is executed; else why not.
Json identity_of(const std::string& program);

/// The first `limit` bytes of a file; nothing where it cannot be read.
std::string read_text(const std::string& path, std::size_t limit = 65536);

} // namespace cppvm::probe
