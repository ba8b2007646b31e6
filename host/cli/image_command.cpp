#include "common/base/error.hpp"
#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "host/config/config.hpp"
#include "host/config/programs.hpp"
#include "vmimage/image.hpp"
#include "vmimage/kernel_package.hpp"

#include <ostream>

namespace cppvm::cli {

namespace {

constexpr std::chrono::minutes fetch_timeout{10};
constexpr const char* default_cache = "/var/cache/cppvm";

} // namespace

Awaitable<int> image_command(Invocation invocation) {
    const Arguments arguments(
        invocation.words,
        {"--output", "--agent", "--kernel-package", "--kernel-deb", "--kernel-tree", "--cache"}
    );
    if (arguments.rest() != std::vector<std::string>{"build"}) {
        throw Error(Code::invalid_argument, "say what to do with the image: build");
    }
    const auto package = arguments.option("--kernel-package");
    const auto file = arguments.option("--kernel-deb");
    const auto tree = arguments.option("--kernel-tree");
    if ((package ? 1 : 0) + (file ? 1 : 0) + (tree ? 1 : 0) > 1) {
        throw Error(
            Code::invalid_argument,
            "--kernel-package, --kernel-deb and --kernel-tree exclude each other"
        );
    }
    const std::string cache = arguments.option("--cache").value_or(default_cache);
    const auto deadline = deadline_in(fetch_timeout);

    vmimage::ImageSpec spec;
    spec.agent = config::find_program("cppvm-agent", arguments.option("--agent").value_or(""));
    spec.output = std::filesystem::absolute(
        arguments.option("--output").value_or(config::Vm().kernel.parent_path())
    );
    spec.agent = std::filesystem::absolute(spec.agent);
    if (tree) {
        spec.kernel_tree = std::filesystem::absolute(*tree);
    } else if (file) {
        spec.kernel_tree = co_await vmimage::unpack_kernel(*file, cache, deadline);
    } else {
        spec.kernel_tree = co_await vmimage::fetch_kernel(
            package.value_or(vmimage::default_kernel_package), cache, deadline
        );
    }
    const vmimage::ImageFiles image = vmimage::build_image(spec);
    invocation.out << "kernel     " << image.kernel.native() << " (" << image.kernel_release
                   << ")\ninitramfs  " << image.initramfs.native() << '\n';
    co_return 0;
}

} // namespace cppvm::cli
