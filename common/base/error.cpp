#include "common/base/error.hpp"

#include <boost/system/system_error.hpp>

#include <cerrno>
#include <new>
#include <utility>

namespace cppvm {

Code failure_code(int number) noexcept {
    const bool known = number > 0 && number <= static_cast<int>(Code::unauthenticated);
    return known ? static_cast<Code>(number) : Code::unknown;
}

std::string_view code_text(Code code) noexcept {
    switch (code) {
    case Code::ok:
        return "ok";
    case Code::cancelled:
        return "context canceled";
    case Code::unknown:
        return "unknown";
    case Code::invalid_argument:
        return "invalid argument";
    case Code::deadline_exceeded:
        return "context deadline exceeded";
    case Code::not_found:
        return "not found";
    case Code::already_exists:
        return "already exists";
    case Code::permission_denied:
        return "permission denied";
    case Code::resource_exhausted:
        return "resource exhausted";
    case Code::failed_precondition:
        return "failed precondition";
    case Code::aborted:
        return "aborted";
    case Code::out_of_range:
        return "out of range";
    case Code::unimplemented:
        return "not implemented";
    case Code::internal:
        return "internal";
    case Code::unavailable:
        return "unavailable";
    case Code::data_loss:
        return "data loss";
    case Code::unauthenticated:
        return "unauthenticated";
    }
    return "unknown";
}

Error::Error(Code code, std::string message, std::error_code cause, std::source_location where)
    : code_(code), message_(std::move(message)), cause_(cause), where_(where) {}

int last_errno() noexcept {
    return errno;
}

Code code_of_errno(int error) noexcept {
    switch (error) {
    case EPERM:
    case EACCES:
        return Code::permission_denied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return Code::resource_exhausted;
    case ETIMEDOUT:
        return Code::deadline_exceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
        return Code::unavailable;
    case ECANCELED:
        return Code::cancelled;
    default:
        return Code::unknown;
    }
}

void throw_errno(
    std::string_view operation, std::string_view object, int error, std::source_location where
) {
    const std::error_code cause(error, std::system_category());
    std::string message(operation);
    if (!object.empty()) {
        message.append(" ").append(object);
    }
    message.append(": ").append(cause.message());
    throw Error(code_of_errno(error), std::move(message), cause, where);
}

namespace {

Error to_error(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const Error& error) {
        return error;
    } catch (const std::bad_alloc&) {
        return {Code::resource_exhausted, "out of memory"};
    } catch (const boost::system::system_error& error) { // Asio's; not a std::system_error
        return {
            code_of_errno(error.code().default_error_condition().value()),
            error.what(),
            error.code()
        };
    } catch (const std::system_error& error) {
        return {
            code_of_errno(error.code().default_error_condition().value()),
            error.what(),
            error.code()
        };
    } catch (const std::exception& error) {
        return {Code::unknown, error.what()};
    } catch (...) {
        return {Code::unknown, "exception of unknown type"};
    }
}

} // namespace

Status to_status(const std::exception_ptr& exception) {
    const Error error = to_error(exception);
    return {error.code(), error.message()};
}

std::exception_ptr with_context(const std::exception_ptr& exception, std::string_view context) {
    const Error error = to_error(exception);
    return std::make_exception_ptr(Error(
        error.code(),
        std::string(context).append(": ").append(error.message()),
        error.cause(),
        error.where()
    ));
}

void rethrow_with_context(std::string_view context) {
    std::rethrow_exception(with_context(std::current_exception(), context));
}

} // namespace cppvm
