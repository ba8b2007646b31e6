#include "common/base/error.hpp"
#include "common/oci/id_map.hpp"
#include "common/oci/spec_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::oci {
namespace {

using ::testing::StartsWith;

constexpr std::uint32_t last = 0xffffffffU;

std::string fault_of(const std::vector<IdMapping>& mappings) {
    const auto fault = find_fault(mappings);
    if (!fault) {
        return "";
    }
    return (fault->index ? "[" + std::to_string(*fault->index) + "] " : "") + fault->problem;
}

TEST(IdMapTest, TakesWhatTheKernelTakes) {
    EXPECT_EQ(fault_of({}), "");
    EXPECT_EQ(fault_of({{0, 0, last}}), "");
    EXPECT_EQ(fault_of({{0, 1000, 1}, {1, 100000, 65535}}), "");
    EXPECT_EQ(fault_of({{1, 100000, 65535}, {0, 99999, 1}}), "");
    EXPECT_EQ(fault_of({{last - 1, last - 1, 1}}), "");
}

TEST(IdMapTest, RefusesWhatTheKernelRefuses) {
    EXPECT_EQ(fault_of({{0, 1, 1}, {5, 5, 0}}), "[1] the size must not be 0");
    EXPECT_EQ(fault_of({{1, 0, last}}), "[0] reaches beyond the last id, 4294967294");
    EXPECT_EQ(fault_of({{0, last, 1}}), "[0] reaches beyond the last id, 4294967294");
    EXPECT_EQ(
        fault_of({{0, 10, 5}, {4, 20, 5}}),
        "[1] maps ids of the container that an earlier mapping has"
    );
    EXPECT_EQ(
        fault_of({{0, 10, 5}, {5, 20, 5}, {10, 24, 5}}),
        "[2] maps ids of the host that an earlier mapping has"
    );
}

TEST(IdMapTest, RefusesMoreLinesThanTheKernelReads) {
    std::vector<IdMapping> mappings;
    for (std::uint32_t i = 0; i < 341; ++i) {
        mappings.push_back({i, i, 1});
    }
    EXPECT_THAT(fault_of(mappings), StartsWith("has more than 340 mappings"));
    mappings.pop_back();
    EXPECT_EQ(fault_of(mappings), "");
    for (IdMapping& mapping : mappings) {
        mapping.host_id += 1000000000;
    }
    EXPECT_THAT(fault_of(mappings), StartsWith("has more mappings than the kernel takes"));
}

TEST(IdMapTest, WritesWhatTheKernelReads) {
    EXPECT_EQ(mapping_text({{0, 1000, 1}, {1, 100000, 65535}}), "0 1000 1\n1 100000 65535\n");
}

TEST(IdMapTest, FindsTheIdOutside) {
    const std::vector<IdMapping> mappings{{0, 1000, 1}, {10, 100000, 5}};
    EXPECT_EQ(to_host_id(mappings, 0), 1000U);
    EXPECT_EQ(to_host_id(mappings, 14), 100004U);
    EXPECT_EQ(to_host_id(mappings, 15), std::nullopt);
    EXPECT_EQ(to_host_id(mappings, 1), std::nullopt);
}

struct BadMapping {
    const char* json;
    const char* message;
};

class BadMappingTest : public ::testing::TestWithParam<BadMapping> {};

TEST_P(BadMappingTest, IsNamedByItsPath) {
    const std::string spec = std::string(R"({"ociVersion":"1.0.2","root":{"path":"r"},
        "process":{"args":["a"],"cwd":"/"},)") +
                             GetParam().json + "}";
    try {
        parse_spec(spec);
        FAIL() << "was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        EXPECT_THAT(error.message(), StartsWith(GetParam().message));
    }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    BadMappingTest,
    ::testing::Values(
        BadMapping{
            R"("linux":{"uidMappings":[{"hostID":1,"size":0}]})",
            "linux.uidMappings[0]: the size must not be 0"
        },
        BadMapping{
            R"("linux":{"gidMappings":[{"size":5},{"containerID":4,"hostID":9,"size":5}]})",
            "linux.gidMappings[1]: maps ids of the container"
        },
        BadMapping{
            R"("linux":{"uidMappings":[{"size":4294967296}]})",
            "linux.uidMappings[0].size: is out of range"
        },
        BadMapping{
            R"("mounts":[{"destination":"/a","gidMappings":[{"containerID":5,"size":4294967295}]}])",
            "mounts[0].gidMappings[0]: reaches beyond the last id"
        }
    )
);

} // namespace
} // namespace cppvm::oci
