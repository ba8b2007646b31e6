#pragma once

#include <optional>
#include <string_view>

namespace cppvm::sandbox {

/// What has been done for a task and is to be undone: at its regular end as after a create that
/// failed half way. In the order in which it is undone.
enum class UndoStep : unsigned {
    stop_stand_ins,
    close_stdio,
    withdraw_sockets,
    detach_storage,
    delete_in_guest, ///< after it: the guest asks then whether it is gone, and lets go of it
    detach_devices,  ///< once the guest has unmounted them
    run_poststop_hooks,
};

inline constexpr unsigned undo_step_count = 7;

/// For logs.
std::string_view to_text(UndoStep step) noexcept;

/// The steps that are due. Plain data; does no I/O. A step is added before what it undoes is done,
/// so whoever takes it must tolerate that it was not.
class UndoSteps {
  public:
    void add(UndoStep step) noexcept { due_ |= 1U << static_cast<unsigned>(step); }

    /// The next one, which is due no longer; nothing if none is.
    std::optional<UndoStep> take() noexcept;

  private:
    unsigned due_ = 0; ///< a bit for each step
};

} // namespace cppvm::sandbox
