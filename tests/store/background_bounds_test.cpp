// The bounds of one background run: tiering.max_operations_per_run, max_bytes_per_run, max_duration_per_run.
#include "objects/object_stores.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace db4 {
namespace {

constexpr std::size_t kDocuments = 10;
constexpr std::size_t kBodyBytes = 1000;

class BackgroundBounds : public ::testing::Test {
 protected:
  void open(const TieringConfig& tiering, std::uint64_t max_size = 0) {
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = {.type = HotType::memory, .max_size = max_size}, .tiering = tiering},
        Components{.clock = clock_, .object_store = objects::make_memory_object_store()});
  }
  void write(std::size_t documents) {
    for (std::size_t i = 0; i < documents; ++i) {
      store_->write_bytes("c", std::to_string(i), as_bytes(std::string(kBodyBytes, 'x')));
    }
  }
  template <typename Ready>
  static void until(const Ready& ready) {
    while (!ready()) std::this_thread::yield();
  }
  /// Lets time pass to the next background run, and waits for its end; what has been demoted then.
  std::uint64_t demoted_after_run(std::chrono::milliseconds by) {
    const std::uint64_t runs = store_->stats().moves.runs;
    until([&] { return clock_->waiting() == 1; });
    clock_->advance(by);
    until([&] { return store_->stats().moves.runs > runs; });
    return store_->stats().moves.demoted;
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
};

TEST_F(BackgroundBounds, ARunMovesNoMoreDocumentsThanItMay) {
  open({.interval = 1min, .max_operations_per_run = 3});
  write(kDocuments);
  EXPECT_EQ(demoted_after_run(25h), 3);
  EXPECT_EQ(demoted_after_run(1min), 6);
}

TEST_F(BackgroundBounds, ARunMovesNoMoreBytesThanItMay) {
  open({.interval = 1min, .max_bytes_per_run = 4 * kBodyBytes});
  write(kDocuments);
  EXPECT_EQ(demoted_after_run(25h), 4);
  EXPECT_EQ(demoted_after_run(1min), 8);
}

TEST_F(BackgroundBounds, ARunEndsWhenItsTimeIsOver) {
  open({.interval = 1min, .max_duration_per_run = 0ms});
  write(kDocuments);
  EXPECT_EQ(demoted_after_run(25h), 0);
}

TEST_F(BackgroundBounds, RoomIsMadeInRunsOfThatSize) {
  constexpr std::size_t kFull = 95;
  open({.interval = 0ms, .max_operations_per_run = 2}, 100 * kBodyBytes);
  // Held, nothing makes room; then the first write brings up all that is too much.
  store_->pin({.collection = "c", .scope = PinScope::collection, .tier = StorageTier::hot});
  write(kFull);
  // Room was asked for already, and may be made as soon as nothing is held.
  const MoveStats before = store_->stats().moves;
  store_->unpin("c");
  store_->write_bytes("d", "the drop", as_bytes(std::string(kBodyBytes, 'x')));
  // Down to 90; to 91 where it began before the drop. A run is counted when it has ended, later than its
  // moves show in the bytes.
  until([&] { return store_->stats().hot.bytes <= 91 * kBodyBytes; });
  until([&] { return store_->stats().moves.demoted - before.demoted >= 5; });
  const MoveStats after = store_->stats().moves;
  EXPECT_LE(after.demoted - before.demoted, 2 * (after.runs - before.runs));
}

}  // namespace
}  // namespace db4
