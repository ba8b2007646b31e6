// The frame decoder: the same frames must come out however the bytes are cut into pieces.

#include "common/base/assert.hpp"
#include "common/ttrpc/frame.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace cppvm::ttrpc;

std::vector<Frame> decode(std::string_view bytes, std::size_t piece) {
    FrameDecoder decoder;
    std::vector<Frame> frames;
    while (!bytes.empty()) {
        std::string_view part = bytes.substr(0, piece);
        bytes.remove_prefix(part.size());
        while (auto frame = decoder.next(part)) {
            frames.push_back(std::move(*frame));
        }
        CPPVM_ASSERT(part.empty());
    }
    return frames;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = decode(bytes, std::max<std::size_t>(size, 1));
    const auto single = decode(bytes, 1);
    CPPVM_ASSERT(whole.size() == single.size());
    std::size_t used = 0;
    for (std::size_t index = 0; index < whole.size(); ++index) {
        CPPVM_ASSERT(whole[index].header == single[index].header);
        CPPVM_ASSERT(whole[index].payload == single[index].payload);
        CPPVM_ASSERT(
            whole[index].oversized() || whole[index].payload.size() == whole[index].header.length
        );
        used += frame_header_size + whole[index].header.length;
    }
    CPPVM_ASSERT(used <= size);
    return 0;
}
