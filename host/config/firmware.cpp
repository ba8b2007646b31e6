#include "host/config/firmware.hpp"

#include <unistd.h>

namespace cppvm::config {

bool uses_qboot(const std::string& firmware, const char* path) {
    return firmware == "qboot" || (firmware == "auto" && ::access(path, R_OK) == 0);
}

} // namespace cppvm::config
