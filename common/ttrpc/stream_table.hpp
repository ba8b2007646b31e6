#pragma once

#include "common/base/error.hpp"
#include "common/ttrpc/frame.hpp"

#include <cstdint>
#include <map>
#include <optional>

namespace cppvm::ttrpc {

/// One end of a stream, as the table of its connection sees it.
class Receiver {
  public:
    Receiver() = default;
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;
    virtual ~Receiver() = default;

    /// Takes a frame of the stream. Returns whether more may come; if not, the table forgets the
    /// stream.
    virtual bool on_frame(Frame frame) = 0;
    /// The connection ended, or the stream is given up for another reason. Nothing follows.
    virtual void on_failure(const Error& error) = 0;
};

/// The streams of one connection, for either side. Does no I/O; resumes nobody.
/// Does not own the receivers: each removes itself before it goes.
class StreamTable {
  public:
    /// Client: a new stream, with the next odd id. No value once all ids are used up.
    std::optional<std::uint32_t> open(Receiver& receiver);

    /// Server: whether a client may open a stream with this id: odd, and larger than all that were
    /// accepted before. Remembers it if so.
    bool accept(std::uint32_t id) noexcept;
    /// Server: data frames of an accepted stream go to `receiver` from now on.
    void attach(std::uint32_t id, Receiver& receiver);

    /// Forgets the stream. Frames that still come for it are `abandoned`.
    void remove(std::uint32_t id) noexcept;

    enum class Delivery {
        delivered,
        abandoned, ///< once there was such a stream: a late reply, to be dropped
        unknown,   ///< there never was
    };
    Delivery deliver(Frame frame);

    /// Gives up all streams.
    void fail_all(const Error& error);

    std::size_t size() const noexcept { return receivers_.size(); }

  private:
    std::map<std::uint32_t, Receiver*> receivers_;
    // Ids only rise, so an abandoned stream needs no entry: it is any id up to this one that has
    // none. A peer cannot make the table grow by leaving calls unanswered.
    std::uint32_t last_id_ = 0;
};

} // namespace cppvm::ttrpc
