#include "kv/commit_queue.hpp"

#include "engine_fixture.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace db4::kv::testing {
namespace {

/// Any engine, whose commits can be held and made to fail.
class HeldEngine final : public Engine {
 public:
  explicit HeldEngine(std::unique_ptr<Engine> under) : under_(std::move(under)) {}

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    return under_->get(space, key);
  }
  std::vector<Entry> scan(const ScanRequest& request) const override { return under_->scan(request); }
  std::vector<Outcome> commit(std::span<const Batch* const> group, Durability durability) override {
    std::unique_lock lock(mutex_);
    groups_.push_back({group.size(), durability});
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
    if (failing_) throw Error(ErrorCode::resource_exhausted, "no room", "make room");
    lock.unlock();
    return under_->commit(group, durability);
  }
  void sync() override {
    const std::lock_guard lock(mutex_);
    synced_at_.push_back(under_->stats().batches);
    if (failing_) throw Error(ErrorCode::unavailable, "no disk", "check it");
  }
  void close() override { under_->close(); }
  Durability strongest() const noexcept override { return under_->strongest(); }
  EngineStats stats() const override { return under_->stats(); }

  struct Group {
    std::size_t batches;
    Durability durability;
  };
  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void fail(bool failing) {
    const std::lock_guard lock(mutex_);
    failing_ = failing;
  }
  /// Waits until the n-th commit has begun.
  void wait_for_group(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return groups_.size() >= n; });
  }
  std::vector<Group> groups() {
    const std::lock_guard lock(mutex_);
    return groups_;
  }
  std::vector<std::uint64_t> synced_at() {
    const std::lock_guard lock(mutex_);
    return synced_at_;
  }

 private:
  std::unique_ptr<Engine> under_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool failing_ = false;
  std::vector<Group> groups_;
  std::vector<std::uint64_t> synced_at_;
};

Batch one_put(const std::string& key, std::size_t size = 1) {
  Batch batch;
  batch.put(kRows, key, std::string(size, 'v'));
  return batch;
}

class CommitQueueTest : public ::testing::Test {
 protected:
  CommitQueueTest() : engine_(open_memory_engine({.spaces = all_spaces()})) {}

  void wait_for_waiters(const CommitQueue& queue, std::size_t count) {
    while (queue.waiting() != count) std::this_thread::yield();
  }

  HeldEngine engine_;
};

TEST_F(CommitQueueTest, ThoseWhoWaitShareOneCommitAtTheStrongestDurability) {
  CommitQueue queue(engine_);
  engine_.hold(true);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { queue.commit(one_put("first"), Durability::none); });
  engine_.wait_for_group(1);
  const Durability asked[] = {Durability::none, Durability::disk, Durability::process};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] { queue.commit(one_put(std::to_string(i)), asked[i]); });
  }
  wait_for_waiters(queue, 3);
  engine_.hold(false);
  for (std::thread& thread : threads) thread.join();
  const auto groups = engine_.groups();
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].batches, 1U);
  EXPECT_EQ(groups[0].durability, Durability::none);
  EXPECT_EQ(groups[1].batches, 3U);
  EXPECT_EQ(groups[1].durability, Durability::disk);
}

TEST_F(CommitQueueTest, AGroupIsBoundedButOneCallIsNeverSplit) {
  CommitQueue queue(engine_, {.max_group_batches = 2});
  engine_.hold(true);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { queue.commit(one_put("first"), Durability::none); });
  engine_.wait_for_group(1);
  std::vector<Batch> five;
  for (int i = 0; i < 5; ++i) five.push_back(one_put("five" + std::to_string(i)));
  threads.emplace_back([&] { EXPECT_EQ(queue.commit_all(five, Durability::none).size(), 5U); });
  wait_for_waiters(queue, 1);
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] { queue.commit(one_put(std::to_string(i)), Durability::none); });
    wait_for_waiters(queue, static_cast<std::size_t>(i) + 2);
  }
  engine_.hold(false);
  for (std::thread& thread : threads) thread.join();
  std::vector<std::size_t> sizes;
  for (const auto& group : engine_.groups()) sizes.push_back(group.batches);
  EXPECT_EQ(sizes[1], 5U);
  EXPECT_EQ(sizes[2], 2U);
  EXPECT_EQ(sizes[3], 1U);
}

TEST_F(CommitQueueTest, WhoeverFindsNoRoomWaits) {
  CommitQueue queue(engine_, {.max_waiting_bytes = 3000});
  engine_.hold(true);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { queue.commit(one_put("first"), Durability::none); });
  engine_.wait_for_group(1);
  // Larger than all the room: goes in because nobody waits.
  threads.emplace_back([&] { queue.commit(one_put("large", 5000), Durability::none); });
  wait_for_waiters(queue, 1);
  std::atomic<bool> small_done{false};
  threads.emplace_back([&] {
    queue.commit(one_put("small"), Durability::none);
    small_done = true;
  });
  while (queue.waiting_for_room() != 1) std::this_thread::yield();
  EXPECT_EQ(queue.waiting(), 1U);
  EXPECT_FALSE(small_done);
  engine_.hold(false);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(engine_.get(kRows, "small"));
}

TEST_F(CommitQueueTest, AFailureReachesEveryWaiterOfItsGroupAndNobodyElse) {
  CommitQueue queue(engine_);
  engine_.hold(true);
  engine_.fail(true);
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  const auto expect_failure = [&](const std::string& key) {
    EXPECT_EQ(thrown_code([&] { queue.commit(one_put(key), Durability::disk); }),
              ErrorCode::resource_exhausted);
    failed.fetch_add(1);
  };
  threads.emplace_back([&] { expect_failure("first"); });
  engine_.wait_for_group(1);
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { expect_failure(std::to_string(i)); });
  wait_for_waiters(queue, 4);
  engine_.hold(false);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 5);
  EXPECT_TRUE(engine_.scan({.space = kRows}).empty());
  engine_.fail(false);
  EXPECT_TRUE(queue.commit(one_put("later"), Durability::disk).committed()) << "the queue goes on";
}

TEST_F(CommitQueueTest, SyncComesAfterWhatWasCommittedBeforeIt) {
  CommitQueue queue(engine_);
  queue.commit(one_put("a"), Durability::none);
  queue.commit(one_put("b"), Durability::none);
  queue.sync();
  EXPECT_EQ(engine_.synced_at(), std::vector<std::uint64_t>{2});
  engine_.fail(true);
  EXPECT_EQ(thrown_code([&] { queue.sync(); }), ErrorCode::unavailable);
}

TEST_F(CommitQueueTest, SyncsThatWaitTogetherAreOne) {
  CommitQueue queue(engine_);
  engine_.hold(true);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { queue.commit(one_put("first"), Durability::none); });
  engine_.wait_for_group(1);
  threads.emplace_back([&] { queue.commit(one_put("second"), Durability::none); });
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { queue.sync(); });
  wait_for_waiters(queue, 4);
  engine_.hold(false);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(engine_.synced_at(), std::vector<std::uint64_t>{2}) << "after both commits, once";
}

TEST_F(CommitQueueTest, NothingToCommitIsNothing) {
  CommitQueue queue(engine_);
  EXPECT_TRUE(queue.commit_all({}, Durability::disk).empty());
  EXPECT_TRUE(engine_.groups().empty());
}

TEST_P(EngineTest, ManyThreadsShareTheQueue) {
  const auto engine = open();
  CommitQueue queue(*engine);
  constexpr int kThreads = 8;
  constexpr int kRounds = 60;
  std::atomic<int> won{0};
  std::vector<std::uint64_t> announced;  // only the committing thread writes, one at a time
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        Batch race;  // all threads want this key; one of them gets it
        race.require_absent(kRows, "round " + std::to_string(i));
        race.put(kRows, "round " + std::to_string(i), std::to_string(t));
        race.add(kCounts, "won", 1);
        race.on_committed = [&announced](const Outcome&) { announced.push_back(announced.size()); };
        Batch always;
        always.add(kCounts, "all", t + 1);
        always.append(kLast, "", std::to_string(t));
        const Batch both[] = {race, always};
        const auto outcomes = queue.commit_all(both, i % 16 == 0 ? Durability::disk : Durability::process);
        EXPECT_TRUE(outcomes[1].committed());
        if (!outcomes[0].committed()) continue;
        won.fetch_add(1);
        EXPECT_EQ(engine->get(kRows, "round " + std::to_string(i)), std::to_string(t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, kRounds);
  EXPECT_EQ(announced.size(), static_cast<std::size_t>(kRounds));
  EXPECT_EQ(counter(*engine, "won"), kRounds);
  EXPECT_EQ(counter(*engine, "all"), kRounds * kThreads * (kThreads + 1) / 2);
  const auto log = keys(*engine, {.space = kLast});
  ASSERT_EQ(log.size(), static_cast<std::size_t>(kRounds * kThreads));
  for (std::size_t i = 0; i < log.size(); ++i) EXPECT_EQ(log[i], sequence_key("", i + 1));
}

}  // namespace
}  // namespace db4::kv::testing
