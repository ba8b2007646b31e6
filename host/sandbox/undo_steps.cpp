#include "host/sandbox/undo_steps.hpp"

#include <bit>

namespace cppvm::sandbox {

std::string_view to_text(UndoStep step) noexcept {
    switch (step) {
    case UndoStep::stop_stand_ins:
        return "stop stand-ins";
    case UndoStep::close_stdio:
        return "close stdio";
    case UndoStep::withdraw_sockets:
        return "withdraw sockets";
    case UndoStep::detach_storage:
        return "detach storage";
    case UndoStep::delete_in_guest:
        return "delete in guest";
    case UndoStep::detach_devices:
        return "detach devices";
    case UndoStep::run_poststop_hooks:
        return "run poststop hooks";
    }
    return "";
}

std::optional<UndoStep> UndoSteps::take() noexcept {
    if (due_ == 0) {
        return std::nullopt;
    }
    const auto lowest = static_cast<unsigned>(std::countr_zero(due_));
    due_ &= due_ - 1;
    return static_cast<UndoStep>(lowest);
}

} // namespace cppvm::sandbox
