#include "tests/integration/shim/harness.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "proto/containerd/bootstrap.pb.h"
#include "proto/containerd/runtimeoptions.pb.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <fcntl.h>
#include <future>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace cppvm::testing {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds run_timeout(20);
constexpr std::chrono::seconds condition_timeout(10);

std::string read_until_end(int fd, Clock::time_point deadline) {
    std::string text;
    std::array<char, 65536> buffer{};
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        pollfd entry{fd, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&entry, 1, static_cast<int>(left.count())) <= 0) {
            ADD_FAILURE() << "the shim's output is not closed in time; so far: " << text;
            return text;
        }
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) {
            return text;
        }
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

} // namespace

bool wait_until(const std::function<bool()>& condition) {
    const auto deadline = Clock::now() + condition_timeout;
    while (!condition()) {
        if (Clock::now() >= deadline) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

Outcome run_shim(const ShimRun& run) {
    const auto begin = Clock::now();
    Pipe input = make_pipe("the shim");
    Pipe output = make_pipe("the shim");
    Pipe errors = make_pipe("the shim");
    ChildSpec spec;
    spec.arguments = {"/usr/bin/env", "-C", run.directory.native()};
    spec.arguments.insert(spec.arguments.end(), run.environment.begin(), run.environment.end());
    spec.arguments.emplace_back(CPPVM_FAKE_SHIM);
    spec.arguments.insert(spec.arguments.end(), run.arguments.begin(), run.arguments.end());
    // A further copy of the pipe, as a careless parent would leave it open, on a number that the
    // shim knows nothing of.
    spec.descriptors = {
        {input.read.get(), 0},
        {output.write.get(), 1},
        {run.combine ? output.write.get() : errors.write.get(), 2},
        {output.write.get(), 9},
    };
    asio::io_context loop;
    ChildProcess child(loop.get_executor(), spec);
    input.read.reset();
    output.write.reset();
    errors.write.reset();
    std::jthread writer([&] {
        try {
            write_all(input.write.get(), "shim's input", run.input);
        } catch (const Error&) {
            return; // it did not want to read all
        }
        input.write.reset();
    });
    Outcome outcome;
    outcome.output = read_until_end(output.read.get(), begin + run_timeout);
    outcome.errors = read_until_end(errors.read.get(), begin + run_timeout);
    asio::co_spawn(
        loop,
        with_timeout(child.wait(), begin + run_timeout, "wait for the shim"),
        [&](const std::exception_ptr& failure, ChildExit exit) {
            EXPECT_FALSE(failure) << "the shim does not end";
            EXPECT_EQ(exit.signal, 0);
            outcome.exit_code = exit.code;
        }
    );
    loop.run();
    outcome.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    return outcome;
}

ShimTest::ShimTest() {
    ::signal(SIGPIPE, SIG_IGN);
    if (::geteuid() == 0) {
        // What a test mounts is gone with the test's process at the latest.
        EXPECT_EQ(::unshare(CLONE_NEWNS), 0);
        EXPECT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }
    // Stands in for the program that talks to libvirt, and notes what it was asked.
    const auto helper =
        dir_.write("helper", "#!/bin/sh\necho \"$@\" >> " + (dir_ / "helper.log").native() + "\n");
    std::filesystem::permissions(helper, std::filesystem::perms(0755));
    dir_.write(
        "config.toml",
        "run_dir = \"" + (dir_ / "run").native() + "\"\nvm.vcpus = 3\n" +
            "hypervisor.libvirt_helper = \"" + helper.native() + "\"\n"
    );
    socket_dir_ = dir_ / "s";
}

ShimTest::~ShimTest() {
    for (const ProcessId& process : daemons()) {
        ADD_FAILURE() << "a daemon is left: " << process.pid;
        if (const UniqueFd pidfd = open_pidfd(process)) {
            signal_pidfd(pidfd.get(), SIGKILL);
        }
    }
}

std::filesystem::path
ShimTest::make_bundle(const std::string& id, const std::string& config) const {
    const auto path = bundle(id);
    std::filesystem::create_directories(path / "rootfs");
    if (!config.empty()) {
        dir_.write("bundles/" + id + "/config.json", config);
    }
    EXPECT_EQ(::mkfifo((path / "log").c_str(), 0700), 0);
    return path;
}

std::string ShimTest::pod_config(const std::string& type, const std::string& sandbox) {
    return R"({"process": {}, "annotations": {"io.kubernetes.cri.container-type": ")" + type +
           R"(", "io.kubernetes.cri.sandbox-id": ")" + sandbox +
           R"("}, "linux": {"namespaces": [{"type": "ipc"}, {"type": "pid"}]}})";
}

std::string ShimTest::group_config(const std::string& group) {
    return R"({"process": {}, "annotations": {"io.containerd.runc.v2.group": ")" + group + "\"}}";
}

namespace {

google::protobuf::Any options(const std::filesystem::path& config) {
    runtimeoptions::v1::Options message;
    message.set_config_path(config.native());
    google::protobuf::Any any;
    any.set_type_url("runtimeoptions.v1.Options");
    any.set_value(message.SerializeAsString());
    return any;
}

} // namespace

std::string ShimTest::legacy_input(const std::filesystem::path& config) {
    return options(config).SerializeAsString();
}

std::string ShimTest::params_input(const std::string& id, const std::string& other_options) const {
    containerd::runtime::bootstrap::v1::BootstrapParams params;
    params.set_instance_id(id);
    params.set_namespace_("ns");
    params.set_containerd_version("2.3.4");
    params.set_containerd_ttrpc_address("/from/params.ttrpc");
    params.set_socket_dir(socket_dir_.native());
    *params.add_extensions()->mutable_value() = options(dir_ / "config.toml");
    if (!other_options.empty()) {
        params.add_extensions()->mutable_value()->set_type_url(other_options);
    }
    return params.SerializeAsString();
}

ShimRun ShimTest::start_run(const std::string& id, const std::string& input) const {
    return {
        .arguments =
            {"-namespace",
             "ns",
             "-address",
             address(),
             "-publish-binary",
             "/usr/bin/containerd",
             "-id",
             id,
             "start"},
        .input = input,
        .directory = bundle(id),
        .environment = {"TTRPC_ADDRESS=/from/environment.ttrpc"},
    };
}

Outcome ShimTest::start(const std::string& id) const {
    return run_shim(start_run(id, params_input(id)));
}

Outcome ShimTest::remove(const std::string& id) const {
    const auto path = bundle(id);
    return run_shim({
        .arguments =
            {"-namespace",
             "ns",
             "-address",
             address(),
             "-publish-binary",
             "/usr/bin/containerd",
             "-id",
             id,
             "-bundle",
             path.native(),
             "delete"},
        .input = "",
        .directory = std::filesystem::exists(path) ? path : "/",
        .combine = false,
    });
}

std::optional<ProcessId> ShimTest::daemon(const std::string& id) const {
    try {
        const auto process = parse_process_id(read_file(run_dir(id) / "daemon.pid", 128));
        return process && open_pidfd(*process) ? process : std::nullopt;
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::string ShimTest::report(const std::string& id) const {
    const auto path = bundle(id) / "report";
    EXPECT_TRUE(wait_until([&] { return std::filesystem::exists(path); })) << "no daemon serves";
    return read_file(path, 65536);
}

std::vector<ProcessId> ShimTest::daemons() const {
    std::vector<ProcessId> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
            continue;
        }
        try {
            const std::string words = read_file(entry.path() / "cmdline", 65536);
            if (words.find(CPPVM_FAKE_SHIM) == 0 && words.find(address()) != std::string::npos) {
                if (const auto process = find_process(std::stoi(name))) {
                    found.push_back(*process);
                }
            }
        } catch (const Error&) {
            continue; // it ended
        }
    }
    return found;
}

void ShimTest::kill_daemon(const std::string& id) const {
    const auto process = daemon(id);
    ASSERT_TRUE(process);
    const UniqueFd pidfd = open_pidfd(*process);
    ASSERT_TRUE(pidfd);
    signal_pidfd(pidfd.get(), SIGKILL);
    ASSERT_TRUE(wait_pidfd(pidfd.get(), 10'000));
}

void ShimTest::expect_nothing_left(const std::string& id) const {
    EXPECT_TRUE(wait_until([&] { return daemons().empty(); })) << "a daemon is left";
    EXPECT_FALSE(std::filesystem::exists(socket(id)));
    EXPECT_FALSE(std::filesystem::exists(run_dir(id)));
}

std::vector<std::string> ShimTest::bundle_files(const std::string& id) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(bundle(id))) {
        names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace cppvm::testing
