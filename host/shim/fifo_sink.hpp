#pragma once

#include "common/log/logger.hpp"

#include <filesystem>
#include <memory>

namespace cppvm::shim {

/// Lines to the `log` fifo of a bundle, which containerd copies to its own log.
///
/// Never blocks: what does not fit is dropped, and a line that says how many were follows when
/// there is room again. Without a reader (containerd restarts) lines are dropped, too, but the fifo
/// is kept open: containerd opens the same one again. If it is not there yet, each line tries
/// again. SIGPIPE must be ignored in the process. Thread: any.
std::shared_ptr<LogSink> make_fifo_sink(std::filesystem::path path);

} // namespace cppvm::shim
