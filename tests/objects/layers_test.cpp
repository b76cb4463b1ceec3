// The layers over an object store, each over a scripted one, on a clock that jumps to whatever is waited for.

#include "objects/layer_stack.hpp"
#include "objects/limit_layer.hpp"
#include "objects/object_store_suite.hpp"
#include "objects/object_stores.hpp"
#include "objects/retry_layer.hpp"
#include "objects/timeout_layer.hpp"
#include "support/fault_object_store.hpp"
#include "support/hasty_clock.hpp"

#include <atomic>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;
using objects::LimitLayer;
using objects::ObjectMetrics;
using objects::RetryLayer;
using objects::RetryOptions;
using objects::TimeoutLayer;
using enum FaultPoint;

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

class RetryTest : public ::testing::Test {
 protected:
  std::shared_ptr<RetryLayer> retrying(RetryOptions options = {}) {
    return std::make_shared<RetryLayer>(faulty_, clock_, seeded_random(1), options, metrics_);
  }
  [[nodiscard]] std::uint64_t retries(ObjectOperation operation) const {
    return metrics_->of(operation).retries.value();
  }

  std::shared_ptr<HastyClock> clock_ = std::make_shared<HastyClock>();
  std::shared_ptr<ObjectStore> bare_ = objects::make_memory_object_store();
  std::shared_ptr<FaultObjectStore> faulty_ = std::make_shared<FaultObjectStore>(bare_, 1, clock_);
  std::shared_ptr<ObjectMetrics> metrics_ = std::make_shared<ObjectMetrics>();
  const Bytes body_ = bytes_of("the body");
};

TEST_F(RetryTest, RepeatsWhatIsUnavailableUntilItSucceeds) {
  bare_->put("a", body_);
  faulty_->script(ObjectOperation::get_range, {before, after, before, none});
  EXPECT_EQ(text_of(retrying()->get_range("a", 0, 100)), "the body");
  EXPECT_EQ(faulty_->count(ObjectOperation::get_range), 4U);
  EXPECT_EQ(retries(ObjectOperation::get_range), 3U);
}

TEST_F(RetryTest, GivesUpAfterMaxAttemptsAndSaysHowOftenItTried) {
  faulty_->fail_all();
  try {
    (void)retrying({.max_attempts = 3})->head("a");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_NE(error.problem().find("tried 3 times"), std::string::npos) << error.what();
  }
  EXPECT_EQ(faulty_->count(ObjectOperation::head), 3U);
}

TEST_F(RetryTest, NeverRepeatsWhatTheStoreRefuses) {
  for (const ErrorCode code : {ErrorCode::permission_denied, ErrorCode::invalid_argument, ErrorCode::conflict,
                               ErrorCode::too_large, ErrorCode::resource_exhausted, ErrorCode::unsupported,
                               ErrorCode::deadline_exceeded, ErrorCode::cancelled}) {
    const std::uint64_t asked = faulty_->count(ObjectOperation::put);
    faulty_->fail_nth(ObjectOperation::put, 1, before, code);
    EXPECT_EQ(code_of([&] { retrying()->put("a", body_); }), code);
    EXPECT_EQ(faulty_->count(ObjectOperation::put), asked + 1) << to_string(code);
  }
}

TEST_F(RetryTest, PausesAreDrawnBelowADoublingBound) {
  faulty_->fail_all();
  const auto store = retrying({.max_attempts = 8, .base_delay = 100ms, .max_delay = 1s});
  MonotonicTime last = clock_->monotonic();
  std::vector<MonotonicTime> pauses;
  faulty_->set_hook([&](ObjectOperation, std::string_view) {
    pauses.push_back(clock_->monotonic() - last);
    last = clock_->monotonic();
  });
  EXPECT_EQ(code_of([&] { (void)store->head("a"); }), ErrorCode::unavailable);
  const std::vector<std::chrono::milliseconds> most{0ms, 100ms, 200ms, 400ms, 800ms, 1s, 1s, 1s};
  ASSERT_EQ(pauses.size(), most.size());
  MonotonicTime sum{0};
  for (std::size_t i = 0; i < most.size(); ++i) {
    EXPECT_LE(pauses[i], most[i]);
    sum += pauses[i];
  }
  EXPECT_GT(sum, 100ms) << "there were no pauses at all";
}

TEST_F(RetryTest, ADeadProviderIsNotAskedSeveralTimesOverForLong) {
  faulty_->fail_all();
  const auto store = retrying({.max_attempts = 5});
  constexpr std::uint64_t kCalls = 1000;
  for (std::uint64_t i = 0; i < kCalls; ++i) EXPECT_THROW((void)store->head("a"), Error);
  EXPECT_EQ(faulty_->count(ObjectOperation::head), kCalls + objects::RetryBudget::kTokens);
  // What succeeds earns repetitions again, ten for one.
  faulty_->clear_faults();
  for (int i = 0; i < 10; ++i) (void)store->head("a");
  faulty_->fail_all();
  const std::uint64_t asked = faulty_->count(ObjectOperation::head);
  EXPECT_THROW((void)store->head("a"), Error);
  EXPECT_EQ(faulty_->count(ObjectOperation::head), asked + 2);
}

TEST_F(RetryTest, NoPauseOutlastsTheCallersDeadline) {
  faulty_->fail_all();
  const auto store = retrying({.max_attempts = 100, .base_delay = 1s, .max_delay = 1h});
  const MonotonicTime deadline = clock_->monotonic() + 30s;
  EXPECT_EQ(code_of([&] { (void)store->head("a", CallOptions{.deadline = deadline}); }),
            ErrorCode::unavailable);
  EXPECT_LT(clock_->monotonic(), deadline);
  EXPECT_GT(faulty_->count(ObjectOperation::head), 1U);
}

TEST_F(RetryTest, AStopEndsThePause) {
  // On a clock that stands still nothing else can.
  const auto still = std::make_shared<SimulatedClock>();
  faulty_->fail_all();
  RetryLayer store(faulty_, still, seeded_random(1), {.base_delay = 1h, .max_delay = 1h}, metrics_);
  std::stop_source stop;
  std::jthread stopper([&] {
    while (still->waiting() == 0) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(code_of([&] { (void)store.head("a", CallOptions{.stop = stop.get_token()}); }),
            ErrorCode::cancelled);
}

TEST_F(RetryTest, APutWhoseAnswerWasLostIsNotMadeTwice) {
  for (const bool conditional : {false, true}) {
    const std::string name = conditional ? "conditional" : "plain";
    faulty_->script(ObjectOperation::put, {after});
    const std::uint64_t asked = faulty_->count(ObjectOperation::put);
    const PutResult result = retrying()->put(name, body_, {.only_if_absent = conditional});
    EXPECT_EQ(faulty_->count(ObjectOperation::put), asked + 1);
    EXPECT_TRUE(result.verified);
    EXPECT_EQ(result.etag, bare_->head(name)->etag);
  }
}

TEST_F(RetryTest, APutThatDidNotTakeEffectIsMade) {
  bare_->put("a", bytes_of("the BODY"));  // of another writer, of the same size
  faulty_->script(ObjectOperation::put, {before});
  retrying()->put("a", body_);
  EXPECT_EQ(text_of(bare_->get("a", kAnySize)), "the body");
}

TEST_F(RetryTest, AConditionalPutThatLostTheRaceIsAConflict) {
  faulty_->script(ObjectOperation::put, {before});
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    // Between the attempts somebody else puts another body.
    if (operation == ObjectOperation::head) bare_->put("a", bytes_of("THE BODY"));
  });
  EXPECT_EQ(code_of([&] { retrying()->put("a", body_, {.only_if_absent = true}); }), ErrorCode::conflict);
  EXPECT_EQ(text_of(bare_->get("a", kAnySize)), "THE BODY");
}

TEST_F(RetryTest, APutThatLandsBetweenLookingAndRepeatingIsNoConflict) {
  faulty_->script(ObjectOperation::put, {before, none});
  int puts = 0;
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put && ++puts == 2) bare_->put("a", body_);  // the first, at last
  });
  const PutResult result = retrying()->put("a", body_, {.only_if_absent = true});
  EXPECT_EQ(result.etag, bare_->head("a")->etag);
}

TEST_F(RetryTest, LookingForAPutThatArrivedMayFailItself) {
  faulty_->script(ObjectOperation::put, {after});
  faulty_->script(ObjectOperation::head, {before, after, none});
  faulty_->script(ObjectOperation::get_range, {before, none});
  retrying()->put("a", body_);
  EXPECT_EQ(faulty_->count(ObjectOperation::put), 1U);
}

TEST_F(RetryTest, ARemovalWhoseAnswerWasLostSaysThatThereWasOne) {
  bare_->put("a", body_);
  faulty_->script(ObjectOperation::remove, {after});
  EXPECT_TRUE(retrying()->remove("a"));
  EXPECT_FALSE(retrying()->remove("a"));
}

TEST_F(RetryTest, RemoveManyRepeatsThoseThatFailed) {
  std::vector<std::string> names;
  for (int i = 0; i < 6; ++i) names.push_back("a" + std::to_string(i));
  for (const std::string& name : names) bare_->put(name, body_);
  faulty_->script(ObjectOperation::remove, {none, before, after, none, none, before, before, none, none});
  EXPECT_TRUE(retrying()->remove_many(names).empty());
  EXPECT_EQ(faulty_->count(ObjectOperation::remove), 6U + 3U + 1U);
  EXPECT_TRUE(bare_->list("", "", 10).objects.empty());
}

TEST_F(RetryTest, RemoveManyReturnsWhatStaysAndRepeatsNoRefusal) {
  bare_->put("a", body_);
  bare_->put("b", body_);
  faulty_->script(ObjectOperation::remove, {before, none}, ErrorCode::permission_denied);
  const std::vector<std::string> names{"a", "b"};
  const auto failures = retrying()->remove_many(names);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].name, "a");
  EXPECT_EQ(failures[0].code, ErrorCode::permission_denied);
  EXPECT_EQ(faulty_->count(ObjectOperation::remove), 2U);
  faulty_->fail_all();
  EXPECT_EQ(retrying({.max_attempts = 3})->remove_many(names).size(), 2U);
}

TEST_F(RetryTest, RemoveManyAsAWholeIsRepeated) {
  faulty_->whole_remove_many();
  bare_->put("a", body_);
  faulty_->script(ObjectOperation::remove_many, {after});
  const std::vector<std::string> names{"a"};
  EXPECT_TRUE(retrying()->remove_many(names).empty());
  EXPECT_EQ(faulty_->count(ObjectOperation::remove_many), 2U);
}

TEST_F(RetryTest, ACompletionWhoseAnswerWasLostIsDone) {
  const auto store = retrying();
  const std::string id = store->begin_multipart("a", 100);
  const std::vector<ObjectPart> parts{store->put_part("a", id, 1, body_)};
  faulty_->script(ObjectOperation::complete_multipart, {after});
  const PutResult result = store->complete_multipart("a", id, parts);
  EXPECT_EQ(result.etag, bare_->head("a")->etag);
  // One that nobody completed stays an error.
  EXPECT_EQ(code_of([&] { (void)store->complete_multipart("a", id, parts); }), ErrorCode::invalid_argument);
}

TEST_F(RetryTest, ACompletionOfAnUploadThatSomebodyAbortedFails) {
  const auto store = retrying();
  const std::string id = store->begin_multipart("a", 100);
  const std::vector<ObjectPart> parts{store->put_part("a", id, 1, body_)};
  faulty_->script(ObjectOperation::complete_multipart, {before});
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::complete_multipart) bare_->abort_multipart("a", id);
  });
  EXPECT_EQ(code_of([&] { (void)store->complete_multipart("a", id, parts); }), ErrorCode::invalid_argument);
}

TEST_F(RetryTest, ABeginWhoseAnswerWasLostLeavesAnUploadThatListMultipartFinds) {
  faulty_->script(ObjectOperation::begin_multipart, {after});
  const std::string id = retrying()->begin_multipart("a", 100);
  const PendingUploadPage page = bare_->list_multipart("", {}, 10);
  ASSERT_EQ(page.uploads.size(), 2U);
  for (const PendingUpload& upload : page.uploads) bare_->abort_multipart(upload.name, upload.upload_id);
}

TEST_F(RetryTest, PartsAndTheirListsAreRepeated) {
  const auto store = retrying();
  const std::string id = store->begin_multipart("a", 100);
  faulty_->script(ObjectOperation::put_part, {after});
  faulty_->script(ObjectOperation::list_parts, {before});
  faulty_->script(ObjectOperation::list_multipart, {before});
  faulty_->script(ObjectOperation::abort_multipart, {after});
  store->put_part("a", id, 1, body_);
  EXPECT_EQ(store->list_parts("a", id, 0, 10)->parts.size(), 1U);
  EXPECT_EQ(store->list_multipart("", {}, 10).uploads.size(), 1U);
  store->abort_multipart("a", id);
  EXPECT_FALSE(bare_->list_parts("a", id, 0, 10));
}

class TimeoutTest : public RetryTest {};

TEST_F(TimeoutTest, AStallEndsAtTheTimeoutAsUnavailable) {
  TimeoutLayer store(faulty_, clock_, 5s, "cold.request_timeout");
  faulty_->fail_all(stalled);
  const MonotonicTime started = clock_->monotonic();
  EXPECT_EQ(code_of([&] { (void)store.head("a"); }), ErrorCode::unavailable);
  EXPECT_EQ(clock_->monotonic() - started, 5s);
}

TEST_F(TimeoutTest, TheCallersOwnDeadlineIsDeadlineExceeded) {
  TimeoutLayer store(faulty_, clock_, 5s, "cold.request_timeout");
  faulty_->fail_all(stalled);
  const MonotonicTime deadline = clock_->monotonic() + 2s;
  EXPECT_EQ(code_of([&] { (void)store.head("a", CallOptions{.deadline = deadline}); }),
            ErrorCode::deadline_exceeded);
  EXPECT_EQ(clock_->monotonic(), deadline);
}

TEST_F(TimeoutTest, ABodyGetsASecondMoreForEachMebibyte) {
  TimeoutLayer store(faulty_, clock_, 5s, "cold.request_timeout");
  faulty_->fail_all(stalled);
  const MonotonicTime started = clock_->monotonic();
  EXPECT_THROW(store.put("a", Bytes(3 << 20)), Error);
  EXPECT_EQ(clock_->monotonic() - started, 8s);
  EXPECT_THROW((void)store.get_range("a", 0, 2 << 20), Error);
  EXPECT_EQ(clock_->monotonic() - started, 8s + 7s);
}

TEST_F(TimeoutTest, UnderTheRetriesItBoundsOneAttempt) {
  bare_->put("a", body_);
  faulty_->script(ObjectOperation::head, {stalled, stalled, none});
  const auto attempts = std::make_shared<TimeoutLayer>(faulty_, clock_, 5s, "the attempt's timeout");
  const auto retry =
      std::make_shared<RetryLayer>(attempts, clock_, seeded_random(1), RetryOptions{}, metrics_);
  TimeoutLayer store(retry, clock_, 60s, "cold.request_timeout");
  EXPECT_TRUE(store.head("a"));
  // And over them all: what stalls for ever ends.
  faulty_->fail_all(stalled);
  const MonotonicTime started = clock_->monotonic();
  EXPECT_EQ(code_of([&] { (void)store.head("a"); }), ErrorCode::unavailable);
  EXPECT_LE(clock_->monotonic() - started, 60s);
}

class LimitTest : public RetryTest {
 protected:
  static constexpr auto kReads = static_cast<std::size_t>(objects::RequestClass::reads);
};

TEST_F(LimitTest, NoMoreRequestsThanAllowedAreInFlight) {
  constexpr std::size_t kMost = 3;
  LimitLayer store(faulty_, system_clock(), {.max_in_flight = kMost});
  std::atomic<std::size_t> now{0};
  std::atomic<std::size_t> most{0};
  std::atomic<bool> go{false};
  faulty_->set_hook([&](ObjectOperation, std::string_view) {
    const std::size_t mine = ++now;
    std::size_t seen = most.load();
    while (seen < mine && !most.compare_exchange_weak(seen, mine)) {
    }
    while (!go) std::this_thread::yield();
    --now;
  });
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { (void)store.head("a"); });
    while (now < kMost) std::this_thread::yield();
    go = true;
  }
  EXPECT_EQ(most.load(), kMost);
  EXPECT_EQ(faulty_->count(ObjectOperation::head), 8U);
}

TEST_F(LimitTest, WaitingForATurnEndsAtTheDeadlineOrWithAStop) {
  const auto still = std::make_shared<SimulatedClock>();
  LimitLayer store(faulty_, still, {.max_in_flight = 1});
  std::atomic<bool> inside{false};
  std::atomic<bool> go{false};
  faulty_->set_hook([&](ObjectOperation, std::string_view) {
    inside = true;
    while (!go) std::this_thread::yield();
  });
  std::jthread holder([&] { (void)store.head("a"); });
  while (!inside) std::this_thread::yield();
  EXPECT_EQ(code_of([&] { (void)store.head("b", CallOptions{.deadline = still->monotonic()}); }),
            ErrorCode::deadline_exceeded);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of([&] { (void)store.head("b", CallOptions{.stop = stop.get_token()}); }),
            ErrorCode::cancelled);
  std::stop_source later;
  std::jthread stopper([&] {
    while (still->waiting() == 0) std::this_thread::yield();
    later.request_stop();
  });
  EXPECT_EQ(code_of([&] {
              (void)store.head("b",
                               CallOptions{.deadline = still->monotonic() + 1h, .stop = later.get_token()});
            }),
            ErrorCode::cancelled);
  go = true;
  EXPECT_EQ(faulty_->count(ObjectOperation::head), 1U);
}

TEST_F(LimitTest, ARateHoldsOverTimeAndForItsClassAlone) {
  objects::LimitOptions options;
  options.per_second[kReads] = 10;
  LimitLayer store(faulty_, clock_, options);
  const MonotonicTime started = clock_->monotonic();
  for (int i = 0; i < 101; ++i) (void)store.head("a");
  const auto took = clock_->monotonic() - started;
  EXPECT_GE(took, 9s + 800ms);  // a burst of a tenth of a second's worth is free
  EXPECT_LE(took, 10s);
  for (int i = 0; i < 100; ++i) store.put("a", body_);
  for (int i = 0; i < 100; ++i) (void)store.list("", "", 10);
  for (int i = 0; i < 100; ++i) (void)store.remove("a");
  EXPECT_EQ(clock_->monotonic() - started, took);
}

TEST_F(LimitTest, ATurnPastTheDeadlineIsRefusedAtOnceAndTakesNobodysPlace) {
  objects::LimitOptions options;
  options.per_second[kReads] = 1;
  LimitLayer store(faulty_, clock_, options);
  (void)store.head("a");
  const MonotonicTime started = clock_->monotonic();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(code_of([&] { (void)store.head("a", CallOptions{.deadline = started + 100ms}); }),
              ErrorCode::deadline_exceeded);
  }
  EXPECT_EQ(clock_->monotonic(), started);
  (void)store.head("a");
  EXPECT_LE(clock_->monotonic() - started, 1s);
}

TEST(LayerStack, CountsAttemptsFailuresRetriesAndBytes) {
  const auto clock = std::make_shared<HastyClock>();
  const auto faulty = std::make_shared<FaultObjectStore>(objects::make_memory_object_store(), 1, clock);
  const auto stack = objects::add_layers(faulty, ColdConfig{}, clock, seeded_random(1));
  stack.store->put("a", as_bytes("12345"));
  faulty->script(ObjectOperation::get_range, {before, before});
  (void)stack.store->get_range("a", 1, 3);
  const auto& reads = stack.metrics->of(ObjectOperation::get_range);
  EXPECT_EQ(reads.requests.value(), 3U);
  EXPECT_EQ(reads.failures.value(), 2U);
  EXPECT_EQ(reads.retries.value(), 2U);
  EXPECT_EQ(reads.bytes.value(), 3U);
  EXPECT_EQ(reads.latency.snapshot().count(), 3U);
  EXPECT_EQ(stack.metrics->of(ObjectOperation::put).bytes.value(), 5U);
}

TEST(LayerStack, OperationsHaveNames) {
  for (std::size_t i = 0; i < kObjectOperations; ++i) {
    EXPECT_NE(to_string(static_cast<ObjectOperation>(i)), "unknown");
  }
}

}  // namespace
}  // namespace db4::testing
