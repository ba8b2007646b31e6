#pragma once

#include "common/async/event.hpp"

#include <cstdint>
#include <optional>

namespace cppvm::agent {

/// A process in the guest, as the agent's events name it. Its number is used once, so no event can
/// be taken for that of another.
struct GuestProcess {
    GuestProcess(const asio::any_io_executor& executor, std::uint64_t process_number)
        : number(process_number), exited(executor) {}

    std::uint64_t number;
    Event exited;                  ///< `exit_status` is there
    std::uint32_t exit_status = 0; ///< as the guest says: any number
};

} // namespace cppvm::agent
