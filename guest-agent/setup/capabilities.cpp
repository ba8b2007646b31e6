#include "guest-agent/setup/capabilities.hpp"

#include "common/base/error.hpp"
#include "common/oci/names.hpp"

#include <sys/capability.h>

#include <memory>
#include <sys/prctl.h>
#include <type_traits>
#include <vector>

namespace cppvm::guest {

namespace {

bool has(CapabilityBits bits, cap_value_t number) {
    return (bits >> number & 1) != 0;
}

/// libcap's representation of the three sets that capset(2) takes.
class CapabilityState {
  public:
    CapabilityState() : state_(::cap_init()) {
        if (!state_) {
            throw_errno("make", "empty capability sets");
        }
    }

    void fill(cap_flag_t set, CapabilityBits bits) {
        std::vector<cap_value_t> chosen;
        for (cap_value_t number = 0; number < ::cap_max_bits(); ++number) {
            if (has(bits, number)) {
                chosen.push_back(number);
            }
        }
        const int count = static_cast<int>(chosen.size());
        if (count > 0 && ::cap_set_flag(state_.get(), set, count, chosen.data(), CAP_SET) != 0) {
            throw_errno("choose", "capabilities");
        }
    }

    void apply() {
        if (::cap_set_proc(state_.get()) != 0) {
            throw_errno("set", "capabilities");
        }
    }

  private:
    struct Free {
        void operator()(cap_t state) const noexcept { ::cap_free(state); }
    };
    std::unique_ptr<std::remove_pointer_t<cap_t>, Free> state_;
};

CapabilityBits to_bits(
    const std::vector<std::string>& set, const char* set_name, std::vector<std::string>& unknown
) {
    CapabilityBits bits = 0;
    for (const std::string& name : set) {
        if (const auto number = oci::capability_number(name)) {
            bits |= CapabilityBits{1} << *number;
        } else {
            unknown.push_back(
                std::string("process.capabilities.") + set_name + "." + name.substr(0, 64)
            );
        }
    }
    return bits;
}

} // namespace

CapabilitySets
to_sets(const std::optional<oci::Capabilities>& capabilities, std::vector<std::string>& unknown) {
    CapabilitySets sets;
    if (capabilities) {
        sets.bounding = to_bits(capabilities->bounding, "bounding", unknown);
        sets.effective = to_bits(capabilities->effective, "effective", unknown);
        sets.inheritable = to_bits(capabilities->inheritable, "inheritable", unknown);
        sets.permitted = to_bits(capabilities->permitted, "permitted", unknown);
        sets.ambient = to_bits(capabilities->ambient, "ambient", unknown);
    }
    return sets;
}

void limit_bounding_set(CapabilityBits bounding) {
    for (cap_value_t number = 0; number < ::cap_max_bits(); ++number) {
        // Also if it is not there any more: to ask first would be a call more for each.
        if (!has(bounding, number) && ::cap_drop_bound(number) != 0) {
            throw_errno("drop from bounding set", oci::capability_name(number));
        }
    }
}

void set_capabilities(const CapabilitySets& sets) {
    CapabilityState state;
    state.fill(CAP_EFFECTIVE, sets.effective);
    state.fill(CAP_PERMITTED, sets.permitted);
    state.fill(CAP_INHERITABLE, sets.inheritable);
    state.apply();
    // Not cap_reset_ambient(3), which asks for each of them first.
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
        throw_errno("clear", "ambient capabilities");
    }
    for (cap_value_t number = 0; number < ::cap_max_bits(); ++number) {
        if (has(sets.ambient, number) && ::cap_set_ambient(number, CAP_SET) != 0) {
            throw_errno("raise ambient capability", oci::capability_name(number));
        }
    }
}

} // namespace cppvm::guest
