#include "harness/workload.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <random>

namespace db4::bench {

std::vector<std::string> make_ids(std::size_t count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  char buffer[32];
  for (std::size_t i = 0; i < count; ++i) {
    std::snprintf(buffer, sizeof buffer, "document-%011zu", i);
    ids.emplace_back(buffer);
  }
  return ids;
}

std::vector<std::string> make_shuffled_ids(std::size_t count) {
  std::vector<std::string> ids = make_ids(count);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
  return ids;
}

Bodies::Bodies() {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
  std::mt19937_64 random(2);
  text_.resize(1U << 22);
  for (char& letter : text_) letter = kLetters[random() % kLetters.size()];
}

std::string make_json_document(std::size_t i) {
  nlohmann::json document{
      {"id", i}, {"name", "document number " + std::to_string(i)}, {"tags", nlohmann::json::array()}};
  std::mt19937_64 random(i);
  for (int tag = 0; tag < 24; ++tag) {
    document["tags"].push_back({{"key", "property-" + std::to_string(tag)}, {"value", random() % 1'000'000}});
  }
  return document.dump();
}

Zipf::Zipf(std::size_t keys, double theta, std::uint64_t seed)
    : draws_(std::min(std::bit_ceil(keys * 4), kMaxDraws)) {
  std::vector<double> cumulative(keys);
  double sum = 0;
  for (std::size_t rank = 0; rank < keys; ++rank) {
    sum += 1.0 / std::pow(static_cast<double>(rank + 1), theta);
    cumulative[rank] = sum;
  }
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, sum);
  std::vector<std::uint32_t> scrambled(keys);
  for (std::size_t i = 0; i < keys; ++i) scrambled[i] = static_cast<std::uint32_t>(i);
  std::shuffle(scrambled.begin(), scrambled.end(), random);
  for (std::uint32_t& draw : draws_) {
    const auto rank =
        std::lower_bound(cumulative.begin(), cumulative.end(), uniform(random)) - cumulative.begin();
    draw = scrambled[std::min<std::size_t>(static_cast<std::size_t>(rank), keys - 1)];
  }
}

}  // namespace db4::bench
