# The static lite runtime: a tenth of the full one, and no dynamic relocations in the daemon.
find_library(CPPVM_PROTOBUF_LITE NAMES libprotobuf-lite.a REQUIRED)
add_library(protobuf-lite-static INTERFACE)
target_link_libraries(protobuf-lite-static INTERFACE "${CPPVM_PROTOBUF_LITE}" Threads::Threads)

set(CPPVM_PROTO_OUT "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${CPPVM_PROTO_OUT}")

# cppvm_proto_sources(NAME SOURCES …): a library of generated messages.
function(cppvm_proto_sources name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name} SYSTEM PUBLIC "${CPPVM_PROTO_OUT}")
    target_link_libraries(${name} PUBLIC cppvm_options protobuf-lite-static ${arg_LINK})
    # protoc's output is not ours to keep free of warnings.
    target_compile_options(${name} PRIVATE -w)
    set_target_properties(${name} PROPERTIES UNITY_BUILD OFF) # its files have statics of the same names
endfunction()

# cppvm_proto_library(NAME PROTOS … [SERVICES] [LINK …]): C++ messages (lite runtime) of .proto files
# below proto/, and with SERVICES also the typed ttrpc stubs of our own protoc plugin for those files
# that define a service. Includes look like "proto/containerd/task.pb.h" and
# "proto/containerd/task.ttrpc.hpp". A file that another one of PROTOS imports comes before it.
function(cppvm_proto_library name)
    cmake_parse_arguments(arg "SERVICES" "" "PROTOS;LINK" ${ARGN})
    set(sources "")
    set(inputs "")
    foreach(proto IN LISTS arg_PROTOS)
        set(input "${CMAKE_SOURCE_DIR}/proto/${proto}")
        list(APPEND inputs "${input}")
        string(REGEX REPLACE "\\.proto$" "" base "${proto}")
        set(outputs "${CPPVM_PROTO_OUT}/proto/${base}.pb.cc" "${CPPVM_PROTO_OUT}/proto/${base}.pb.h")
        set(command protobuf::protoc "--proto_path=${CMAKE_SOURCE_DIR}" "--cpp_out=lite:${CPPVM_PROTO_OUT}")
        set(depends ${inputs})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${input}")
        file(STRINGS "${input}" services REGEX "^service ")
        if(arg_SERVICES AND services)
            list(APPEND outputs
                "${CPPVM_PROTO_OUT}/proto/${base}.ttrpc.hpp" "${CPPVM_PROTO_OUT}/proto/${base}.ttrpc.cpp")
            list(APPEND command "--plugin=protoc-gen-ttrpc=$<TARGET_FILE:protoc-gen-ttrpc>"
                "--ttrpc_out=${CPPVM_PROTO_OUT}")
            list(APPEND depends protoc-gen-ttrpc)
        endif()
        add_custom_command(
            OUTPUT ${outputs}
            COMMAND ${command} "${input}"
            DEPENDS ${depends}
            VERBATIM)
        list(APPEND sources ${outputs})
    endforeach()
    cppvm_proto_sources(${name} SOURCES ${sources} LINK ${arg_LINK})
    if(arg_SERVICES)
        target_link_libraries(${name} PUBLIC cppvm_ttrpc)
    endif()
endfunction()

# google/protobuf/*.proto that ours import. The distribution has their C++ only in the full runtime,
# so they are generated like ours.
function(cppvm_proto_well_known name)
    set(sources "")
    foreach(proto IN LISTS ARGN)
        set(outputs "${CPPVM_PROTO_OUT}/google/protobuf/${proto}.pb.cc"
            "${CPPVM_PROTO_OUT}/google/protobuf/${proto}.pb.h")
        add_custom_command(
            OUTPUT ${outputs}
            COMMAND protobuf::protoc "--cpp_out=lite:${CPPVM_PROTO_OUT}" "google/protobuf/${proto}.proto"
            VERBATIM)
        list(APPEND sources ${outputs})
    endforeach()
    cppvm_proto_sources(${name} SOURCES ${sources})
endfunction()
