#pragma once

#include <google/protobuf/compiler/code_generator.h>

#include <cstdint>
#include <string>

namespace cppvm::protoc_plugin {

/// For each service of a .proto file writes a server base class `<Service>Service` and a client
/// `<Service>Client` on common/ttrpc, in the namespace of the messages: "<file>.ttrpc.hpp" and
/// ".ttrpc.cpp". Unary methods only; a streaming method is an error, since its messages have no
/// type of their own (Client::open_stream and Service::stream serve those).
class Generator : public google::protobuf::compiler::CodeGenerator {
  public:
    bool Generate(
        const google::protobuf::FileDescriptor* file,
        const std::string& parameter,
        google::protobuf::compiler::GeneratorContext* context,
        std::string* error
    ) const override;

    std::uint64_t GetSupportedFeatures() const override { return FEATURE_PROTO3_OPTIONAL; }
};

} // namespace cppvm::protoc_plugin
