// Stdio addresses: an error or a target with absolute paths and no zero byte in them.

#include "host/io/stdio_target.hpp"

#include "common/base/assert.hpp"
#include "common/base/error.hpp"

#include <cstdint>

namespace {

using namespace cppvm::io;

void check_path(const std::string& path) {
    CPPVM_ASSERT(path.starts_with('/'));
    CPPVM_ASSERT(path.find('\0') == std::string::npos);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const auto target =
            parse_stdio_target("stdout", {reinterpret_cast<const char*>(data), size});
        if (const auto* const path = std::get_if<PathTarget>(&target)) {
            check_path(path->path);
        } else if (const auto* const file = std::get_if<LogFileTarget>(&target)) {
            check_path(file->path);
        } else if (const auto* const logger = std::get_if<LoggerTarget>(&target)) {
            check_path(logger->arguments.at(0));
            CPPVM_ASSERT(logger->arguments.size() % 2 == 1);
        } else if (const auto* const stream = std::get_if<StreamTarget>(&target)) {
            check_path(stream->socket);
            CPPVM_ASSERT(!stream->id.empty() && stream->text().find('\n') == std::string::npos);
        }
    } catch (const cppvm::Error& error) {
        CPPVM_ASSERT(error.message().find('\n') == std::string::npos);
    }
    return 0;
}
