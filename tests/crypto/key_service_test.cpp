// The suite over the service that tests have, and what a key ring under a service does that no service can
// see to.
#include "crypto/key_ring.hpp"
#include "crypto/key_service_suite.hpp"
#include "crypto_fixtures.hpp"
#include "support/in_memory_key_service.hpp"

#include <db4/encryption.hpp>

#include <gmock/gmock.h>

#include <sstream>

namespace db4::crypto {
namespace {

using ::testing::HasSubstr;
using testing::InMemoryKeyService;
using testing::ServiceKeys;

constexpr PassphraseCost kCheap{.memory_bytes = 8ULL << 20, .passes = 1};

class ServiceRingTest : public ::testing::Test {
 protected:
  std::unique_ptr<EncryptionManager> open(MasterKey master, std::shared_ptr<KeyStore> store = {}) {
    auto manager = std::make_unique<EncryptionManager>(
        EncryptionConfig{.master_key = std::move(master), .key_store = store ? std::move(store) : store_},
        clock_);
    manager->initialize();
    return manager;
  }
  std::unique_ptr<EncryptionManager> open() { return open(master_); }
  KeyRing ring() { return parse_key_ring(store_->load().value()); }
  /// A manager of another process, which knows the same service.
  std::shared_ptr<InMemoryKeyService> another_client() { return std::make_shared<InMemoryKeyService>(keys_); }

  std::shared_ptr<ServiceKeys> keys_ = std::make_shared<ServiceKeys>();
  std::shared_ptr<InMemoryKeyService> service_ = std::make_shared<InMemoryKeyService>(keys_);
  MasterKey master_ = master_key_from_service(service_);
  std::shared_ptr<InMemoryKeyStore> store_ = std::make_shared<InMemoryKeyStore>();
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
};

TEST_F(ServiceRingTest, ANewRingIsProvenToOpenBeforeItIsWritten) {
  open();
  EXPECT_EQ(service_->wraps, 1);
  EXPECT_EQ(service_->unwraps, 1);
}

TEST_F(ServiceRingTest, ARingThatIsThereCostsOneQuestion) {
  const Bytes sealed = open()->seal(pattern(10), kContext);
  const auto client = another_client();
  const auto manager = open(master_key_from_service(client));
  manager->initialize();
  EXPECT_EQ(client->calls(), 1);
  clock_->advance(std::chrono::hours{1});
  EXPECT_EQ(manager->open(sealed, kContext), pattern(10));
  manager->rotate_key();
  std::ignore = manager->seal(pattern(10), kContext);
  manager->process_expirations();
  EXPECT_EQ(client->calls(), 1);
}

TEST_F(ServiceRingTest, TheServiceSeesNoDataKeyAndTheRingNoKeyOfItsOwn) {
  open();
  const std::string kek(service_->unwrap(ring().wrapped_master).reveal());
  EXPECT_EQ(kek.size(), kKeyBytes);
  EXPECT_EQ(store_->load()->find(kek), std::string::npos);
  const RingKeys keys(as_bytes(kek).first<kKeyBytes>(), ring().id);
  EXPECT_NO_THROW(check_key_ring(ring(), *store_->load(), keys));
}

TEST_F(ServiceRingTest, NoTwoRingsHaveAKeyInCommon) {
  open();
  const auto other = std::make_shared<InMemoryKeyStore>();
  open(master_, other);
  const KeyRing second = parse_key_ring(other->load().value());
  EXPECT_NE(service_->unwrap(ring().wrapped_master), service_->unwrap(second.wrapped_master));
}

TEST_F(ServiceRingTest, TheKeyOfAnotherRingOpensNothing) {
  open();
  const auto other = std::make_shared<InMemoryKeyStore>();
  open(master_, other);
  std::string bytes = store_->load().value();
  const std::string ours = ring().wrapped_master;
  const std::string theirs = parse_key_ring(other->load().value()).wrapped_master;
  ASSERT_EQ(ours.size(), theirs.size());
  bytes.replace(bytes.find(ours), ours.size(), theirs);
  ASSERT_TRUE(store_->replace(store_->load(), bytes));
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
}

TEST_F(ServiceRingTest, AnotherTextOfTheSameKeyIsTamperingWhereTheRingDoesNotSaySo) {
  open();
  std::string bytes = store_->load().value();
  const std::string ours = ring().wrapped_master;
  bytes.replace(bytes.find(ours), ours.size(), service_->rewrap(ours));
  ASSERT_TRUE(store_->replace(store_->load(), bytes));
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::corrupt);
}

TEST_F(ServiceRingTest, RewrapByTheSameServiceTakesItsNewestVersionAndTouchesNothingElse) {
  const auto manager = open();
  const auto other = open(master_key_from_service(another_client()));
  const Bytes sealed = manager->seal(pattern(10), kContext);
  const KeyRing before = ring();
  keys_->rotate();
  const int asked = service_->unwraps;
  const auto client = another_client();
  manager->rewrap(master_key_from_service(client));
  EXPECT_EQ(service_->unwraps, asked) << "the new client is asked, not the old one";
  EXPECT_EQ(client->rewraps, 1);
  EXPECT_EQ(client->wraps, 0) << "the key is not shown to the service again";
  const KeyRing after = ring();
  EXPECT_THAT(after.wrapped_master, HasSubstr("memory:v2:"));
  EXPECT_EQ(after.master_check, before.master_check);
  EXPECT_GT(after.generation, before.generation);
  EXPECT_EQ(after.keys[0].wrapped, before.keys[0].wrapped);
  keys_->retire_old();
  EXPECT_EQ(open()->open(sealed, kContext), pattern(10));
  clock_->advance(std::chrono::hours{1});
  EXPECT_EQ(other->open(other->seal(pattern(5), kContext), kContext), pattern(5));
}

TEST_F(ServiceRingTest, OtherProcessesGoOnAfterItWhileTheServiceIsAway) {
  const auto client = another_client();
  const auto other = open(master_key_from_service(client));
  const auto manager = open();
  keys_->rotate();
  manager->rewrap(master_);
  manager->rotate_key();
  client->away = true;
  const int asked = client->calls();
  clock_->advance(std::chrono::hours{1});
  const Bytes sealed = manager->seal(pattern(10), kContext);
  EXPECT_EQ(other->open(sealed, kContext), pattern(10));
  EXPECT_EQ(manager->open(other->seal(pattern(10), kContext), kContext), pattern(10));
  EXPECT_EQ(client->calls(), asked);
}

TEST_F(ServiceRingTest, AVersionThatWasPutAwayTooEarlyIsNotTheEnd) {
  const auto manager = open();
  const Bytes sealed = manager->seal(pattern(10), kContext);
  keys_->rotate();
  keys_->retire_old();
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
  manager->rewrap(master_);  // who still has it open
  EXPECT_EQ(open()->open(sealed, kContext), pattern(10));
}

TEST_F(ServiceRingTest, RewrapGoesFromEveryKindToEveryKind) {
  const auto strange = std::make_shared<InMemoryKeyService>();
  const std::vector<MasterKey> kinds = {generate_master_key(),
                                        master_,
                                        generate_master_key(),
                                        master_key_from_passphrase("correct horse", kCheap),
                                        master_,
                                        master_key_from_service(strange),
                                        master_key_from_passphrase("x", kCheap),
                                        master_key_from_passphrase("y", kCheap),
                                        generate_master_key()};
  auto manager = open(kinds[0]);
  const Bytes sealed = manager->seal(pattern(10), kContext);
  const std::size_t plain_size = store_->load()->size();
  for (std::size_t i = 1; i < kinds.size(); ++i) {
    if (i % 2 == 0) manager = open(kinds[i - 1]);  // by one that goes on, and by a new one
    manager->rewrap(kinds[i]);
    manager->rotate_key();
    EXPECT_EQ(open(kinds[i])->open(sealed, kContext), pattern(10)) << i;
    EXPECT_EQ(error_of([&] { open(kinds[i - 1]); }), ErrorCode::key_unavailable) << i;
  }
  EXPECT_EQ(ring().wrapped_master, "") << "nothing of a service is left";
  EXPECT_EQ(store_->load()->size(), plain_size + 102 * (kinds.size() - 1));
}

TEST_F(ServiceRingTest, RewrapToAnotherServiceTakesANewKey) {
  const auto manager = open();
  const KeyRing before = ring();
  const auto strange = std::make_shared<InMemoryKeyService>();
  manager->rewrap(master_key_from_service(strange));
  EXPECT_NE(ring().master_check, before.master_check);
  EXPECT_EQ(strange->wraps, 1);
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
}

TEST_F(ServiceRingTest, AProcessThatHasNotHeardAsksTheServiceAgain) {
  const auto other = open();
  const auto manager = open();
  manager->rewrap(generate_master_key());
  manager->rewrap(master_);  // another key of the ring's, under the same service
  const int asked = service_->calls();
  const Bytes sealed = manager->seal(pattern(10), kContext);
  clock_->advance(std::chrono::hours{1});
  EXPECT_EQ(other->open(sealed, kContext), pattern(10));
  EXPECT_EQ(service_->calls(), asked + 1);
}

TEST_F(ServiceRingTest, ServicesThatDoNotKeepTheirWordWriteNothing) {
  class Liar final : public KeyService {
   public:
    std::string wrap(ByteView) override { return wrapped; }
    Secret unwrap(std::string_view) override { return Secret(key); }
    std::string rewrap(std::string_view) override { return wrapped; }
    std::string wrapped = "text";
    std::string key = std::string(32, 'k');
  };
  const auto liar = std::make_shared<Liar>();
  const auto refused = [&] {
    EXPECT_EQ(error_of([&] { open(master_key_from_service(liar)); }), ErrorCode::key_unavailable);
    EXPECT_EQ(store_->load(), std::nullopt);
  };
  refused();  // another key than the one that it was given
  liar->wrapped = "";
  refused();
  liar->wrapped = std::string(kMaxWrappedKeyBytes + 1, 'x');
  refused();
  liar->wrapped = "text";
  liar->key = "short";
  refused();
  open();
  const auto before = store_->load();
  for (const std::string& key : {std::string(32, 'k'), std::string()}) {
    liar->key = key;
    EXPECT_EQ(error_of([&] { open()->rewrap(master_key_from_service(liar)); }), ErrorCode::key_unavailable);
    EXPECT_EQ(store_->load(), before);
  }
}

TEST_F(ServiceRingTest, TheOtherKindsAreToldApart) {
  const auto message = [&](const MasterKey& given) -> std::string {
    try {
      open(given);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::key_unavailable);
      return error.what();
    }
    return "";
  };
  open();
  EXPECT_THAT(message(generate_master_key()), HasSubstr("under a key service, and a key was given"));
  EXPECT_THAT(message(master_key_from_passphrase("x", kCheap)), HasSubstr("and a passphrase was given"));
  store_ = std::make_shared<InMemoryKeyStore>();
  open(generate_master_key());
  EXPECT_THAT(message(master_), HasSubstr("under a key, and a key service was given"));
  EXPECT_EQ(service_->calls(), 2) << "and the service is not asked for it";
}

TEST_F(ServiceRingTest, EveryFlippedBitAndTruncationOfTheRingIsRefused) {
  open();
  const std::string whole = store_->load().value();
  const auto refused = [&](const std::string& damaged) {
    const auto store = std::make_shared<InMemoryKeyStore>();
    EXPECT_TRUE(store->replace(std::nullopt, damaged));
    const auto error = error_of([&] { open(master_, store); });
    return error == ErrorCode::corrupt || error == ErrorCode::unsupported ||
           error == ErrorCode::key_unavailable;
  };
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(refused(damaged)) << "bit " << bit;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) ASSERT_TRUE(refused(whole.substr(0, size))) << size;
  EXPECT_TRUE(refused(whole + "x"));
}

TEST_F(ServiceRingTest, AMasterKeyOfAServiceShowsNothing) {
  EXPECT_EQ(error_of([&] { reveal_master_key(master_); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([] { master_key_from_service(nullptr); }), ErrorCode::invalid_argument);
  std::ostringstream out;
  out << master_;
  EXPECT_EQ(out.str(), "***");
  EXPECT_EQ(service_->calls(), 0) << "nothing is asked before it is needed";
}

}  // namespace
}  // namespace db4::crypto

namespace db4::testing {
namespace {

KeyServiceFactory in_memory() {
  const auto keys = std::make_shared<std::shared_ptr<ServiceKeys>>();
  const auto clients = std::make_shared<std::vector<std::shared_ptr<InMemoryKeyService>>>();
  const auto client = [clients](std::shared_ptr<ServiceKeys> of) {
    return clients->emplace_back(std::make_shared<InMemoryKeyService>(std::move(of)));
  };
  const auto away = std::make_shared<bool>(false);
  return {.name = "Memory",
          .make =
              [=] {
                clients->clear();
                *away = false;
                return client(*keys = std::make_shared<ServiceKeys>());
              },
          .another =
              [=] {
                const auto made = client(*keys);
                made->away = *away;
                return made;
              },
          .stranger = [=] { return client(std::make_shared<ServiceKeys>()); },
          .rotate = [=] { (*keys)->rotate(); },
          .retire_old = [=] { (*keys)->retire_old(); },
          .set_away =
              [=](bool now) {
                *away = now;
                for (const auto& each : *clients) each->away = now;
              }};
}

INSTANTIATE_TEST_SUITE_P(KeyServices, KeyServiceSuite, ::testing::Values(in_memory()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace db4::testing
