#pragma once

#include <string>
#include <string_view>

namespace cppvm::protoc_plugin {

/// The C++ name of a method: "CloseIO" gives "close_io", "ListPIDs2" "list_pids2". A C++ keyword
/// gets an underscore: "Delete" gives "delete_".
std::string method_name(std::string_view proto_name);

/// "a.b.C" gives "::a::b::C"; nested messages need the descriptor and are not for this.
std::string qualified(std::string_view dotted);

/// "a.b" gives "a::b".
std::string cpp_namespace(std::string_view package);

} // namespace cppvm::protoc_plugin
