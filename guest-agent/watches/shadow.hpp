#pragma once

#include "common/base/unique_fd.hpp"
#include "common/os/forked_child.hpp"
#include "proto/cppvm/agent.pb.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace cppvm::guest {

struct ShadowStage;

/// A watch that a process of a container is to get. Plain data, for a message.
struct ShadowWatch {
    std::uint64_t watch = 0;
    bool is_directory = false;
    pid_t process = 0;      ///< whose it is
    int inotify = -1;       ///< its descriptor there
    std::uint32_t mask = 0; ///< as for inotify_add_watch(2)
};

/// What processes watch in the place of files of volumes: objects of a file system that nobody sees
/// (shadow_server.hpp), on which the changes that the host has made to those files are made again,
/// of no effect but the kernel's own events.
///
/// Only for a process of its own, because it blocks. Throws: Error.
class Shadow {
  public:
    /// Makes the file system. `volumes`: where the host's files are.
    explicit Shadow(const std::string& volumes);
    Shadow(const Shadow&) = delete;
    Shadow& operator=(const Shadow&) = delete;
    ~Shadow();

    /// Gives the watch descriptor, or a negated errno. `path`: of the file, below the volumes.
    int add(const ShadowWatch& watch, std::string_view path);

    /// Makes the changes again, in their order, and lets this machine forget before each what it
    /// remembers of the file: whoever hears of it finds the new one.
    void replay(const agent::v2::ReplayRequest& request);

    /// Forgets what nobody watches any more, and gives that. Looks again at directories that the
    /// host may have removed: while this machine remembers one, the host cannot tell of its end.
    std::set<std::uint64_t> sweep();

  private:
    using Change = agent::v2::ReplayRequest::Change;
    struct Watched {
        bool is_directory = false;
        std::string path;
    };

    void start_server(UniqueFd fuse);
    dev_t require_server() const;
    void look_again_at(const Watched& watched, const Change& change);
    void emit(const Change& change, const Change* other_half);
    void emit_self(const std::string& own, std::uint64_t node, std::uint32_t mask);
    void show(std::uint64_t parent, std::string_view name, bool is_directory);
    std::string own_name(std::uint64_t watch) const;
    std::uint64_t node(std::uint64_t watch) const;

    UniqueFd volumes_;
    UniqueFd root_;
    ShadowStage* stage_ = nullptr;
    std::map<std::uint64_t, Watched> watched_;
    std::set<std::uint64_t> emptied_; ///< something was taken away there, and they may go next
};

/// The process with a Shadow: answers the messages below until its parent has gone.
void serve_shadow_requests(ParentLink& parent, const std::string& volumes);

/// The first byte of a message to it.
enum class ShadowRequest : char {
    add = 'A',    ///< a ShadowWatch, then the path; the answer is the int
    replay = 'R', ///< a ReplayRequest
    sweep = 'S',  ///< the answer are the numbers
};

} // namespace cppvm::guest
