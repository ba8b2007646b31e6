// An output stream of the guest: whatever it carries, the pump ends, and writes no more than came.

#include "common/base/assert.hpp"
#include "host/io/output_pump.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstdint>

namespace {

using namespace cppvm;

class CountingSink : public io::OutputSink {
  public:
    explicit CountingSink(std::size_t& total) : total_(total) {}

    Awaitable<> write(std::span<const std::byte> data) override {
        CPPVM_ASSERT(!data.empty());
        total_ += data.size();
        co_return;
    }
    Awaitable<> finish() override { co_return; }

  private:
    std::size_t& total_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    size = std::min<std::size_t>(size, 64 * 1024); // what a socket buffer surely takes
    asio::io_context loop;
    asio::local::stream_protocol::socket host(loop);
    asio::local::stream_protocol::socket guest(loop);
    asio::local::connect_pair(host, guest);
    asio::write(guest, asio::buffer(data, size));
    guest.close();

    std::size_t total = 0;
    const auto no_other = [](std::uint64_t) -> Awaitable<std::optional<stream::Connection>> {
        co_return std::nullopt;
    };
    io::OutputPump pump(
        {StreamSocket(std::move(host)), no_other}, std::make_unique<CountingSink>(total), Logger()
    );
    bool ended = false;
    asio::co_spawn(loop, pump.copy(), [&ended](const std::exception_ptr& failure) {
        CPPVM_ASSERT(!failure);
        ended = true;
    });
    loop.run();
    CPPVM_ASSERT(ended);
    CPPVM_ASSERT(total <= size);
    return 0;
}
