// Every warm cache of db4 under the one conformance suite.

#include "warm/warm_caches.hpp"

#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"
#include "warm/disk_warm_cache.hpp"
#include "warm/warm_cache_suite.hpp"

namespace db4::testing {
namespace {

WarmCacheFactory on_disk(
    std::string name, std::function<std::shared_ptr<WarmCache>(std::filesystem::path, std::uint64_t)> make) {
  auto folder = std::make_shared<std::unique_ptr<TemporaryFolder>>();
  return {.name = std::move(name),
          .make =
              [folder, make](std::uint64_t max_bytes) {
                *folder = std::make_unique<TemporaryFolder>();
                return make((*folder)->path() / "warm", max_bytes);
              },
          .cleanup = [folder] { folder->reset(); }};
}

WarmCacheFactory on_rocksdb() {
  WarmCacheFactory factory = on_disk("Disk", &warm::make_disk_warm_cache);
  if (kThreadSanitizer) factory.skip_reason = kRocksDbUnderThreadSanitizer;
  return factory;
}

INSTANTIATE_TEST_SUITE_P(Caches, WarmCacheSuite,
                         ::testing::Values(WarmCacheFactory{.name = "Memory",
                                                            .make = &warm::make_memory_warm_cache},
                                           on_disk("MemoryEngine",
                                                   [](const auto& path, std::uint64_t max_bytes) {
                                                     return warm::make_engine_warm_cache(
                                                         path, max_bytes, &kv::open_memory_engine);
                                                   }),
                                           on_rocksdb()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace db4::testing
