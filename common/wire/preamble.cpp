#include "common/wire/preamble.hpp"

#include "common/wire/ports.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>

namespace cppvm::wire {

namespace {

constexpr std::array<std::uint8_t, 4> magic = {'C', 'P', 'V', 'M'};
constexpr std::size_t version_at = 4;
constexpr std::size_t kind_at = 5;
constexpr std::size_t zero_at = 6;
constexpr std::size_t stream_at = 8;
constexpr std::size_t received_at = 16;

bool is_known(ConnectionKind kind) {
    switch (kind) {
    case ConnectionKind::rpc:
    case ConnectionKind::stdio:
    case ConnectionKind::resume:
    case ConnectionKind::tcp:
    case ConnectionKind::names:
    case ConnectionKind::socket:
        return true;
    }
    return false;
}

} // namespace

std::array<std::uint8_t, preamble_size> encode(const Preamble& preamble) noexcept {
    std::array<std::uint8_t, preamble_size> bytes{};
    std::copy(magic.begin(), magic.end(), bytes.begin());
    bytes[version_at] = protocol_version;
    bytes[kind_at] = static_cast<std::uint8_t>(preamble.kind);
    boost::endian::store_big_u64(bytes.data() + stream_at, preamble.stream);
    boost::endian::store_big_u64(bytes.data() + received_at, preamble.received);
    return bytes;
}

boost::system::result<Preamble> decode_preamble(std::span<const std::uint8_t, preamble_size> bytes
) noexcept {
    namespace errc = boost::system::errc;
    if (!std::equal(magic.begin(), magic.end(), bytes.begin())) {
        return errc::make_error_code(errc::bad_message);
    }
    if (bytes[version_at] != protocol_version) {
        return errc::make_error_code(errc::protocol_not_supported);
    }
    Preamble preamble;
    preamble.kind = static_cast<ConnectionKind>(bytes[kind_at]);
    if (!is_known(preamble.kind) || bytes[zero_at] != 0 || bytes[zero_at + 1] != 0) {
        return errc::make_error_code(errc::bad_message);
    }
    preamble.stream = boost::endian::load_big_u64(bytes.data() + stream_at);
    preamble.received = boost::endian::load_big_u64(bytes.data() + received_at);
    return preamble;
}

std::array<std::uint8_t, preamble_answer_size> encode(const PreambleAnswer& answer) noexcept {
    std::array<std::uint8_t, preamble_answer_size> bytes{};
    bytes[0] = answer.accepted ? accepted : refused;
    boost::endian::store_big_u64(bytes.data() + 1, answer.received);
    return bytes;
}

PreambleAnswer decode_preamble_answer(std::span<const std::uint8_t, preamble_answer_size> bytes
) noexcept {
    return {bytes[0] == accepted, boost::endian::load_big_u64(bytes.data() + 1)};
}

} // namespace cppvm::wire
