#include "host/sandbox/undo_steps.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace cppvm::sandbox {
namespace {

std::vector<UndoStep> take_all(UndoSteps& steps) {
    std::vector<UndoStep> taken;
    while (const auto step = steps.take()) {
        taken.push_back(*step);
    }
    return taken;
}

TEST(UndoStepsTest, GivesThemInTheirOrder) {
    UndoSteps steps;
    EXPECT_TRUE(take_all(steps).empty());
    steps.add(UndoStep::run_poststop_hooks);
    steps.add(UndoStep::detach_devices);
    steps.add(UndoStep::delete_in_guest);
    steps.add(UndoStep::detach_storage);
    steps.add(UndoStep::withdraw_sockets);
    steps.add(UndoStep::stop_stand_ins);
    steps.add(UndoStep::close_stdio);
    EXPECT_EQ(
        take_all(steps),
        (std::vector{
            UndoStep::stop_stand_ins,
            UndoStep::close_stdio,
            UndoStep::withdraw_sockets,
            UndoStep::detach_storage,
            UndoStep::delete_in_guest,
            UndoStep::detach_devices,
            UndoStep::run_poststop_hooks
        })
    );
}

TEST(UndoStepsTest, GivesEachOnce) {
    UndoSteps steps;
    steps.add(UndoStep::close_stdio);
    steps.add(UndoStep::close_stdio);
    EXPECT_EQ(take_all(steps).size(), 1U);
    EXPECT_TRUE(take_all(steps).empty());
    steps.add(UndoStep::close_stdio);
    EXPECT_EQ(take_all(steps).size(), 1U);
}

TEST(UndoStepsTest, HasAWordForEach) {
    for (unsigned step = 0; step < undo_step_count; ++step) {
        EXPECT_FALSE(to_text(static_cast<UndoStep>(step)).empty()) << step;
    }
    EXPECT_TRUE(to_text(static_cast<UndoStep>(undo_step_count)).empty());
}

} // namespace
} // namespace cppvm::sandbox
