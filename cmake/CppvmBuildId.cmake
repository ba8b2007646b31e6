# The build id ties shim and guest agent together: both carry it, and the shim refuses an agent with
# another one. It is a hash of everything that the two say to each other, so that rebuilding one of
# them without a change of the contract keeps them compatible, and reproducible image builds stay so.

file(GLOB CPPVM_CONTRACT_FILES CONFIGURE_DEPENDS
    "${CMAKE_SOURCE_DIR}/proto/cppvm/*.proto"
    "${CMAKE_SOURCE_DIR}/common/wire/*.hpp")
list(SORT CPPVM_CONTRACT_FILES)
set(CPPVM_CONTRACT_HASHES "")
foreach(file IN LISTS CPPVM_CONTRACT_FILES)
    file(SHA256 "${file}" hash)
    string(APPEND CPPVM_CONTRACT_HASHES "${hash}")
    set_property(DIRECTORY "${CMAKE_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
endforeach()
string(SHA256 CPPVM_CONTRACT_HASH "${CPPVM_CONTRACT_HASHES}")
string(SUBSTRING "${CPPVM_CONTRACT_HASH}" 0 12 CPPVM_CONTRACT_HASH)
set(CPPVM_BUILD_ID "${PROJECT_VERSION}-${CPPVM_CONTRACT_HASH}")
