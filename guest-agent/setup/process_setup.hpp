#pragma once

#include "common/base/unique_fd.hpp"
#include "common/oci/spec.hpp"
#include "common/os/seccomp_program.hpp"
#include "guest-agent/setup/capabilities.hpp"
#include "guest-agent/setup/control_channel.hpp"

#include <optional>
#include <string>
#include <vector>

namespace cppvm::guest {

/// What a child gets from the agent besides the spec. Descriptors are the agent's (the child has
/// copies of the same numbers).
struct ProcessSpec {
    const std::string& container_id;
    const oci::Process& process;
    const SeccompProgram& seccomp;
    const std::optional<oci::Personality>& personality;
    CapabilitySets capabilities;
    /// It has volumes: its watches go through the agent (watch_filter.hpp).
    bool has_volumes = false;
    /// Ends of pipes, or /dev/null; not used with a terminal.
    int standard_input = -1;
    int standard_output = -1;
    int standard_error = -1;
    /// Size of the terminal; 0 leaves the kernel's.
    unsigned console_width = 0;
    unsigned console_height = 0;
};

/// A pseudo terminal. The master goes to the agent, the slave becomes stdio.
struct Terminal {
    UniqueFd master;
    UniqueFd slave;
};

/// From the container's own devpts below `root` if there is one, so that ttyname(3) works inside;
/// else from `fallback`, an O_PATH descriptor of the agent's /dev/pts.
/// Throws: Error.
Terminal open_terminal(int root, int fallback);

/// First thing in a child: own signals, no descriptor but those of `keep` (and 0 to 2), not to be
/// traced by the container's processes.
void isolate_child(std::vector<int> keep);

/// In the child, inside of all namespaces and with its root: session, terminal, stdio, limits,
/// working directory, user, capabilities, and the seccomp filter, unless no_new_privs lets it wait
/// until the last moment. What fails is thrown as Error.
/// Closes everything but 0 to 2, the control channel and the terminal's master.
void apply_process_attributes(const ProcessSpec& spec, Terminal& terminal, ChildControl& control);

/// The program's environment: the spec's, in which the last value of a name counts, in the place of
/// that; and HOME from /etc/passwd where it is missing or empty, unless there are no variables at
/// all.
std::vector<std::string> make_environment(const oci::Process& process);

/// The file that `name` (args[0]) stands for: itself if it has a slash, else what execvp(3) finds
/// in PATH. As the process sees it and may execute it. Throws: Error (failed_precondition) with the
/// words that people know from other runtimes: `exec "x": executable file not found in $PATH: no
/// such file or directory`.
std::string find_program(const std::string& name, const std::vector<std::string>& environment);

/// Replaces the process. Throws: Error (failed_precondition): `exec "x": exec format error`.
[[noreturn]] void execute(
    const std::string& program,
    const oci::Process& process,
    const std::vector<std::string>& environment
);

} // namespace cppvm::guest
