#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cppvm {

enum class LogLevel { trace, debug, info, warn, error, off };

/// "debug", "info" and so on, as configuration and command lines have them.
std::optional<LogLevel> parse_log_level(std::string_view text) noexcept;

/// One key=value of a log line.
struct LogField {
    std::string_view key;
    std::string value;

    LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
    LogField(std::string_view name, const char* text) : key(name), value(text) {}
    LogField(std::string_view name, const std::string& text) : key(name), value(text) {}
    LogField(std::string_view name, bool flag) : key(name), value(flag ? "true" : "false") {}
    template <std::integral T>
    LogField(std::string_view name, T number) : key(name), value(std::to_string(number)) {}
};

/// Where finished lines go. `write` gets one line with its newline, must not block and not throw.
class LogSink {
  public:
    LogSink() = default;
    LogSink(const LogSink&) = delete;
    LogSink& operator=(const LogSink&) = delete;
    virtual ~LogSink() = default;
    virtual void write(std::string_view line) noexcept = 0;
};

/// A handle that writes logfmt lines, as containerd does:
/// time="…" level=info msg="VM started" sandbox=ab12 boot_ms=212
/// Values are quoted where needed and escaped, and cut at 1 KiB, so untrusted text cannot forge a
/// line. Copies share the sink; `with` adds fields for good.
/// Thread: any.
class Logger {
  public:
    using Fields = std::initializer_list<LogField>;

    /// Writes nothing.
    Logger();
    /// Owns: a share of `sink`.
    Logger(std::shared_ptr<LogSink> sink, LogLevel level);

    Logger with(Fields fields) const;

    void trace(std::string_view message, Fields fields = {}) const;
    void debug(std::string_view message, Fields fields = {}) const;
    void info(std::string_view message, Fields fields = {}) const;
    void warn(std::string_view message, Fields fields = {}) const;
    void error(std::string_view message, Fields fields = {}) const;

    bool enabled(LogLevel level) const noexcept;

  private:
    struct Core;

    void log(LogLevel level, std::string_view message, Fields fields) const;

    std::shared_ptr<Core> core_;
    std::string context_; // " key=value …" of `with`
};

/// Lines to a file descriptor, which stays the caller's: dropped, not waited for, when a
/// non-blocking descriptor is full or its reader is gone.
std::shared_ptr<LogSink> make_fd_sink(int fd);

} // namespace cppvm
