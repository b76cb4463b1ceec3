// SingleFlight: one fetches for all, and whose bounds end what.

#include "cold/single_flight.hpp"

#include "codec/record.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace db4::cold {
namespace {

using namespace std::chrono_literals;

detail::BlockRef some_block() {
  const std::string record = codec::encode_record({.collection = "c", .id = "a", .version = 1}, "body", {});
  return codec::decode_record(record, {.collection = "c", .id = "a", .version = 1});
}

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

class SingleFlightTest : public ::testing::Test {
 protected:
  /// A fetch that waits until it is let go, and then ends so.
  detail::BlockRef held_fetch(const std::function<detail::BlockRef()>& end) {
    inside_ = true;
    while (!go_) std::this_thread::yield();
    return end();
  }
  void wait_until_inside() const {
    while (!inside_) std::this_thread::yield();
  }
  void wait_for_followers(std::uint64_t joined) const {
    while (flights_.joined() < joined) std::this_thread::yield();
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  SingleFlight<> flights_{clock_};
  std::atomic<bool> inside_{false};
  std::atomic<bool> go_{false};
};

TEST_F(SingleFlightTest, AFetcherOutOfTimeOrStoppedFailsNobodyElse) {
  for (const ErrorCode own : {ErrorCode::deadline_exceeded, ErrorCode::cancelled}) {
    inside_ = go_ = false;
    const std::uint64_t joined = flights_.joined();
    std::jthread leader([&] {
      EXPECT_EQ(code_of([&] {
                  flights_.run("a", MonotonicTime::max(), {}, [&] {
                    return held_fetch([&]() -> detail::BlockRef { throw Error(own, "mine", "wait longer"); });
                  });
                }),
                own);
    });
    wait_until_inside();
    constexpr std::uint64_t kFollowers = 4;
    std::atomic<int> fetches{0};
    {
      std::vector<std::jthread> followers;
      for (std::uint64_t i = 0; i < kFollowers; ++i) {
        followers.emplace_back([&] {
          const detail::BlockRef block = flights_.run("a", MonotonicTime::max(), {}, [&] {
            ++fetches;
            return some_block();
          });
          EXPECT_TRUE(block);
        });
      }
      wait_for_followers(joined + kFollowers);
      go_ = true;
    }
    EXPECT_GE(fetches, 1) << "one of them fetches anew";
  }
}

TEST_F(SingleFlightTest, AFailureOfTheStoreFailsAllWhoJoined) {
  std::jthread leader([&] {
    EXPECT_EQ(code_of([&] {
                flights_.run("a", MonotonicTime::max(), {}, [&] {
                  return held_fetch(
                      [&]() -> detail::BlockRef { throw Error(ErrorCode::unavailable, "away", "wait"); });
                });
              }),
              ErrorCode::unavailable);
  });
  wait_until_inside();
  std::jthread follower([&] {
    EXPECT_EQ(code_of([&] {
                flights_.run("a", MonotonicTime::max(), {}, []() -> detail::BlockRef {
                  ADD_FAILURE() << "fetched again";
                  return {};
                });
              }),
              ErrorCode::unavailable);
  });
  wait_for_followers(1);
  go_ = true;
}

TEST_F(SingleFlightTest, AFollowerWaitsNoLongerThanHisOwnDeadline) {
  std::jthread leader([&] {
    EXPECT_TRUE(flights_.run("a", MonotonicTime::max(), {}, [&] { return held_fetch(&some_block); }));
  });
  wait_until_inside();
  std::jthread follower([&] {
    EXPECT_EQ(code_of([&] {
                flights_.run("a", clock_->monotonic() + 1s, {}, []() -> detail::BlockRef { return {}; });
              }),
              ErrorCode::deadline_exceeded);
  });
  while (clock_->waiting() == 0) std::this_thread::yield();
  clock_->advance(2s);
  follower.join();
  go_ = true;
}

}  // namespace
}  // namespace db4::cold
