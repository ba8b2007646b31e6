#include "host/vm/firmware.hpp"

#include <unistd.h>

namespace cppvm::vm {

bool uses_qboot(const std::string& firmware, const char* path) {
    return firmware == "qboot" || (firmware == "auto" && ::access(path, R_OK) == 0);
}

} // namespace cppvm::vm
