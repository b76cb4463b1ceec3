// The doctor for a configured store.
#include "store/impl.hpp"

#include <db4/doctor.hpp>

namespace db4 {

DoctorReport examine(const TieredStoreConfig& config, const DoctorOptions& options,
                     const Components& components) {
  try {
    store::check_config(config, components);
    const auto clock = components.clock ? components.clock : system_clock();
    const auto random = components.random ? components.random : system_random();
    const objects::LayeredStore objects = store::open_layered(config.cold, components, clock, random);
    DoctorOptions under = options;
    under.prefix = config.cold.prefix + options.prefix;
    return examine(*objects.store, under, clock, random);
  } catch (const Error& error) {
    throw error.with_context("doctor");
  }
}

}  // namespace db4
