#include "host/storage/volume_table.hpp"

#include <algorithm>
#include <sys/stat.h>
#include <utility>

namespace cppvm::storage {

bool VolumeTable::Source::wants_write() const {
    return std::ranges::any_of(users, [](const auto& user) { return user.second; });
}

std::pair<std::uint64_t, std::vector<VolumePlan>> VolumeTable::add(
    const std::string& container_id,
    std::span<const VolumeSpec> volumes,
    std::span<const SourceInfo> sources
) {
    Container& container = containers_[container_id];
    container.rootfs = ++last_number_;
    std::vector<VolumePlan> plans;
    for (std::size_t i = 0; i < volumes.size(); ++i) {
        const SourceInfo& info = sources[i];
        const Key key{info.key, volumes[i].id_map, volumes[i].recursive_id_map};
        const auto [found, is_new] = sources_.try_emplace(key);
        Source& source = found->second;
        if (is_new) {
            source.number = ++last_number_;
            source.is_file = !S_ISDIR(info.mode);
        }
        bool& writes = source.users[container_id];
        writes = writes || !(volumes[i].read_only || volumes[i].recursive_read_only);
        // What the host cannot write to was so before, and must stay so.
        const bool read_only = info.read_only || !source.wants_write();
        const bool change = !is_new && read_only != source.read_only;
        source.read_only = read_only;
        plans.push_back({source.number, source.is_file, is_new, read_only, change});
        container.volumes.push_back(key);
    }
    return {container.rootfs, std::move(plans)};
}

std::optional<Removal> VolumeTable::remove(const std::string& container_id) {
    const auto found = containers_.find(container_id);
    if (found == containers_.end()) {
        return std::nullopt;
    }
    const Container container = std::move(found->second);
    containers_.erase(found);
    Removal removal{.rootfs = container.rootfs, .detach = {}, .make_read_only = {}};
    for (const Key& key : container.volumes) {
        const auto entry = sources_.find(key);
        if (entry == sources_.end()) {
            continue; // it had the same one twice
        }
        Source& source = entry->second;
        source.users.erase(container_id);
        const VolumePlan plan{source.number, source.is_file, false, true, false};
        if (source.users.empty()) {
            removal.detach.push_back(plan);
            sources_.erase(entry);
        } else if (!source.read_only && !source.wants_write()) {
            source.read_only = true;
            removal.make_read_only.push_back(plan);
        }
    }
    return removal;
}

} // namespace cppvm::storage
