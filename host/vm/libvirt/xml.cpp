#include "host/vm/libvirt/xml.hpp"

#include <sstream>

namespace cppvm::vm::xml {

std::string to_text(const pugi::xml_document& document) {
    std::ostringstream out;
    document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
    return out.str();
}

} // namespace cppvm::vm::xml
