#pragma once
// What a message between nodes must be like.

#include <db4/invalidation_event.hpp>

namespace db4::invalidation {

/// Throws invalid_argument for what encode_invalidation would refuse.
void require_sendable(const InvalidationMessage& message);

}  // namespace db4::invalidation
