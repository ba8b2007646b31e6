#pragma once

#include "guest-agent/setup/process_setup.hpp"
#include "guest-agent/stdio/process_io.hpp"
#include "guest-agent/stdio/stdio_table.hpp"

#include <cstdint>
#include <memory>

namespace cppvm::guest {

/// Which parked streams a process uses; 0 is /dev/null. Plain data, from the host's request.
struct StdioRequest {
    bool terminal = false;
    std::uint64_t input_stream = 0;
    std::uint64_t output_stream = 0;
    std::uint64_t error_stream = 0;
    unsigned console_width = 0;
    unsigned console_height = 0;
};

/// The stdio of a process that is about to be made: streams taken from the table, and the ends
/// of its pipes.
/// Owns: all of it, until `connect`.
class StdioSetup {
  public:
    /// Throws: Error (failed_precondition) naming an id under which no stream is parked, or a
    /// request that does not fit the terminal flag of the spec; then the other streams are closed.
    StdioSetup(StdioTable& table, const StdioRequest& request, bool terminal);

    /// What the child gets; with a terminal /dev/null, until it opens its own. Valid until
    /// `connect`.
    void describe(ProcessSpec& process) const;

    /// Closes the child's ends and starts the streams. `terminal` is the master that the child has
    /// sent, if it has a terminal.
    void connect(ProcessIo& io, const UniqueFd& terminal);

  private:
    std::shared_ptr<StdioStream> input_;
    std::shared_ptr<StdioStream> output_;
    std::shared_ptr<StdioStream> error_;
    UniqueFd null_;
    // Ends of pipes: the child's and ours.
    UniqueFd child_input_, child_output_, child_error_;
    UniqueFd our_input_, our_output_, our_error_;
};

} // namespace cppvm::guest
