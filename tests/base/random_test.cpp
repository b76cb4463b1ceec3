#include <db4/random.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <thread>
#include <vector>

namespace db4 {
namespace {

// The published outputs of SplitMix64 for this seed.
TEST(SeededRandom, GivesSplitMix64) {
  const auto random = seeded_random(1234567);
  EXPECT_EQ(random->next_u64(), 6457827717110365317U);
  EXPECT_EQ(random->next_u64(), 3203168211198807973U);
  EXPECT_EQ(random->next_u64(), 9817491932198370423U);
}

TEST(SeededRandom, ReplaysFromItsSeed) {
  Bytes first(1001);
  Bytes second(1001);
  Bytes other(1001);
  seeded_random(7)->fill(first);
  seeded_random(7)->fill(second);
  seeded_random(8)->fill(other);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other);
}

TEST(SeededRandom, ThreadsShareItWithoutRepeats) {
  constexpr std::size_t kDraws = 10'000;
  const auto random = seeded_random(1);
  std::array<std::vector<std::uint64_t>, 3> drawn;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : drawn) {
      threads.emplace_back([&random, &mine] {
        for (std::size_t n = 0; n < kDraws; ++n) mine.push_back(random->next_u64());
      });
    }
  }
  std::set<std::uint64_t> all;
  for (const auto& mine : drawn) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), drawn.size() * kDraws);
}

TEST(SystemRandom, FillsAnySizeToTheLastByte) {
  const auto random = system_random();
  for (const std::size_t size : {1U, 7U, 511U, 512U, 513U, 100'000U}) {
    // A byte that stays zero in twenty draws was not filled (a chance of 256^-20 that it was).
    Bytes seen(size);
    Bytes draw(size);
    for (int n = 0; n < 20; ++n) {
      random->fill(draw);
      for (std::size_t i = 0; i < size; ++i) seen[i] |= draw[i];
    }
    EXPECT_EQ(std::ranges::count(seen, std::byte{0}), 0) << size;
  }
  random->fill({});
}

TEST(SystemRandom, HandsOutNothingTwice) {
  constexpr std::size_t kDraws = 2000;
  const auto random = system_random();
  std::array<std::vector<std::uint64_t>, 3> drawn;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : drawn) {
      threads.emplace_back([&random, &mine] {
        for (std::size_t n = 0; n < kDraws; ++n) mine.push_back(random->next_u64());
      });
    }
  }
  std::set<std::uint64_t> all;
  int ones = 0;
  for (const auto& mine : drawn) {
    all.insert(mine.begin(), mine.end());
    for (const std::uint64_t bits : mine) ones += std::popcount(bits);
  }
  EXPECT_EQ(all.size(), drawn.size() * kDraws);
  // 6,000 draws of 64 bits: 192,000 ones, with a standard deviation of 310.
  EXPECT_NEAR(ones, 192'000, 3'100);
}

TEST(SystemRandom, AChildProcessDoesNotRepeatItsParent) {
  const auto random = system_random();
  static_cast<void>(random->next_u64());  // the thread's buffer is full now, and the child inherits it
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::uint64_t bits = random->next_u64();
    const bool sent = ::write(pipe_ends[1], &bits, sizeof bits) == sizeof bits;
    ::_exit(sent ? 0 : 1);
  }
  std::uint64_t from_child = 0;
  EXPECT_EQ(::read(pipe_ends[0], &from_child, sizeof from_child), static_cast<ssize_t>(sizeof from_child));
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_NE(from_child, random->next_u64());
}

}  // namespace
}  // namespace db4
