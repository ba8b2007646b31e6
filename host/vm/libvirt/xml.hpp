#pragma once

#include <pugixml.hpp>

#include <string>

/// Short words for making a document. Private to host/vm/libvirt.
namespace cppvm::vm::xml {

inline pugi::xml_node add(pugi::xml_node parent, const char* name) {
    return parent.append_child(name);
}

inline void add_text(pugi::xml_node parent, const char* name, const std::string& text) {
    add(parent, name).text().set(text.c_str());
}

inline pugi::xml_node set(pugi::xml_node node, const char* name, const char* value) {
    node.append_attribute(name).set_value(value);
    return node;
}

inline pugi::xml_node set(pugi::xml_node node, const char* name, const std::string& value) {
    return set(node, name, value.c_str());
}

/// Without an XML declaration, in one line.
std::string to_text(const pugi::xml_document& document);

} // namespace cppvm::vm::xml
