#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

namespace cppvm::hostile {

/// In which ways the guest lies: words "key=value". A word on the kernel's command line (there with
/// the prefix "hostile.") counts for the whole guest, an argument of a process for that process.
/// Whatever no word is about is done as the real agent would.
///
/// - hello=none|two|version|garbage|huge|drip|silent: the hello; version: of another protocol;
///   silent: a good one, and nobody listens.
/// - rpc=deaf|close: the RPC connection is never read, or is closed after Start.
/// - console=flood.
/// - redial=1: the boot port is dialled again and again.
/// - frames=unknown|known|garbage: frames that nobody asked for, without end, once created.
/// - stdout=drip|flood|long|open: in place of the output; open: its end never comes.
/// - exit=early|twice|never|silent: told before the start; told two times; SIGKILL does nothing;
/// never
///   told.
/// - list=million|many|duplicate|negative|large: what ListProcesses returns; million: of few
/// numbers;
///   many: all different; large: above the limit.
/// - METHOD=hang|garbage|N: never answered, no message, or status code N.
class Behaviour {
  public:
    static Behaviour of_kernel_command_line(std::string_view text);

    /// With `arguments` added.
    Behaviour with(std::span<const std::string> arguments) const;

    bool is(const std::string& key, std::string_view value) const { return get(key) == value; }
    /// Empty where there is no such word.
    std::string get(const std::string& key) const;

  private:
    void add(std::string_view word);

    std::map<std::string, std::string> words_;
};

} // namespace cppvm::hostile
