// What CreateSandbox says of a pod: read, so that files can be written of it, or refused.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/pod/pod_spec_cri.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    ::containerd::runtime::sandbox::v1::CreateSandboxRequest request;
    request.set_sandbox_id("p1");
    request.mutable_options()->set_type_url("runtime.v1.PodSandboxConfig");
    request.mutable_options()->set_value(data, size);
    try {
        const pod::CriPod pod = pod::read_create_sandbox(request, {"host", "nameserver ::1\n"});
        CPPVM_ASSERT(pod.files.hostname.find('\n') == pod.files.hostname.size() - 1);
    } catch (const Error& error) {
        CPPVM_ASSERT(!error.message().empty());
    }
    return 0;
}
