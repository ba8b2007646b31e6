#pragma once

#include <utility>

namespace cppvm {

/// Runs a function at the end of the scope, unless released. The function must not throw.
template <class F>
class [[nodiscard]] ScopeExit {
  public:
    explicit ScopeExit(F function) : function_(std::move(function)) {}
    ScopeExit(const ScopeExit&) = delete;
    ScopeExit& operator=(const ScopeExit&) = delete;
    ~ScopeExit() {
        if (armed_) {
            function_();
        }
    }

    void release() noexcept { armed_ = false; }

  private:
    F function_;
    bool armed_ = true;
};

} // namespace cppvm
