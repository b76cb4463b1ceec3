// Every object store of db4, and the fault layer over memory, under the one conformance suite.

#include "objects/object_stores.hpp"

#include "objects/layer_stack.hpp"
#include "objects/object_store_suite.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"

namespace db4::testing {
namespace {

ObjectStoreFactory filesystem_factory() {
  auto folder = std::make_shared<std::unique_ptr<TemporaryFolder>>();
  return {.name = "Filesystem",
          .make =
              [folder] {
                *folder = std::make_unique<TemporaryFolder>();
                return objects::make_filesystem_object_store((*folder)->path());
              },
          .cleanup = [folder] { folder->reset(); }};
}

INSTANTIATE_TEST_SUITE_P(
    Stores, ObjectStoreSuite,
    ::testing::Values(
        ObjectStoreFactory{.name = "Memory", .make = &objects::make_memory_object_store},
        filesystem_factory(),
        ObjectStoreFactory{
            .name = "FaultLayer",
            .make = [] { return std::make_shared<FaultObjectStore>(objects::make_memory_object_store()); }},
        ObjectStoreFactory{.name = "AllLayers",
                           .make =
                               [] {
                                 return objects::add_layers(objects::make_memory_object_store(), ColdConfig{},
                                                            system_clock(), system_random())
                                     .store;
                               }}),
    [](const auto& param) { return param.param.name; });

TEST(FaultObjectStore, FailsTheNthOperationBeforeItTookEffect) {
  FaultObjectStore store(objects::make_memory_object_store());
  store.fail_nth(ObjectOperation::put, 2, FaultPoint::before, ErrorCode::resource_exhausted);
  store.put("a", {});
  EXPECT_EQ(code_of([&] { store.put("b", {}); }), ErrorCode::resource_exhausted);
  store.put("c", {});
  EXPECT_FALSE(store.head("b"));
  EXPECT_TRUE(store.head("c"));
  EXPECT_EQ(store.count(ObjectOperation::put), 3U);
  EXPECT_EQ(store.failed(ObjectOperation::put), 1U);
}

TEST(FaultObjectStore, FailsAfterTheOperationTookEffect) {
  FaultObjectStore store(objects::make_memory_object_store());
  store.fail_nth(ObjectOperation::put, 1, FaultPoint::after);
  EXPECT_EQ(code_of([&] { store.put("a", {}); }), ErrorCode::unavailable);
  EXPECT_TRUE(store.head("a"));
}

TEST(FaultObjectStore, ChanceReplaysFromItsSeedAndEndsWhenCleared) {
  const auto failures = [](std::uint64_t seed) {
    FaultObjectStore store(objects::make_memory_object_store(), seed);
    store.fail_with_probability(ObjectOperation::head, 0.3);
    std::string seen;
    for (int i = 0; i < 100; ++i) {
      try {
        (void)store.head("a");
        seen += '.';
      } catch (const Error&) {
        seen += 'x';
      }
    }
    store.clear_faults();
    for (int i = 0; i < 100; ++i) (void)store.head("a");
    return seen;
  };
  EXPECT_EQ(failures(5), failures(5));
  EXPECT_NE(failures(5), failures(6));
  EXPECT_NE(failures(5).find('x'), std::string::npos);
  EXPECT_NE(failures(5).find('.'), std::string::npos);
}

}  // namespace
}  // namespace db4::testing
