#include "common/wire/preamble.hpp"

#include "common/wire/ports.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>

namespace cppvm::wire {

namespace {
constexpr std::array<std::uint8_t, 4> magic = {'C', 'P', 'V', 'M'};
}

std::array<std::uint8_t, preamble_size> encode(const Preamble& preamble) noexcept {
    std::array<std::uint8_t, preamble_size> bytes{};
    std::copy(magic.begin(), magic.end(), bytes.begin());
    bytes[4] = protocol_version;
    bytes[5] = static_cast<std::uint8_t>(preamble.kind);
    boost::endian::store_big_u64(bytes.data() + 8, preamble.token);
    return bytes;
}

boost::system::result<Preamble> decode_preamble(std::span<const std::uint8_t, preamble_size> bytes
) noexcept {
    namespace errc = boost::system::errc;
    if (!std::equal(magic.begin(), magic.end(), bytes.begin())) {
        return errc::make_error_code(errc::bad_message);
    }
    if (bytes[4] != protocol_version) {
        return errc::make_error_code(errc::protocol_not_supported);
    }
    Preamble preamble;
    preamble.kind = static_cast<ConnectionKind>(bytes[5]);
    const bool known =
        preamble.kind == ConnectionKind::rpc || preamble.kind == ConnectionKind::stdio;
    if (!known || bytes[6] != 0 || bytes[7] != 0) {
        return errc::make_error_code(errc::bad_message);
    }
    preamble.token = boost::endian::load_big_u64(bytes.data() + 8);
    return preamble;
}

} // namespace cppvm::wire
