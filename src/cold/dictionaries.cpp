#include "cold/dictionaries.hpp"

#include "codec/record.hpp"

#include <algorithm>

namespace db4::cold {
namespace {

/// Every so many-th sample is held back from the training, to judge it by.
constexpr std::size_t kHeldBack = 5;
/// Of a record's header, about: it is not compressed, and counts in what a dictionary gains.
constexpr std::size_t kHeaderBytes = 100;
/// More names of collections than that are not remembered: what was known is looked up again.
constexpr std::size_t kMaxRemembered = 10'000;

}  // namespace

std::shared_ptr<const codec::Dictionary> Dictionaries::for_body(std::string_view collection,
                                                                std::string_view body) {
  if (!config_.dictionaries || config_.compression != Compression::zstd || body.empty() ||
      body.size() > codec::kMaxDictionaryBody) {
    return {};
  }
  std::uint32_t id = 0;
  {
    const std::scoped_lock lock(mutex_);
    auto known = of_collection_.find(collection);
    if (known == of_collection_.end()) {
      if (of_collection_.size() >= kMaxRemembered) of_collection_.clear();
      known = of_collection_.emplace(collection, catalog_.dictionary_of(collection)).first;
    }
    id = known->second;
    if (id == 0) sample(collection, body);
  }
  return id == 0 ? nullptr : find_dictionary(id);
}

void Dictionaries::sample(std::string_view collection, std::string_view body) {
  if (declined_.contains(collection)) return;
  auto place = sampled_.find(collection);
  if (place == sampled_.end()) {
    if (sampled_.size() >= kMaxSampledCollections) return;
    place = sampled_.emplace(collection, Samples{}).first;
  }
  Samples& samples = place->second;
  if (enough(samples)) return;
  samples.bodies.emplace_back(body);
  samples.bytes += body.size();
}

std::shared_ptr<const codec::Dictionary> Dictionaries::find_dictionary(std::uint32_t id) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = prepared_.find(id); found != prepared_.end()) return found->second;
  }
  auto stored = catalog_.find_dictionary(id);
  if (!stored) return {};
  auto dictionary =
      std::make_shared<const codec::Dictionary>(std::move(stored->bytes), config_.compression_level);
  const std::scoped_lock lock(mutex_);
  if (prepared_.size() >= kMaxPreparedDictionaries) prepared_.clear();
  return prepared_.emplace(id, std::move(dictionary)).first->second;
}

std::string Dictionaries::train_one(const Samples& samples) const {
  std::vector<std::string_view> training;
  std::vector<std::string_view> held_back;
  for (std::size_t i = 0; i < samples.bodies.size(); ++i) {
    (i % kHeldBack == 0 ? held_back : training).push_back(samples.bodies[i]);
  }
  std::string bytes = codec::train_dictionary(training);
  if (bytes.empty() || !pays(codec::Dictionary(bytes, config_.compression_level), held_back)) return {};
  return bytes;
}

bool Dictionaries::pays(const codec::Dictionary& dictionary,
                        const std::vector<std::string_view>& held_back) const {
  const auto size = [&](std::string_view body, const codec::Dictionary* with) {
    return kHeaderBytes + codec::compressed_size(config_.compression, config_.compression_level, body, with);
  };
  std::size_t without = 0;
  std::size_t with = 0;
  for (const std::string_view body : held_back) {
    without += size(body, nullptr);
    with += size(body, &dictionary);
  }
  return static_cast<double>(with) <= (1 - kMinDictionaryGain) * static_cast<double>(without);
}

std::size_t Dictionaries::train(const Put& put, const Discard& discard, const std::stop_token& stop) {
  std::size_t trained = 0;
  while (!stop.stop_requested()) {
    std::string collection;
    Samples samples;
    {
      const std::scoped_lock lock(mutex_);
      const auto ready =
          std::ranges::find_if(sampled_, [this](const auto& entry) { return enough(entry.second); });
      if (ready == sampled_.end()) break;
      collection = ready->first;
      samples = std::move(ready->second);
      sampled_.erase(ready);
    }
    std::string bytes = train_one(samples);
    if (bytes.empty()) {
      const std::scoped_lock lock(mutex_);
      if (declined_.size() >= kMaxRemembered) declined_.clear();
      declined_.insert(std::move(collection));
      continue;
    }
    catalog::StoredDictionary stored{.id = codec::Dictionary(bytes).id(), .object = {}, .bytes = bytes};
    // One of that very content may be there: of another collection, or from before a crash.
    if (const auto there = catalog_.find_dictionary(stored.id)) {
      if (there->bytes != bytes) continue;
      catalog_.use_dictionary(collection, stored.id);
    } else {
      stored.object = put(stored.id, stored.bytes);
      if (!catalog_.add_dictionary(stored, collection)) {
        discard(stored.object, stored.bytes.size());
        continue;
      }
    }
    const std::scoped_lock lock(mutex_);
    of_collection_[collection] = stored.id;
    ++trained;
  }
  return trained;
}

}  // namespace db4::cold
