// Keys by random operations against a model, over more than 200 simulated days: states, times, who may open
// what, and that no id ever comes twice.

#include "crypto_fixtures.hpp"
#include "support/in_memory_key_service.hpp"

#include <db4/encryption.hpp>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

namespace db4::crypto {
namespace {

using namespace std::chrono_literals;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

constexpr auto kExpiration = 90 * 24h;
constexpr auto kGrace = 7 * 24h;

struct ModelKey {
  KeyState state = KeyState::active;
  TimePoint expires_at{};
  TimePoint destroy_after{};
  bool forced = false;
};

class KeyModel {
 public:
  explicit KeyModel(std::uint64_t seed) : random_(seed) {
    reopen();
    const std::string first = manager_->active_key_id();
    add(first);
  }

  void step() {
    clock_->advance(std::chrono::minutes(random_() % 600));
    switch (random_() % 12) {
      case 0:
        return rotate();
      case 1:
        return schedule();
      case 2:
        return cancel();
      case 3:
      case 4:
        return process();
      case 5:
        return rewrap();
      case 6:
        return reopen();
      case 7:
        return reencrypt();
      case 8:
      case 9:
        return seal();
      default:
        return open();
    }
  }

  void compare() {
    const auto keys = manager_->list_keys();
    ASSERT_EQ(keys.size(), model_.size());
    int active = 0;
    for (const KeyInfo& key : keys) {
      const auto at = model_.find(key.id);
      ASSERT_NE(at, model_.end()) << key.id;
      ASSERT_EQ(key.state, at->second.state) << key.id << " is " << to_string(key.state);
      ASSERT_EQ(key.expires_at, at->second.expires_at);
      ASSERT_EQ(key.destroy_after.has_value(), key.state == KeyState::pending_destruction);
      ASSERT_EQ(key.destroy_after.value_or(at->second.destroy_after), at->second.destroy_after);
      active += key.state == KeyState::active ? 1 : 0;
    }
    ASSERT_EQ(active, 1);
  }

  [[nodiscard]] TimePoint now() const { return clock_->now(); }
  [[nodiscard]] std::size_t count(KeyState state) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(model_, [&](const auto& key) { return key.second.state == state; }));
  }

 private:
  void add(const std::string& id) {
    ASSERT_TRUE(model_.emplace(id, ModelKey{.expires_at = clock_->now() + kExpiration}).second)
        << "an id came twice";
    active_ = id;
  }

  std::string any_key() {
    auto at = model_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_() % model_.size()));
    return at->first;
  }
  std::uint64_t needed(std::string_view id) const {
    return static_cast<std::uint64_t>(std::ranges::count_if(
        documents_, [&](const Bytes& sealed) { return EncryptionManager::key_id_of(sealed) == id; }));
  }
  void begin_destruction(ModelKey& key, bool forced) const {
    if (key.state == KeyState::decrypt_only) key.destroy_after = clock_->now() + kGrace;
    key.state = KeyState::pending_destruction;
    key.forced = key.forced || forced;
  }

  void rotate() {
    const RotationOptions options{.keep_old_key = random_() % 4 != 0, .force = random_() % 3 == 0};
    const bool refused = !options.keep_old_key && !options.force && needed(active_) > 0;
    KeyRotation rotation;
    const auto error = error_of([&] { rotation = manager_->rotate_key(options); });
    ASSERT_EQ(error, refused ? std::optional(ErrorCode::invalid_argument) : std::nullopt);
    if (refused) return;
    ASSERT_EQ(rotation.old_key_id, active_);
    ModelKey& old = model_.at(active_);
    old.state = KeyState::decrypt_only;
    if (!options.keep_old_key) begin_destruction(old, options.force);
    add(rotation.new_key_id);
  }

  void schedule() {
    const std::string id = any_key();
    const bool force = random_() % 3 == 0;
    ModelKey& key = model_.at(id);
    std::optional<ErrorCode> expected;
    if (!force && needed(id) > 0) {
      expected = ErrorCode::invalid_argument;
    } else if (key.state == KeyState::active) {
      expected = ErrorCode::invalid_argument;
    } else if (key.state == KeyState::destroyed) {
      expected = ErrorCode::key_destroyed;
    }
    ASSERT_EQ(error_of([&] { manager_->schedule_destruction(id, {.force = force}); }), expected);
    if (!expected) begin_destruction(key, force);
  }

  void cancel() {
    const std::string id = any_key();
    ModelKey& key = model_.at(id);
    std::optional<ErrorCode> expected;
    if (key.state == KeyState::destroyed) {
      expected = ErrorCode::key_destroyed;
    } else if (key.state != KeyState::pending_destruction) {
      expected = ErrorCode::invalid_argument;
    }
    ASSERT_EQ(error_of([&] { manager_->cancel_destruction(id); }), expected);
    if (!expected) key = {.state = KeyState::decrypt_only, .expires_at = key.expires_at};
  }

  void process() {
    std::set<std::string> destroyed;
    std::set<std::string> kept;
    for (auto& [id, key] : model_) {
      if (key.state != KeyState::pending_destruction || key.destroy_after > clock_->now()) continue;
      if (!key.forced && needed(id) > 0) {
        kept.insert(id);
      } else {
        key.state = KeyState::destroyed;
        destroyed.insert(id);
      }
    }
    const ExpirationResult result = manager_->process_expirations();
    ASSERT_EQ(std::set(result.destroyed.begin(), result.destroyed.end()), destroyed);
    ASSERT_EQ(std::set(result.still_needed.begin(), result.still_needed.end()), kept);
    const bool expired = model_.at(active_).expires_at <= clock_->now();
    ASSERT_EQ(result.rotated.has_value(), expired);
    if (!expired) return;
    model_.at(active_).state = KeyState::decrypt_only;
    add(result.rotated->new_key_id);
  }

  void rewrap() {
    // To a key, to the service that the ring may be under already, or to another.
    const std::uint64_t to = random_() % 4;
    if (to == 0) master_ = generate_master_key();
    if (to == 1) service_keys_ = std::make_shared<testing::ServiceKeys>();
    if (to != 0) {
      service_keys_->rotate();
      master_ = master_key_from_service(std::make_shared<testing::InMemoryKeyService>(service_keys_));
    }
    manager_->rewrap(master_);
    if (to != 0) service_keys_->retire_old();
  }

  void reopen() {
    manager_ = std::make_unique<EncryptionManager>(
        EncryptionConfig{.master_key = master_,
                         .key_store = store_,
                         .default_key_expiration = kExpiration,
                         .destruction_grace_period = kGrace,
                         .use_counter = [this](std::string_view id) { return needed(id); }},
        clock_);
    manager_->initialize();
  }

  void seal() {
    documents_.push_back(manager_->seal(pattern(50), kContext));
    ASSERT_EQ(EncryptionManager::key_id_of(documents_.back()), active_);
  }

  void open() {
    for (const Bytes& sealed : documents_) {
      std::optional<ErrorCode> expected;
      const KeyState state = model_.at(EncryptionManager::key_id_of(sealed)).state;
      if (state == KeyState::pending_destruction) expected = ErrorCode::key_unavailable;
      if (state == KeyState::destroyed) expected = ErrorCode::key_destroyed;
      ASSERT_EQ(error_of([&] { ASSERT_EQ(manager_->open(sealed, kContext), pattern(50)); }), expected);
    }
  }

  /// Seals anew what still opens, and forgets the rest.
  void reencrypt() {
    std::vector<Bytes> anew;
    for (const Bytes& sealed : documents_) {
      const KeyState state = model_.at(EncryptionManager::key_id_of(sealed)).state;
      if (state != KeyState::active && state != KeyState::decrypt_only) continue;
      anew.push_back(manager_->needs_reencryption(sealed)
                         ? manager_->seal(manager_->open(sealed, kContext), kContext)
                         : sealed);
    }
    if (anew.size() > 20) anew.resize(20);
    documents_ = std::move(anew);
  }

  std::mt19937_64 random_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<InMemoryKeyStore> store_ = std::make_shared<InMemoryKeyStore>();
  MasterKey master_ = generate_master_key();
  std::shared_ptr<testing::ServiceKeys> service_keys_ = std::make_shared<testing::ServiceKeys>();
  std::unique_ptr<EncryptionManager> manager_;
  std::map<std::string, ModelKey> model_;
  std::string active_;
  std::vector<Bytes> documents_;
};

TEST(KeyModelTest, KeysDoWhatTheModelSaysOverTwoHundredDays) {
  const std::uint64_t seed = from_environment("DB4_TEST_SEED", 20'261'127);
  const std::uint64_t steps = std::min<std::uint64_t>(from_environment("DB4_TEST_STEPS", 3'000), 3'000);
  SCOPED_TRACE("repeat it with DB4_TEST_SEED=" + std::to_string(seed));
  KeyModel model(seed);
  const TimePoint begin = model.now();
  for (std::uint64_t i = 0; i < steps; ++i) {
    model.step();
    model.compare();
    if (::testing::Test::HasFatalFailure()) FAIL() << "at step " << i;
  }
  if (steps < 3'000) return;
  EXPECT_GT(model.now() - begin, 200 * 24h);
  EXPECT_GT(model.count(KeyState::destroyed), 10U);
}

TEST(KeyModelTest, LeftAloneKeysTurnOverEveryNinetyDays) {
  const auto clock = std::make_shared<SimulatedClock>();
  EncryptionManager manager({.master_key = generate_master_key()}, clock);
  manager.initialize();
  std::vector<Bytes> documents;
  for (int hour = 0; hour < 200 * 24; ++hour) {
    manager.process_expirations();
    if (hour % 24 == 0) documents.push_back(manager.seal(pattern(10), kContext));
    clock->advance(1h);
  }
  EXPECT_EQ(manager.list_keys().size(), 3);
  for (const Bytes& sealed : documents) EXPECT_EQ(manager.open(sealed, kContext), pattern(10));
}

}  // namespace
}  // namespace db4::crypto
