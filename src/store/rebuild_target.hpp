#pragma once
// Where a catalogue is rebuilt: beside the place where it belongs, and put there when it is complete.

#include "kv/engine.hpp"

#include <db4/config.hpp>

#include <memory>

namespace db4::store {

/// Broken off at any point, the next attempt begins anew.
class RebuildTarget {
 public:
  virtual ~RebuildTarget() = default;

  /// An empty place to work in: what an earlier attempt left is worth nothing.
  virtual kv::EngineOptions prepare() = 0;
  /// Puts the complete catalogue, closed, in its place.
  virtual void publish() = 0;
  /// Takes away what was made.
  virtual void discard() noexcept = 0;
};

/// A folder beside hot.path, or a schema beside hot.schema. Throws invalid_argument where a store stands in
/// the place, and for a catalogue in memory.
std::unique_ptr<RebuildTarget> make_rebuild_target(const HotConfig& config);

}  // namespace db4::store
