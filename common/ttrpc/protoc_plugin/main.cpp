#include "common/ttrpc/protoc_plugin/generator.hpp"

#include <google/protobuf/compiler/plugin.h>

int main(int argc, char* argv[]) {
    const cppvm::protoc_plugin::Generator generator;
    return google::protobuf::compiler::PluginMain(argc, argv, &generator);
}
