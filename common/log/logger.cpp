#include "common/log/logger.hpp"

// In this source alone: compiled once, and nobody else sees spdlog or fmt. Debian has no static
// archive of either.
#define FMT_HEADER_ONLY // NOLINT(readability-identifier-naming): fmt's own name
#include <spdlog/details/log_msg.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <unistd.h>
#include <utility>

namespace cppvm {

namespace {

constexpr std::size_t max_value_bytes = 1024;

constexpr std::array levels = {
    std::pair{LogLevel::trace, spdlog::level::trace},
    std::pair{LogLevel::debug, spdlog::level::debug},
    std::pair{LogLevel::info, spdlog::level::info},
    std::pair{LogLevel::warn, spdlog::level::warn},
    std::pair{LogLevel::error, spdlog::level::err},
    std::pair{LogLevel::off, spdlog::level::off},
};

spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
    return levels.at(static_cast<std::size_t>(level)).second;
}

std::string_view level_name(spdlog::level::level_enum level) noexcept {
    switch (level) {
    case spdlog::level::trace:
        return "trace";
    case spdlog::level::debug:
        return "debug";
    case spdlog::level::info:
        return "info";
    case spdlog::level::warn:
        return "warning"; // the word that containerd's own lines use
    default:
        return "error";
    }
}

bool is_bare(std::string_view value) noexcept {
    return !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    });
}

void append_quoted(std::string& line, std::string_view value) {
    line.push_back('"');
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            line.push_back('\\');
            line.push_back(c);
        } else if (c == '\n') {
            line.append("\\n");
        } else if (byte < ' ' || byte == 0x7f) {
            std::array<char, 5> escape{};
            std::snprintf(escape.data(), escape.size(), "\\x%02x", byte);
            line.append(escape.data());
        } else {
            line.push_back(c);
        }
    }
    line.push_back('"');
}

void append_field(std::string& line, std::string_view key, std::string_view value) {
    const bool cut = value.size() > max_value_bytes;
    const std::string_view shown = value.substr(0, max_value_bytes);
    line.push_back(' ');
    line.append(key).push_back('=');
    if (!cut && is_bare(shown)) {
        line.append(shown);
    } else {
        append_quoted(line, cut ? std::string(shown).append("…") : std::string(shown));
    }
}

// gmtime_r(3) would read the machine's time zone file first, and again whenever that changes.
std::string timestamp(std::chrono::system_clock::time_point moment) {
    const auto now = std::chrono::floor<std::chrono::microseconds>(moment);
    const auto midnight = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss time(now - midnight);
    std::array<char, 40> text{};
    std::snprintf(
        text.data(),
        text.size(),
        "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()),
        static_cast<int>(time.hours().count()),
        static_cast<int>(time.minutes().count()),
        static_cast<int>(time.seconds().count()),
        static_cast<int>(time.subseconds().count())
    );
    return text.data();
}

class FdSink : public LogSink {
  public:
    explicit FdSink(int fd) : fd_(fd) {}

    void write(std::string_view line) noexcept override {
        // One write per line keeps lines of several writers apart (up to PIPE_BUF on a fifo). A
        // line that does not fit is lost on purpose: a log must never hold up its writer.
        [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
    }

  private:
    int fd_;
};

/// The form of a line is fixed: logfmt, as containerd writes it.
class LogfmtSink : public spdlog::sinks::sink {
  public:
    explicit LogfmtSink(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}

    void log(const spdlog::details::log_msg& message) override {
        std::string line = "time=\"" + timestamp(message.time) + "\" level=";
        line.append(level_name(message.level));
        line.append(message.payload.data(), message.payload.size()).push_back('\n');
        sink_->write(line);
    }
    void flush() override {}
    void set_pattern(const std::string& /*pattern*/) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

  private:
    std::shared_ptr<LogSink> sink_;
};

} // namespace

struct Logger::Core {
    Core(std::shared_ptr<LogSink> sink, LogLevel level)
        : logger("", std::make_shared<LogfmtSink>(std::move(sink))) {
        logger.set_level(to_spdlog(level));
        // Its own would print to stderr, which is part of the answer of `start`.
        logger.set_error_handler([](const std::string& /*failure*/) {});
    }

    spdlog::logger logger;
};

std::optional<LogLevel> parse_log_level(std::string_view text) noexcept {
    if (text == "trace") {
        return LogLevel::trace;
    }
    if (text == "debug") {
        return LogLevel::debug;
    }
    if (text == "info") {
        return LogLevel::info;
    }
    if (text == "warn" || text == "warning") {
        return LogLevel::warn;
    }
    if (text == "error") {
        return LogLevel::error;
    }
    if (text == "off") {
        return LogLevel::off;
    }
    return std::nullopt;
}

Logger::Logger() = default;

Logger::Logger(std::shared_ptr<LogSink> sink, LogLevel level)
    : core_(std::make_shared<Core>(std::move(sink), level)) {}

Logger Logger::with(Fields fields) const {
    Logger logger = *this;
    for (const LogField& field : fields) {
        append_field(logger.context_, field.key, field.value);
    }
    return logger;
}

bool Logger::enabled(LogLevel level) const noexcept {
    return core_ && core_->logger.should_log(to_spdlog(level));
}

void Logger::trace(std::string_view message, Fields fields) const {
    log(LogLevel::trace, message, fields);
}

void Logger::debug(std::string_view message, Fields fields) const {
    log(LogLevel::debug, message, fields);
}

void Logger::info(std::string_view message, Fields fields) const {
    log(LogLevel::info, message, fields);
}

void Logger::warn(std::string_view message, Fields fields) const {
    log(LogLevel::warn, message, fields);
}

void Logger::error(std::string_view message, Fields fields) const {
    log(LogLevel::error, message, fields);
}

void Logger::log(LogLevel level, std::string_view message, Fields fields) const {
    if (!enabled(level)) {
        return;
    }
    std::string text = " msg=";
    append_quoted(text, message.substr(0, max_value_bytes));
    text.append(context_);
    for (const LogField& field : fields) {
        append_field(text, field.key, field.value);
    }
    // As it is: no text, least of all a guest's, is ever a format string.
    core_->logger.log(
        spdlog::source_loc(), to_spdlog(level), spdlog::string_view_t(text.data(), text.size())
    );
}

std::shared_ptr<LogSink> make_fd_sink(int fd) {
    return std::make_shared<FdSink>(fd);
}

} // namespace cppvm
