#include "guest-agent/watches/shadow_server.hpp"

#include "common/base/number.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <linux/fuse.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

namespace cppvm::guest {

namespace {

constexpr std::uint64_t watch_node_flag = std::uint64_t{1} << 61;
constexpr std::uint64_t child_node_flag = std::uint64_t{1} << 62;
constexpr std::size_t max_write = 4096;
constexpr std::size_t buffer_size = std::size_t{64} * 1024;

class Server {
  public:
    Server(int fuse, const ShadowStage& stage) : fuse_(fuse), stage_(stage) {}

    void answer(const fuse_in_header& request, const char* body) {
        request_ = &request;
        switch (request.opcode) {
        case FUSE_INIT:
            return answer_init(body);
        case FUSE_LOOKUP:
            return answer_lookup(body);
        case FUSE_MKNOD:
            return answer_entry(child(false));
        case FUSE_MKDIR:
            return answer_entry(child(true));
        case FUSE_GETATTR:
        case FUSE_SETATTR: {
            fuse_attr_out out{};
            out.attr = attributes(request.nodeid);
            return reply(out);
        }
        case FUSE_OPEN:
            return reply(fuse_open_out{});
        case FUSE_UNLINK:
        case FUSE_RMDIR:
        case FUSE_RENAME:
        case FUSE_RENAME2:
        case FUSE_RELEASE:
        case FUSE_DESTROY:
            return reply(0, nullptr, 0);
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
            return; // have no answer
        default:
            return reply(-ENOSYS, nullptr, 0);
        }
    }

  private:
    std::uint64_t child(bool is_directory) {
        return child_node_flag | ++children_ << 1 | (is_directory ? 1 : 0);
    }

    void answer_init(const char* body) const {
        fuse_init_in in{};
        std::memcpy(&in, body, offsetof(fuse_init_in, flags));
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = std::min<std::uint32_t>(in.minor, FUSE_KERNEL_MINOR_VERSION);
        out.max_write = max_write;
        reply(out);
    }

    void answer_lookup(std::string_view name) {
        std::uint64_t node = 0;
        if (request_->nodeid == stage_.parent && name == stage_.name.data()) {
            node = child(stage_.is_directory);
        } else if (request_->nodeid == FUSE_ROOT_ID && name.starts_with('a')) {
            node = to_number<std::uint64_t>(name.substr(1)).value_or(0);
        }
        if (node == 0 || node == stage_.gone) {
            return reply(-ENOENT, nullptr, 0);
        }
        answer_entry(node);
    }

    // Valid for no time: the kernel asks again at each step.
    void answer_entry(std::uint64_t node) const {
        fuse_entry_out out{};
        out.nodeid = node;
        out.attr = attributes(node);
        reply(out);
    }

    fuse_attr attributes(std::uint64_t node) const {
        const bool is_directory = node == FUSE_ROOT_ID || (node & 1) != 0;
        fuse_attr attributes{};
        attributes.ino = node;
        attributes.mode = is_directory ? S_IFDIR | 0700 : S_IFREG | 0600;
        attributes.nlink = node == stage_.without_links ? 0 : 1;
        return attributes;
    }

    template <class T>
    void reply(const T& out) const {
        reply(0, &out, sizeof out);
    }

    // A request that was interrupted, or a file system that has gone, takes none: no matter.
    void reply(int error, const void* out, std::size_t size) const {
        fuse_out_header header{};
        header.len = static_cast<std::uint32_t>(sizeof header + size);
        header.error = error;
        header.unique = request_->unique;
        const std::array<iovec, 2> parts{{{&header, sizeof header}, {const_cast<void*>(out), size}}
        };
        static_cast<void>(::writev(fuse_, parts.data(), size == 0 ? 1 : 2));
    }

    int fuse_;
    const ShadowStage& stage_;
    const fuse_in_header* request_ = nullptr;
    std::uint64_t children_ = 0;
};

} // namespace

std::uint64_t shadow_node(std::uint64_t watch, bool is_directory) noexcept {
    return watch_node_flag | watch << 1 | (is_directory ? 1 : 0);
}

std::uint64_t watch_of_node(std::uint64_t node) noexcept {
    return (node & (watch_node_flag | child_node_flag)) == watch_node_flag
               ? (node & ~watch_node_flag) >> 1
               : 0;
}

void serve_shadow(int fuse, const ShadowStage& stage) {
    Server server(fuse, stage);
    std::vector<char> buffer(buffer_size);
    for (;;) {
        const ssize_t size = ::read(fuse, buffer.data(), buffer.size() - 1);
        if (size < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) {
            continue;
        }
        if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) {
            return;
        }
        buffer[static_cast<std::size_t>(size)] = '\0';
        fuse_in_header header{};
        std::memcpy(&header, buffer.data(), sizeof header);
        server.answer(header, buffer.data() + sizeof header);
    }
}

} // namespace cppvm::guest
