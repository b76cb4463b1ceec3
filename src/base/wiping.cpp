#include "base/wiping.hpp"

#include <atomic>
#include <cstring>

namespace db4 {
namespace {

std::atomic<bool> wipes{false};

}  // namespace

void wipe_released_content(bool wanted) noexcept { wipes.store(wanted, std::memory_order_relaxed); }
bool wipes_released_content() noexcept { return wipes.load(std::memory_order_relaxed); }

void release_content(void* bytes, std::size_t size) noexcept {
  if (size != 0 && wipes_released_content()) ::explicit_bzero(bytes, size);
}

std::shared_ptr<const std::string> share_content(std::string text) {
  return {new std::string(std::move(text)), [](std::string* owned) {
            release_content(*owned);
            delete owned;
          }};
}

}  // namespace db4
