#pragma once
// What is stored and asked for: ids, bodies, and a Zipf distribution. All of it follows from numbers, so that
// every contestant gets the same in the same order.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace db4::bench {

inline constexpr std::size_t kBodyBytes = 512;
inline constexpr std::size_t kIdBytes = 20;

/// Ids of kIdBytes, in ascending order.
std::vector<std::string> make_ids(std::size_t count);
/// The same in random order.
std::vector<std::string> make_shuffled_ids(std::size_t count);

/// Bodies of kBodyBytes, different for each document, that compress to about three quarters: no engine gains
/// by having been given the same bytes again and again.
class Bodies {
 public:
  Bodies();
  [[nodiscard]] std::string_view at(std::size_t i) const noexcept {
    return std::string_view(text_).substr((i * 7919) % (text_.size() - kBodyBytes), kBodyBytes);
  }

 private:
  std::string text_;
};

/// Some 1 KB of JSON that compresses as real documents do.
std::string make_json_document(std::size_t i);

/// Draws of a scrambled Zipf distribution, made beforehand.
class Zipf {
 public:
  Zipf(std::size_t keys, double theta, std::uint64_t seed);
  /// The i-th draw of a thread; threads start far apart.
  [[nodiscard]] std::size_t at(unsigned thread, std::size_t i) const noexcept {
    return draws_[(i + thread * (draws_.size() / 16)) & (draws_.size() - 1)];
  }

 private:
  static constexpr std::size_t kMaxDraws = 1U << 22;
  std::vector<std::uint32_t> draws_;
};

/// Reads the whole body, as whoever asked for it would.
inline std::uint64_t read_all(std::string_view body) {
  std::uint64_t sum = body.size();
  for (std::size_t i = 0; i + sizeof sum <= body.size(); i += sizeof sum) {
    std::uint64_t word;
    std::memcpy(&word, body.data() + i, sizeof word);
    sum += word;
  }
  return sum;
}

}  // namespace db4::bench
