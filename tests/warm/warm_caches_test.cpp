// Every warm cache of db4 under the one conformance suite.

#include "warm/warm_cache_factories.hpp"

namespace db4::testing {
namespace {

INSTANTIATE_TEST_SUITE_P(Caches, WarmCacheSuite,
                         ::testing::Values(in_memory(), on_memory_engine(), on_rocksdb()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace db4::testing
