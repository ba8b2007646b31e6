#include "common/ttrpc/protoc_plugin/generator.hpp"

#include "common/ttrpc/protoc_plugin/names.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/printer.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include <map>
#include <memory>
#include <string>

namespace cppvm::protoc_plugin {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using google::protobuf::io::Printer;
using Variables = std::map<std::string, std::string>;

std::string without_extension(const std::string& path) {
    return path.substr(0, path.size() - std::string(".proto").size());
}

/// protoc's C++ names nested messages Outer_Inner.
std::string message_type(const Descriptor& message) {
    std::string name = message.name();
    for (const auto* outer = message.containing_type(); outer != nullptr;
         outer = outer->containing_type()) {
        name.insert(0, outer->name() + "_");
    }
    const std::string& package = message.file()->package();
    return package.empty() ? "::" + name : qualified(package) + "::" + name;
}

Variables variables_of(const ServiceDescriptor& service) {
    return {{"service", service.name()}, {"full_name", service.full_name()}};
}

Variables variables_of(const MethodDescriptor& method) {
    Variables variables = variables_of(*method.service());
    variables["method"] = method.name();
    variables["function"] = method_name(method.name());
    variables["request"] = message_type(*method.input_type());
    variables["response"] = message_type(*method.output_type());
    variables["result"] = method.server_streaming()
                              ? "::cppvm::ttrpc::ReplyReader<" + variables["response"] + ">"
                              : variables["response"];
    variables["call"] = method.server_streaming() ? "call_replies" : "call_unary";
    return variables;
}

bool has_streams(const ServiceDescriptor& service) {
    for (int index = 0; index < service.method_count(); ++index) {
        if (service.method(index)->server_streaming()) {
            return true;
        }
    }
    return false;
}

void print_service_header(Printer& out, const ServiceDescriptor& service) {
    out.Print(
        variables_of(service),
        "/// Server side of $full_name$. A method that is not overridden is unimplemented.\n"
        "class $service$Service : public ::cppvm::ttrpc::Service {\n"
        "  public:\n"
        "    static constexpr std::string_view service_name = \"$full_name$\";\n"
        "\n"
        "    std::string_view name() const override;\n"
        "    ::cppvm::Awaitable<std::string> dispatch(\n"
        "        ::cppvm::ttrpc::CallContext& context,\n"
        "        std::string_view method,\n"
        "        std::string_view payload\n"
        "    ) override;\n"
    );
    if (has_streams(service)) {
        out.Print("    ::cppvm::Awaitable<> stream(\n"
                  "        ::cppvm::ttrpc::CallContext& context,\n"
                  "        std::string_view method,\n"
                  "        ::cppvm::ttrpc::Stream& stream\n"
                  "    ) override;\n"
                  "    bool is_streaming(std::string_view method) const override;\n");
    }
    for (int index = 0; index < service.method_count(); ++index) {
        const MethodDescriptor& method = *service.method(index);
        out.Print(
            variables_of(method),
            method.server_streaming()
                ? "\n"
                  "    virtual ::cppvm::Awaitable<> $function$(\n"
                  "        ::cppvm::ttrpc::CallContext& context,\n"
                  "        const $request$& request,\n"
                  "        ::cppvm::ttrpc::ReplyWriter<$response$>& replies\n"
                  "    );\n"
                : "\n"
                  "    virtual ::cppvm::Awaitable<$response$> $function$(\n"
                  "        ::cppvm::ttrpc::CallContext& context, const $request$& request\n"
                  "    );\n"
        );
    }
    out.Print("};\n\n");
}

void print_client_header(Printer& out, const ServiceDescriptor& service) {
    out.Print(
        variables_of(service),
        "/// Client side of $full_name$. Does not own the client, which must outlive it and its\n"
        "/// calls. Requests are serialised before the call returns its coroutine.\n"
        "class $service$Client {\n"
        "  public:\n"
        "    explicit $service$Client(\n"
        "        ::cppvm::ttrpc::Client& client,\n"
        "        std::string service = std::string($service$Service::service_name)\n"
        "    );\n"
    );
    for (int index = 0; index < service.method_count(); ++index) {
        out.Print(
            variables_of(*service.method(index)),
            "\n"
            "    ::cppvm::Awaitable<$result$> $function$(\n"
            "        const $request$& request, ::cppvm::ttrpc::CallOptions options = {}\n"
            "    );\n"
        );
    }
    out.Print("\n"
              "  private:\n"
              "    ::cppvm::ttrpc::Client& client_;\n"
              "    std::string service_;\n"
              "};\n\n");
}

/// One `statement` for each method that streams, or for each that does not.
void print_cases(
    Printer& out, const ServiceDescriptor& service, bool streaming, const std::string& statement
) {
    const std::string text = "    if (method == \"$method$\") {\n" + statement + "    }\n";
    for (int index = 0; index < service.method_count(); ++index) {
        if (service.method(index)->server_streaming() == streaming) {
            out.Print(variables_of(*service.method(index)), text.c_str());
        }
    }
}

void print_streams(Printer& out, const ServiceDescriptor& service) {
    out.Print(
        variables_of(service),
        "::cppvm::Awaitable<> $service$Service::stream(\n"
        "    ::cppvm::ttrpc::CallContext& context,\n"
        "    std::string_view method,\n"
        "    ::cppvm::ttrpc::Stream& stream\n"
        ") {\n"
    );
    print_cases(
        out,
        service,
        true,
        "        return ::cppvm::ttrpc::stub::dispatch_replies(\n"
        "            *this, &$service$Service::$function$, context, stream\n"
        "        );\n"
    );
    out.Print(
        variables_of(service),
        "    ::cppvm::ttrpc::throw_unknown_method(method);\n"
        "}\n\n"
        "bool $service$Service::is_streaming(std::string_view method) const {\n"
    );
    print_cases(out, service, true, "        return true;\n");
    out.Print("    return false;\n"
              "}\n\n");
}

void print_service_source(Printer& out, const ServiceDescriptor& service) {
    out.Print(
        variables_of(service),
        "std::string_view $service$Service::name() const { return service_name; }\n"
        "\n"
        "::cppvm::Awaitable<std::string> $service$Service::dispatch(\n"
        "    ::cppvm::ttrpc::CallContext& context,\n"
        "    std::string_view method,\n"
        "    std::string_view payload\n"
        ") {\n"
    );
    print_cases(
        out,
        service,
        false,
        "        return ::cppvm::ttrpc::stub::dispatch_unary(\n"
        "            *this, &$service$Service::$function$, context, payload\n"
        "        );\n"
    );
    out.Print("    static_cast<void>(context);\n"
              "    static_cast<void>(payload);\n"
              "    ::cppvm::ttrpc::throw_unknown_method(method);\n"
              "}\n\n");
    if (has_streams(service)) {
        print_streams(out, service);
    }
    for (int index = 0; index < service.method_count(); ++index) {
        const MethodDescriptor& method = *service.method(index);
        out.Print(
            variables_of(method),
            method.server_streaming()
                ? "::cppvm::Awaitable<> $service$Service::$function$(\n"
                  "    ::cppvm::ttrpc::CallContext&,\n"
                  "    const $request$&,\n"
                  "    ::cppvm::ttrpc::ReplyWriter<$response$>&\n"
                  ") {\n"
                  "    ::cppvm::ttrpc::throw_unknown_method(\"$method$\");\n"
                  "}\n\n"
                : "::cppvm::Awaitable<$response$> $service$Service::$function$(\n"
                  "    ::cppvm::ttrpc::CallContext&, const $request$&\n"
                  ") {\n"
                  "    ::cppvm::ttrpc::throw_unknown_method(\"$method$\");\n"
                  "}\n\n"
        );
    }
}

void print_client_source(Printer& out, const ServiceDescriptor& service) {
    out.Print(
        variables_of(service),
        "$service$Client::$service$Client(::cppvm::ttrpc::Client& client, std::string service)\n"
        "    : client_(client), service_(std::move(service)) {}\n\n"
    );
    for (int index = 0; index < service.method_count(); ++index) {
        out.Print(
            variables_of(*service.method(index)),
            "::cppvm::Awaitable<$result$> $service$Client::$function$(\n"
            "    const $request$& request, ::cppvm::ttrpc::CallOptions options\n"
            ") {\n"
            "    return ::cppvm::ttrpc::stub::$call$<$response$>(\n"
            "        client_, service_, \"$method$\", request.SerializeAsString(),\n"
            "        std::move(options)\n"
            "    );\n"
            "}\n\n"
        );
    }
}

/// The name of the first method on which clients stream, or empty.
std::string client_streaming_method(const FileDescriptor& file) {
    for (int index = 0; index < file.service_count(); ++index) {
        for (int number = 0; number < file.service(index)->method_count(); ++number) {
            const MethodDescriptor& method = *file.service(index)->method(number);
            if (method.client_streaming()) {
                return method.full_name();
            }
        }
    }
    return {};
}

class Output {
  public:
    Output(google::protobuf::compiler::GeneratorContext& context, const std::string& path)
        : stream_(context.Open(path)), printer_(stream_.get(), '$') {}

    Printer& printer() { return printer_; }

  private:
    std::unique_ptr<google::protobuf::io::ZeroCopyOutputStream> stream_;
    Printer printer_; // writes back to the stream when it goes, so it goes first
};

} // namespace

bool Generator::Generate(
    const FileDescriptor* file,
    const std::string& /*parameter*/,
    google::protobuf::compiler::GeneratorContext* context,
    std::string* error
) const {
    if (const std::string method = client_streaming_method(*file); !method.empty()) {
        *error = method + ": methods on which clients stream have no typed stubs; leave the method "
                          "out and use Client::open_stream and Service::stream";
        return false;
    }
    if (file->package().empty()) {
        *error = file->name() + ": a package is needed, as the namespace of the stubs";
        return false;
    }
    const std::string base = without_extension(file->name());
    const Variables variables = {
        {"file", file->name()},
        {"base", base},
        {"namespace", cpp_namespace(file->package())},
    };
    Output header(*context, base + ".ttrpc.hpp");
    header.printer().Print(
        variables,
        "// Generated from $file$ by protoc-gen-ttrpc. Do not edit.\n"
        "#pragma once\n"
        "\n"
        "#include \"common/ttrpc/client.hpp\"\n"
        "#include \"common/ttrpc/replies.hpp\"\n"
        "#include \"common/ttrpc/service.hpp\"\n"
        "#include \"$base$.pb.h\"\n"
        "\n"
        "#include <string>\n"
        "#include <string_view>\n"
        "\n"
        "namespace $namespace$ {\n\n"
    );
    Output source(*context, base + ".ttrpc.cpp");
    source.printer().Print(
        variables,
        "// Generated from $file$ by protoc-gen-ttrpc. Do not edit.\n"
        "#include \"$base$.ttrpc.hpp\"\n"
        "\n"
        "#include \"common/ttrpc/stub.hpp\"\n"
        "\n"
        "#include <utility>\n"
        "\n"
        "namespace $namespace$ {\n\n"
    );
    for (int index = 0; index < file->service_count(); ++index) {
        print_service_header(header.printer(), *file->service(index));
        print_client_header(header.printer(), *file->service(index));
        print_service_source(source.printer(), *file->service(index));
        print_client_source(source.printer(), *file->service(index));
    }
    header.printer().Print(variables, "} // namespace $namespace$\n");
    source.printer().Print(variables, "} // namespace $namespace$\n");
    return true;
}

} // namespace cppvm::protoc_plugin
