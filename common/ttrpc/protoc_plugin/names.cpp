#include "common/ttrpc/protoc_plugin/names.hpp"

#include <algorithm>
#include <array>

namespace cppvm::protoc_plugin {

namespace {

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
char to_lower(char c) {
    return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Those that a method could be called; [lex.key] has the rest.
constexpr std::array keywords = {
    "and",
    "auto",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "delete",
    "do",
    "double",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "mutable",
    "namespace",
    "new",
    "not",
    "operator",
    "or",
    "private",
    "protected",
    "public",
    "register",
    "requires",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "template",
    "this",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "while",
    "xor",
    // Members of the generated classes.
    "name",
    "dispatch",
    "stream",
    "is_streaming",
};

} // namespace

std::string method_name(std::string_view proto_name) {
    std::string name;
    for (std::size_t index = 0; index < proto_name.size(); ++index) {
        const char c = proto_name[index];
        if (is_upper(c) && index > 0 && proto_name[index - 1] != '_') {
            const char before = proto_name[index - 1];
            // The last capital of a row starts the next word: "IOClose" is io_close. But "IDs" and
            // the like are one word.
            const bool plural = index + 2 == proto_name.size() && proto_name[index + 1] == 's';
            const bool starts_word =
                index + 1 < proto_name.size() && is_lower(proto_name[index + 1]) && !plural;
            if (is_lower(before) || is_digit(before) || (is_upper(before) && starts_word)) {
                name.push_back('_');
            }
        }
        name.push_back(to_lower(c));
    }
    if (std::find(keywords.begin(), keywords.end(), name) != keywords.end()) {
        name.push_back('_');
    }
    return name;
}

std::string cpp_namespace(std::string_view package) {
    std::string name;
    for (const char c : package) {
        if (c == '.') {
            name.append("::");
        } else {
            name.push_back(c);
        }
    }
    return name;
}

std::string qualified(std::string_view dotted) {
    return "::" + cpp_namespace(dotted);
}

} // namespace cppvm::protoc_plugin
