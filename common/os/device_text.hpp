#pragma once

#include <string>
#include <sys/sysmacros.h>
#include <sys/types.h>

namespace cppvm {

/// "<major>:<minor>", as sysfs has it in its names.
inline std::string device_text(dev_t number) {
    return std::to_string(major(number)) + ":" + std::to_string(minor(number));
}

} // namespace cppvm
