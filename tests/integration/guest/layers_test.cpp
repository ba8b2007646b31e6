#include "tests/integration/guest/agent_test.hpp"
#include "tests/support/loop_disk.hpp"
#include "tests/support/temp_dir.hpp"

/// Root file systems that lie over the layers of an image, each an erofs in a file.
namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AgentLayersTest : public AgentTest {
  protected:
    AgentLayersTest()
        : bottom(make_layer("bottom", agent.make_rootfs("image"))),
          image(make_ext4(directory / "writable", make_content("empty"))), disk(image) {}

    std::filesystem::path make_content(const std::string& name) const {
        std::filesystem::create_directory(directory / name);
        return directory / name;
    }

    std::filesystem::path
    make_layer(const std::string& name, const std::filesystem::path& content) const {
        for (const char* place : {"dev", "proc"}) {
            std::filesystem::create_directory(content / place);
        }
        std::filesystem::path layer = directory / (name + ".erofs");
        run_shell("mkfs.erofs --quiet " + layer.native() + " " + content.native() + " >/dev/null");
        return layer;
    }

    std::filesystem::path make_layer_of_a_file(const std::string& name) const {
        const auto content = make_content(name);
        std::ofstream(content / name) << name << '\n';
        std::ofstream(content / "top") << name << '\n';
        return make_layer(name, content);
    }

    agent::v2::CreateContainerRequest root_of(const std::vector<std::filesystem::path>& layers
    ) const {
        agent::v2::CreateContainerRequest request;
        auto* const root = request.mutable_root_disk();
        root->set_serial(disk.name());
        root->set_type("ext4");
        for (const auto& layer : layers) {
            root->add_layers(layer);
        }
        return request;
    }

    Json script(const std::string& text) const {
        Json spec = make_script_spec(agent, "c1", text);
        spec["root"]["path"] = agent.share() / "disks" / disk.name();
        return spec;
    }

    void expect_nothing_left(const std::vector<std::filesystem::path>& layers) const {
        for (const auto& layer : layers) {
            EXPECT_THAT(loops_of(layer), IsEmpty()) << layer;
        }
        EXPECT_FALSE(std::filesystem::exists(agent.share() / "disks" / disk.name()));
    }

    TempDir directory;
    std::filesystem::path bottom;
    std::filesystem::path image;
    LoopDisk disk;
};

TEST_F(AgentLayersTest, LaysADiskOverLayersAndLetsThemGo) {
    const std::vector layers = {make_layer_of_a_file("b"), make_layer_of_a_file("a"), bottom};
    run_test([&](HostSide& host) -> Awaitable<> {
        const RunResult first = co_await host.run(
            "c1",
            script("mount | grep -c ' / type overlay (rw'; cat a b top; rm a; echo kept >top"),
            "",
            root_of(layers)
        );
        EXPECT_EQ(first.output, "1\na\nb\nb\n") << first.errors;
        expect_nothing_left(layers);
        const RunResult second =
            co_await host.run("c1", script("cat top; cat a"), "", root_of(layers));
        EXPECT_EQ(second.output, "kept\n");
        EXPECT_THAT(second.errors, HasSubstr("No such file"));
    });
    expect_nothing_left(layers);
}

TEST_F(AgentLayersTest, NamesALayerThatIsNoErofsOrGoneAndLeavesNothing) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::vector garbage = {bottom, make_image(directory / "garbage", 1024UL * 1024)};
        const Status refused =
            co_await failure_of(host.create("c1", script("true"), {}, root_of(garbage)));
        EXPECT_THAT(refused.message, HasSubstr("garbage"));
        EXPECT_THAT(refused.message, HasSubstr("'erofs'"));
        expect_nothing_left(garbage);
        const std::vector gone = {bottom, directory / "gone"};
        const Status missing =
            co_await failure_of(host.create("c1", script("true"), {}, root_of(gone)));
        EXPECT_THAT(missing.message, HasSubstr((directory / "gone").native()));
        expect_nothing_left(gone);
    });
}

// As many as the host's plan lets it: their names fill the page of mount options.
TEST_F(AgentLayersTest, TakesTwoHundredLayers) {
    const auto layer = make_layer_of_a_file("a");
    std::vector layers(199, layer);
    layers.push_back(bottom);
    run_test([&](HostSide& host) -> Awaitable<> {
        const RunResult result = co_await host.run("c1", script("cat a"), "", root_of(layers));
        EXPECT_EQ(result.output, "a\n") << result.errors;
    });
    expect_nothing_left(layers);
}

} // namespace
} // namespace cppvm::testing
