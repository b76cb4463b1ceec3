#include "kv/engine.hpp"

namespace db4::kv {

std::size_t Batch::bytes() const noexcept {
  constexpr std::size_t kPerOperation = 16;  // kind, space, lengths and an integer
  std::size_t bytes = 0;
  for (const Operation& operation : operations) {
    bytes += kPerOperation + operation.key.size() + operation.value.size();
  }
  return bytes;
}

}  // namespace db4::kv
