#include "base/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace db4 {
namespace {

using namespace std::chrono_literals;

class CircuitBreakerTest : public ::testing::Test {
 protected:
  bool fail_once() {
    auto pass = breaker_.enter();
    if (!pass) return false;
    pass->failed("it is away");
    return true;
  }
  bool succeed_once() {
    auto pass = breaker_.enter();
    if (!pass) return false;
    pass->succeeded();
    return true;
  }
  void open_it() {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(fail_once());
    ASSERT_TRUE(breaker_.open());
  }

  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  CircuitBreaker breaker_{
      {.max_failures = 3, .first_pause = 100ms, .max_pause = 1s}, clock_, seeded_random(7)};
};

TEST_F(CircuitBreakerTest, OpensAfterFailuresInARowOnly) {
  EXPECT_TRUE(fail_once());
  EXPECT_TRUE(fail_once());
  EXPECT_TRUE(succeed_once());
  EXPECT_TRUE(fail_once());
  EXPECT_TRUE(fail_once());
  EXPECT_FALSE(breaker_.open());
  EXPECT_TRUE(fail_once());
  EXPECT_TRUE(breaker_.open());
  EXPECT_EQ(breaker_.reason(), "it is away");
  EXPECT_FALSE(breaker_.enter());
}

TEST_F(CircuitBreakerTest, LetsOneProbeThroughAfterThePauseAndClosesWhenItSucceeds) {
  open_it();
  clock_->advance(100ms);
  auto probe = breaker_.enter();
  ASSERT_TRUE(probe);
  EXPECT_FALSE(breaker_.enter()) << "one at a time";
  probe->succeeded();
  EXPECT_FALSE(breaker_.open());
  EXPECT_TRUE(breaker_.enter());
  EXPECT_TRUE(breaker_.enter());
}

TEST_F(CircuitBreakerTest, ThePauseGrowsWithFailedProbesUpToItsBound) {
  open_it();
  std::vector<MonotonicTime> pauses;
  for (int probes = 0; probes < 8; ++probes) {
    MonotonicTime waited{0};
    while (!fail_once()) {
      clock_->advance(1ms);
      waited += 1ms;
    }
    pauses.push_back(waited);
  }
  MonotonicTime bound = 100ms;
  for (const MonotonicTime pause : pauses) {
    EXPECT_GE(pause, bound / 2);
    EXPECT_LE(pause, bound + 1ms);
    bound = std::min<MonotonicTime>(bound * 2, 1s);
  }
  clock_->advance(1s);
  EXPECT_TRUE(succeed_once());
  open_it();
  clock_->advance(100ms);
  EXPECT_TRUE(succeed_once()) << "after it was closed the pause begins small again";
}

TEST_F(CircuitBreakerTest, AProbeWithoutAVerdictMakesRoomForTheNext) {
  open_it();
  clock_->advance(100ms);
  { const auto probe = breaker_.enter(); }
  EXPECT_TRUE(breaker_.open());
  EXPECT_TRUE(succeed_once());
}

TEST_F(CircuitBreakerTest, CallsThatBeganBeforeItOpenedNeitherCloseItNorLengthenThePause) {
  auto late_success = breaker_.enter();
  auto late_failure = breaker_.enter();
  open_it();
  late_success->succeeded();
  EXPECT_TRUE(breaker_.open());
  clock_->advance(100ms);
  late_failure->failed("late");
  EXPECT_TRUE(succeed_once());
  EXPECT_EQ(breaker_.reason(), "it is away");
}

TEST_F(CircuitBreakerTest, ManyThreadsGetOneProbe) {
  open_it();
  clock_->advance(100ms);
  std::atomic<int> probes = 0;
  std::vector<std::optional<CircuitBreaker::Pass>> kept(8);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kept.size(); ++t) {
      threads.emplace_back([&, t] {
        auto pass = breaker_.enter();
        if (!pass) return;
        ++probes;
        kept[t].emplace(std::move(*pass));
      });
    }
  }
  EXPECT_EQ(probes, 1);
}

}  // namespace
}  // namespace db4
