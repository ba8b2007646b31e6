#pragma once

#include "host/storage/volume_source.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cppvm::storage {

/// How one volume of a container is shown. Plain data.
struct VolumePlan {
    std::uint64_t number = 0; ///< its name on the share
    bool is_file = false;
    bool attach = false;           ///< else another container, or an earlier volume, has it
    bool read_only = false;        ///< as it is from now on
    bool change_read_only = false; ///< of a mount that is attached already
};

/// What changes when a container goes. Plain data.
struct Removal {
    std::uint64_t rootfs = 0;
    std::vector<VolumePlan> detach;         ///< nobody has them any more
    std::vector<VolumePlan> make_read_only; ///< whoever has them wants them read-only
};

/// Who in a pod has which source, and what is therefore mounted. Pure bookkeeping.
class VolumeTable {
  public:
    bool contains(const std::string& container_id) const {
        return containers_.contains(container_id);
    }

    /// Registers a container. `volumes` and `sources` are its volumes, in the same order.
    /// Returns the number of its root file system and what to do for each volume.
    std::pair<std::uint64_t, std::vector<VolumePlan>>
    add(const std::string& container_id,
        std::span<const VolumeSpec> volumes,
        std::span<const SourceInfo> sources);

    /// Forgets it. Nothing if it is not there.
    std::optional<Removal> remove(const std::string& container_id);

  private:
    /// What makes two volumes the same. Only read_only may differ (docs/adr, "One mount for each
    /// source").
    struct Key {
        SourceKey source;
        oci::IdMap id_map;
        bool recursive_id_map = false;

        friend auto operator<=>(const Key&, const Key&) = default;
    };

    struct Source {
        std::uint64_t number = 0;
        bool is_file = false;
        bool read_only = false;
        /// Each container that has it, and whether it wants to write.
        std::map<std::string, bool> users;

        bool wants_write() const;
    };

    struct Container {
        std::uint64_t rootfs = 0;
        std::vector<Key> volumes;
    };

    std::uint64_t last_number_ = 0;
    std::map<Key, Source> sources_;
    std::map<std::string, Container> containers_;
};

} // namespace cppvm::storage
