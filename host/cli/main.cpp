// cppvm: the command for people. See commands.cpp for what it can do.

#include "host/cli/commands.hpp"

#include <csignal>
#include <iostream>

int main(int argc, char** argv) {
    ::signal(SIGPIPE, SIG_IGN); // a closed pipe is an error of the stream, not the end
    const std::vector<std::string> words(argv + 1, argv + argc);
    const int code = cppvm::cli::run(words, std::cout, std::cerr);
    return std::cout.flush() ? code : 1;
}
