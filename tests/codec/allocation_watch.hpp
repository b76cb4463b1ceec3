#pragma once
// Sees how much this thread asks operator new for at once; this test binary replaces the operator.

#include <cstddef>

namespace db4::testing {

/// The largest single allocation of this thread since the watch began. One at a time.
class AllocationWatch {
 public:
  AllocationWatch() noexcept;
  [[nodiscard]] std::size_t largest() const noexcept;
};

}  // namespace db4::testing
