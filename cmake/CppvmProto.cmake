# cppvm_proto_library(NAME PROTOS … [SERVICES]): C++ messages (lite runtime) of .proto files below
# proto/, and with SERVICES also the typed ttrpc stubs of our own protoc plugin.
# Includes look like "proto/containerd/task.pb.h" and "proto/containerd/task.ttrpc.hpp".
function(cppvm_proto_library name)
    cmake_parse_arguments(arg "SERVICES" "" "PROTOS;LINK" ${ARGN})
    set(out "${CMAKE_BINARY_DIR}/generated")
    set(sources "")
    foreach(proto IN LISTS arg_PROTOS)
        string(REGEX REPLACE "\\.proto$" "" base "${proto}")
        set(outputs "${out}/proto/${base}.pb.cc" "${out}/proto/${base}.pb.h")
        set(command protobuf::protoc "--proto_path=${CMAKE_SOURCE_DIR}" "--cpp_out=lite:${out}")
        set(depends "${CMAKE_SOURCE_DIR}/proto/${proto}")
        if(arg_SERVICES)
            list(APPEND outputs "${out}/proto/${base}.ttrpc.hpp" "${out}/proto/${base}.ttrpc.cpp")
            list(APPEND command "--plugin=protoc-gen-ttrpc=$<TARGET_FILE:protoc-gen-ttrpc>"
                "--ttrpc_out=${out}")
            list(APPEND depends protoc-gen-ttrpc)
        endif()
        add_custom_command(
            OUTPUT ${outputs}
            COMMAND ${CMAKE_COMMAND} -E make_directory "${out}"
            COMMAND ${command} "${CMAKE_SOURCE_DIR}/proto/${proto}"
            DEPENDS ${depends}
            VERBATIM)
        list(APPEND sources ${outputs})
    endforeach()
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} SYSTEM PUBLIC "${out}")
    target_link_libraries(${name} PUBLIC cppvm_options protobuf-lite-static ${arg_LINK})
    if(arg_SERVICES)
        target_link_libraries(${name} PUBLIC cppvm_ttrpc)
    endif()
    # protoc's output is not ours to keep free of warnings.
    target_compile_options(${name} PRIVATE -w)
endfunction()

# The static lite runtime: a tenth of the full one, and no dynamic relocations in the daemon.
find_library(CPPVM_PROTOBUF_LITE NAMES libprotobuf-lite.a REQUIRED)
add_library(protobuf-lite-static INTERFACE)
target_link_libraries(protobuf-lite-static INTERFACE "${CPPVM_PROTOBUF_LITE}" Threads::Threads)
