#pragma once

#include "common/oci/spec.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace cppvm::oci {

/// Largest text that is parsed. It must fit into one RPC message (4 MiB) with room for the rest.
inline constexpr std::size_t max_spec_bytes = 4 * 1024 * 1024 - 64 * 1024;
/// Deepest nesting of objects and arrays. The spec's own schema needs 7.
inline constexpr int max_spec_depth = 32;

template <class T>
struct Parsed {
    T value;
    /// JSON paths of members that say something (not null, false, "" or an empty list) and are not
    /// part of T: "linux.seccomp", "hooks".
    std::vector<std::string> unsupported;
};

/// Parses config.json. Types are strict, sizes bounded, strings free of NUL; paths that must be
/// absolute are. The version must be 1.x; root and process must be there.
/// Throws: Error (invalid_argument) that starts with the JSON path: "process.args: must not be
/// empty".
Parsed<Spec> parse_spec(std::string_view json);

/// Parses a process object alone (of an exec). Paths in errors start with "process".
/// Throws: as parse_spec.
Parsed<Process> parse_process(std::string_view json);

/// Parses linux.resources alone (of an update). Paths in errors start with that.
/// Throws: as parse_spec.
Parsed<Resources> parse_resources(std::string_view json);

/// The way back, without the members that say nothing: parsed again it is the same.
std::string write_spec(const Spec& spec);
std::string write_process(const Process& process);
std::string write_resources(const Resources& resources);

} // namespace cppvm::oci
