#include "tests/e2e/probe/probe.hpp"

#include <fstream>
#include <iostream>
#include <string_view>

namespace cppvm::probe {

std::string read_text(const std::string& path, std::size_t limit) {
    std::ifstream file(path, std::ios::binary);
    std::string text(limit, '\0');
    file.read(text.data(), static_cast<std::streamsize>(limit));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

namespace {

Json everything(const std::vector<char*>& argv) {
    std::vector<std::string> paths;
    for (const char* const argument : argv) {
        if (argument != nullptr && *argument == '/') {
            paths.emplace_back(argument);
        }
    }
    return {
        {"identity", identity()},
        {"scheduling", scheduling()},
        {"limits", limits()},
        {"surroundings", surroundings(argv)},
        {"terminal", terminal()},
        {"mounts", mounts()},
        {"devices", devices()},
        {"files", files(paths)},
        {"setuid_program", identity_of("/setuid-probe")},
        {"program_with_capabilities", identity_of("/capable-probe")},
        {"abilities", abilities()}, // last: they change mounts
    };
}

} // namespace

} // namespace cppvm::probe

/// Arguments that are absolute paths are looked at besides the usual ones.
int main(int argc, char** argv) {
    using namespace cppvm::probe;
    const bool identity_alone = argc > 1 && std::string_view(argv[1]) == "--identity";
    const Json report = identity_alone ? identity() : everything({argv, argv + argc + 1});
    std::cout << report.dump(-1, ' ', true, Json::error_handler_t::replace) << std::endl;
    return 0;
}
