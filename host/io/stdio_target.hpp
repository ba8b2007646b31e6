#pragma once

#include "host/io/streaming/address.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cppvm::io {

/// /dev/null in the guest: no stream at all.
struct NullTarget {
    friend bool operator==(const NullTarget&, const NullTarget&) = default;
};

/// A plain path: a fifo, a device or an existing file (output is appended).
struct PathTarget {
    std::string path;

    friend bool operator==(const PathTarget&, const PathTarget&) = default;
};

/// `file:///path`: a file that is created with its directories, and appended to.
struct LogFileTarget {
    std::string path;

    friend bool operator==(const LogFileTarget&, const LogFileTarget&) = default;
};

/// `binary:///path?k=v` and `binary-v2://`: a program that is given the output.
struct LoggerTarget {
    std::vector<std::string> arguments; ///< the program, then each key and its value
    bool must_report_ready = false;     ///< v2: end of file before the ready byte is a failure

    friend bool operator==(const LoggerTarget&, const LoggerTarget&) = default;
};

/// `ttrpc+unix:///socket?streaming_id=id`: a stream at a streaming server.
using StreamTarget = streaming::Address;

using StdioTarget = std::variant<NullTarget, PathTarget, LogFileTarget, LoggerTarget, StreamTarget>;

/// Longest stdio address that is accepted, in bytes.
inline constexpr std::size_t max_stdio_uri = std::size_t{16} * 1024;

/// What containerd means by the stdio address of `stream` ("stdout"). Percent-escapes of URIs are
/// decoded (and '+' in a query is a space), plain paths are taken as they are. Of a key given
/// twice, the first value counts, as in containerd's own shim.
/// Throws: Error naming stream and address: invalid_argument for a scheme that no containerd uses
/// or a path that is not absolute, unimplemented for streaming addresses other than `ttrpc+unix`.
StdioTarget parse_stdio_target(std::string_view stream, std::string_view uri);

} // namespace cppvm::io
