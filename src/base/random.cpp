#include <db4/error.hpp>
#include <db4/random.hpp>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>

namespace db4 {

namespace {

void draw(std::span<std::byte> out) {
  constexpr std::size_t kMaxDraw = std::size_t{1} << 20;  // RAND_bytes counts in int
  while (!out.empty()) {
    const std::size_t size = std::min(out.size(), kMaxDraw);
    if (::RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size)) != 1) {
      throw Error(ErrorCode::unavailable, "OpenSSL's random generator gave no bytes",
                  "check that the system's entropy source (getrandom) works, then repeat");
    }
    out = out.subspan(size);
  }
}

// Counts the forks behind this process: a child must not hand out the bytes its parent hands out.
std::atomic<std::uint64_t> fork_generation{0};

void watch_for_forks() {
  static std::once_flag registered;
  std::call_once(registered, [] {
    if (::pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); }) !=
        0) {
      throw Error(ErrorCode::resource_exhausted, "the system has no memory for a fork handler",
                  "free memory, then repeat");
    }
  });
}

// A call of RAND_bytes costs microseconds however little it draws, so each thread draws some hundred bytes at
// a time. What was handed out, and what is left when the thread ends, is wiped.
class ThreadBuffer {
 public:
  ThreadBuffer() = default;
  ~ThreadBuffer() { discard(); }
  ThreadBuffer(const ThreadBuffer&) = delete;
  ThreadBuffer& operator=(const ThreadBuffer&) = delete;

  static constexpr std::size_t kSize = 512;

  void take(std::span<std::byte> out) {
    const std::uint64_t generation = fork_generation.load(std::memory_order_relaxed);
    if (generation != generation_) {
      discard();
      generation_ = generation;
    }
    while (!out.empty()) {
      if (left_ == 0) {
        draw(bytes_);
        left_ = kSize;
      }
      const std::size_t size = std::min(out.size(), left_);
      std::byte* const from = bytes_.data() + (kSize - left_);
      std::memcpy(out.data(), from, size);
      ::OPENSSL_cleanse(from, size);
      left_ -= size;
      out = out.subspan(size);
    }
  }

 private:
  void discard() {
    ::OPENSSL_cleanse(bytes_.data(), bytes_.size());
    left_ = 0;
  }

  std::array<std::byte, kSize> bytes_{};
  std::size_t left_ = 0;
  std::uint64_t generation_ = 0;
};

class SystemRandom final : public RandomSource {
 public:
  SystemRandom() { watch_for_forks(); }

  void fill(std::span<std::byte> out) override {
    if (out.size() >= ThreadBuffer::kSize) return draw(out);
    thread_local ThreadBuffer buffer;
    buffer.take(out);
  }
};

// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Its state is
// a counter, so threads share it without a lock.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}

  void fill(std::span<std::byte> out) override {
    while (!out.empty()) {
      const std::uint64_t bits = next();
      const std::size_t size = std::min(out.size(), sizeof bits);
      std::memcpy(out.data(), &bits, size);
      out = out.subspan(size);
    }
  }

 private:
  std::uint64_t next() {
    constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;
    std::uint64_t z = state_.fetch_add(kGolden, std::memory_order_relaxed) + kGolden;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

  std::atomic<std::uint64_t> state_;
};

}  // namespace

std::uint64_t RandomSource::next_u64() {
  std::array<std::byte, sizeof(std::uint64_t)> bytes{};
  fill(bytes);
  std::uint64_t out = 0;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}

std::shared_ptr<RandomSource> system_random() { return std::make_shared<SystemRandom>(); }

std::shared_ptr<RandomSource> seeded_random(std::uint64_t seed) {
  return std::make_shared<SeededRandom>(seed);
}

}  // namespace db4
