#pragma once

#include "common/base/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>

/// Private to common/oci.
namespace cppvm::oci::detail {

/// Where a value is in its document: "linux.namespaces[1].type". Made on the stack on the way down
/// and turned into text only for whoever reads it. Borrows its parent.
class JsonPath {
  public:
    /// Of the document; "" for a whole config.json.
    explicit JsonPath(std::string_view root) : key_(root) {}
    JsonPath(const JsonPath& parent, std::string_view key) : parent_(&parent), key_(key) {}
    JsonPath(const JsonPath& parent, std::size_t index) : parent_(&parent), index_(index) {}

    std::string text() const {
        if (parent_ == nullptr) {
            return std::string(key_);
        }
        const std::string above = parent_->text();
        if (key_.data() == nullptr) {
            return above + "[" + std::to_string(index_) + "]";
        }
        const std::string key(key_.empty() ? "\"\"" : key_);
        return above.empty() ? key : above + "." + key;
    }

  private:
    const JsonPath* parent_ = nullptr;
    std::string_view key_;
    std::size_t index_ = 0;
};

/// Throws: Error (invalid_argument) that starts with the path.
[[noreturn]] inline void fail(const JsonPath& path, const std::string& problem) {
    const std::string text = path.text();
    throw Error(Code::invalid_argument, (text.empty() ? "config" : text) + ": " + problem);
}

} // namespace cppvm::oci::detail
