# Compiler rules of the whole tree. GCC before 13 miscompiles coroutine shapes that we use
# (double destruction of temporaries in co_await expressions), so it is refused.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    message(FATAL_ERROR
        "GCC ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines; use clang 19 "
        "(cmake --preset default) or GCC 13 and later")
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CPPVM_CCACHE ccache)
if(CPPVM_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CPPVM_CCACHE}")
endif()

add_library(cppvm_options INTERFACE)
target_include_directories(cppvm_options INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(cppvm_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
    -Werror -ffunction-sections -fdata-sections -fstack-protector-strong)
target_compile_definitions(cppvm_options INTERFACE
    _FILE_OFFSET_BITS=64
    BOOST_ASIO_NO_DEPRECATED
    BOOST_ASIO_SEPARATE_COMPILATION
    BOOST_ASIO_DISABLE_VISIBILITY)
target_link_options(cppvm_options INTERFACE -Wl,--gc-sections)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_link_options(cppvm_options INTERFACE -fuse-ld=lld)
    if(NOT CPPVM_SANITIZE)
        # Functions of the same code are one: templates make many.
        target_link_options(cppvm_options INTERFACE -Wl,--icf=safe)
    endif()
endif()
if(CPPVM_SANITIZE)
    target_compile_options(cppvm_options INTERFACE
        -fsanitize=${CPPVM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
    target_link_options(cppvm_options INTERFACE -fsanitize=${CPPVM_SANITIZE})
endif()
find_package(Threads REQUIRED)

# Programs that must start fast and run alone (PID 1 in the guest, the shim on the host) are linked
# statically: no relocation work at start, no dirty pages for it, no library that may be missing.
# Sanitizer runtimes need the dynamic loader, so those builds stay dynamic.
function(cppvm_link_static target)
    if(NOT CPPVM_SANITIZE)
        target_link_options(${target} PRIVATE -static -no-pie
            -Wl,--wrap=__register_frame_info -Wl,--wrap=__deregister_frame_info)
        target_link_libraries(${target} PRIVATE cppvm_no_frame_registration)
    endif()
endfunction()

# cppvm_library(NAME SOURCES … LINK …): one library for each folder, public links only downwards.
function(cppvm_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC cppvm_options ${arg_LINK})
endfunction()
