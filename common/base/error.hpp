#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <string_view>
#include <system_error>

namespace cppvm {

/// Canonical status codes with their wire numbers
/// (google.rpc.Code, https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
enum class Code : int {
    ok = 0,
    cancelled = 1,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    already_exists = 6,
    permission_denied = 7,
    resource_exhausted = 8,
    failed_precondition = 9,
    aborted = 10,
    out_of_range = 11,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    data_loss = 15,
    unauthenticated = 16,
};

/// The code of a failure that came as a number; `unknown` for ok, and for one that is none.
Code failure_code(int number) noexcept;

/// "not found" and the like: the text by which containerd names the class.
std::string_view code_text(Code code) noexcept;

/// The one exception type of the project. The message is one line: operation, object, cause and,
/// where known, the remedy, as in "start sandbox ab12: define domain: no such file".
///
/// `not_found` and `already_exists` are set only by code that looked the object up, never derived
/// from errno: containerd takes NotFound from Delete as "already gone" and drops its record.
class Error : public std::exception {
  public:
    Error(
        Code code,
        std::string message,
        std::error_code cause = {},
        std::source_location where = std::source_location::current()
    );

    const char* what() const noexcept override { return message_.c_str(); }
    Code code() const noexcept { return code_; }
    const std::string& message() const noexcept { return message_; }
    /// The errno (generic/system category) or library code that caused it, if there was one.
    const std::error_code& cause() const noexcept { return cause_; }
    const std::source_location& where() const noexcept { return where_; }

  private:
    Code code_;
    std::string message_;
    std::error_code cause_;
    std::source_location where_;
};

/// The code that an errno alone justifies: EPERM and EACCES give permission_denied; ENOSPC, EDQUOT,
/// EMFILE, ENFILE, ENOMEM and EAGAIN resource_exhausted; ETIMEDOUT deadline_exceeded; ECONNREFUSED,
/// ECONNRESET, EPIPE, ENOTCONN unavailable; the rest unknown.
Code code_of_errno(int error) noexcept;

/// errno, as a function so that it can be a default argument.
int last_errno() noexcept;

/// "<operation> <object>: <strerror>" with the code of `code_of_errno`. The one way in which a
/// failed system call is reported. Reads errno by default, so call it before anything else.
[[noreturn]] void throw_errno(
    std::string_view operation,
    std::string_view object,
    int error = last_errno(),
    std::source_location where = std::source_location::current()
);

/// What a caller outside is told: code and message.
struct Status {
    Code code = Code::ok;
    std::string message;

    friend bool operator==(const Status&, const Status&) = default;
};

/// The one mapping from exceptions to statuses, used at RPC edges and in logs. `Error` passes as it
/// is; std::bad_alloc gives resource_exhausted; system errors `code_of_errno`, with an aborted
/// operation as cancelled; anything else unknown.
Status to_status(const std::exception_ptr& exception);

/// An Error whose message is "<context>: <message>". Keeps code and cause.
std::exception_ptr with_context(const std::exception_ptr& exception, std::string_view context);

/// Inside a catch block: throws the current exception again `with_context`. For the one
/// layer that knows the object's id.
[[noreturn]] void rethrow_with_context(std::string_view context);

} // namespace cppvm
