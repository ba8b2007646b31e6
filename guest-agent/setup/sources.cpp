#include "guest-agent/setup/sources.hpp"

#include "common/base/error.hpp"
#include "common/oci/id_map.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/control_channel.hpp"
#include "guest-agent/setup/file_systems.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/rootfs.hpp"

#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <type_traits>

namespace cppvm::guest {

namespace {

/// One question; the text after it is the name for errors.
struct Question {
    enum class Kind { root, source, file_system, node } kind = Kind::root;
    std::size_t mount = 0;
    NodeSpec node;
};
static_assert(std::is_trivially_copyable_v<Question>);

UniqueFd receive_answer(int socket) {
    auto answer = ChildControl(socket).receive();
    if (!answer) {
        throw Error(Code::internal, "wait for what the machine's root opens: its process has died");
    }
    if (answer->kind == ControlKind::failed) {
        throw Error(answer->code, answer->text);
    }
    return std::move(answer->descriptor);
}

UniqueFd ask(int socket, const Question& question, const std::string& name = {}) {
    std::string text(reinterpret_cast<const char*>(&question), sizeof question);
    ChildControl(socket).send({ControlKind::ask, Code::ok, text + name, UniqueFd()});
    return receive_answer(socket);
}

UniqueFd answer(Sources& sources, const std::string& text) {
    Question question;
    std::memcpy(&question, text.data(), sizeof question); // of our own process image
    switch (question.kind) {
    case Question::Kind::root:
        return sources.open_root();
    case Question::Kind::source:
        return sources.clone_source(question.mount);
    case Question::Kind::file_system:
        return sources.make_file_system(question.mount);
    case Question::Kind::node:
        return sources.make_node(question.node, text.substr(sizeof question));
    }
    return {};
}

/// Where the id is not mapped the machine's root has it, which shows as "nobody" inside.
std::uint32_t outside(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
    return mappings.empty() ? id : oci::to_host_id(mappings, id).value_or(0);
}

} // namespace

UniqueFd DirectSources::open_root() {
    UniqueFd opened = open_shared(launch_.share, launch_.spec.root.path, "root.path");
    place_ = duplicate(opened.get(), "root.path");
    return opened;
}

void DirectSources::clone_peers() {
    for (std::size_t i = 0; i < launch_.spec.mounts.size(); ++i) {
        if (propagates(launch_.spec.mounts[i])) {
            peers_.emplace(i, make_clone(i));
        }
    }
}

UniqueFd DirectSources::clone_source(std::size_t mount) {
    const auto peer = peers_.find(mount);
    return peer == peers_.end() ? make_clone(mount) : std::move(peer->second);
}

UniqueFd DirectSources::make_clone(std::size_t mount) const {
    const oci::Mount& entry = launch_.spec.mounts.at(mount);
    const UniqueFd source =
        open_shared(launch_.share, entry.source, "bind mount " + entry.destination);
    const bool recursive = parse_mount_options(entry.options).recursive_bind;
    return clone_mount(source.get(), "", recursive, entry.destination);
}

UniqueFd DirectSources::make_file_system(std::size_t mount) {
    const oci::Mount& entry = launch_.spec.mounts.at(mount);
    return guest::make_file_system(entry, parse_mount_options(entry.options));
}

UniqueFd DirectSources::make_node(const NodeSpec& node, const std::string& name) {
    if (!nodes_) {
        nodes_ = std::make_unique<DeviceNodes>(place_.get());
    }
    NodeSpec mapped = node;
    mapped.uid = outside(launch_.spec.linux_part.uid_mappings, node.uid);
    mapped.gid = outside(launch_.spec.linux_part.gid_mappings, node.gid);
    return nodes_->make(mapped, name);
}

BorrowedSources::BorrowedSources(UniqueFd socket) : socket_(std::move(socket)) {
    ChildControl(socket_.get()).send(ControlKind::go);
    receive_answer(socket_.get());
}

UniqueFd BorrowedSources::open_root() {
    return ask(socket_.get(), {.kind = Question::Kind::root, .node = {}});
}

UniqueFd BorrowedSources::clone_source(std::size_t mount) {
    return ask(socket_.get(), {.kind = Question::Kind::source, .mount = mount, .node = {}});
}

UniqueFd BorrowedSources::make_file_system(std::size_t mount) {
    return ask(socket_.get(), {.kind = Question::Kind::file_system, .mount = mount, .node = {}});
}

UniqueFd BorrowedSources::make_node(const NodeSpec& node, const std::string& name) {
    return ask(socket_.get(), {.kind = Question::Kind::node, .node = node}, name);
}

void BorrowedSources::finish() {
    ::shutdown(socket_.get(), SHUT_WR);
    if (ChildControl(socket_.get()).receive()) {
        throw Error(Code::internal, "wait for the end of the machine's root: it says more");
    }
}

void lend_sources(int socket, Sources& sources) {
    ChildControl child(socket);
    child.send(ControlKind::ready);
    while (const auto question = child.receive()) {
        try {
            child.send({ControlKind::lent, Code::ok, {}, answer(sources, question->text)});
        } catch (...) {
            child.send_failure(to_status(std::current_exception()));
        }
    }
    sources.finish();
}

} // namespace cppvm::guest
