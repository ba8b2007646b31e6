#pragma once

#include "host/sandbox/sandbox.hpp"
#include "proto/cppvm/control.ttrpc.hpp"

namespace cppvm::api {

/// What the sandbox and the processes that work for it are like, for `cppvm explain` and others.
/// Changes nothing. The daemon's process is the one that this runs in.
class ControlService : public control::v1::ControlService {
  public:
    /// Borrows the sandbox, which must outlive it.
    explicit ControlService(const sandbox::Sandbox& sandbox) : sandbox_(sandbox) {}

    Awaitable<control::v1::ExplainResponse>
    explain(ttrpc::CallContext& context, const control::v1::ExplainRequest& request) override;

  private:
    const sandbox::Sandbox& sandbox_;
};

} // namespace cppvm::api
