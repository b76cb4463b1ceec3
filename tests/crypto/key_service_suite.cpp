#include "crypto/key_service_suite.hpp"

#include "crypto/crypto_fixtures.hpp"

#include <db4/encryption.hpp>

#include <atomic>
#include <thread>
#include <vector>

namespace db4::testing {
namespace {

using crypto::counting_key;
using crypto::error_of;
using crypto::kContext;
using crypto::pattern;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KeyServiceSuite);

std::string text_of(const std::array<std::byte, crypto::kKeyBytes>& key) { return std::string(as_text(key)); }

std::optional<ErrorCode> unwrap_error(KeyService& service, std::string_view wrapped) {
  return error_of([&] { std::ignore = service.unwrap(wrapped); });
}
std::optional<ErrorCode> rewrap_error(KeyService& service, std::string_view wrapped) {
  return error_of([&] { std::ignore = service.rewrap(wrapped); });
}

/// A manager whose ring is in `store`, under that service.
std::unique_ptr<EncryptionManager> open_ring(const std::shared_ptr<KeyStore>& store,
                                             std::shared_ptr<KeyService> service) {
  auto manager = std::make_unique<EncryptionManager>(
      EncryptionConfig{.master_key = master_key_from_service(std::move(service)), .key_store = store});
  manager->initialize();
  return manager;
}

TEST_P(KeyServiceSuite, GivesBackWhatItWrapped) {
  for (const auto& key : {counting_key(), counting_key(200), std::array<std::byte, crypto::kKeyBytes>{}}) {
    const std::string wrapped = service_->wrap(key);
    EXPECT_EQ(service_->unwrap(wrapped).reveal(), text_of(key));
    EXPECT_EQ(GetParam().another()->unwrap(wrapped).reveal(), text_of(key));
  }
}

TEST_P(KeyServiceSuite, WhatItMakesIsBoundedAndHidesTheKey) {
  const auto key = counting_key('A');  // legible, so that it would be seen
  for (int time = 0; time < 2; ++time) {
    const std::string wrapped = time == 0 ? service_->wrap(key) : service_->rewrap(service_->wrap(key));
    EXPECT_FALSE(wrapped.empty());
    EXPECT_LE(wrapped.size(), kMaxWrappedKeyBytes);
    EXPECT_EQ(wrapped.find(text_of(key)), std::string::npos);
    EXPECT_EQ(wrapped.find("QUJDREVGR0hJSktM"), std::string::npos) << "in base64";
    EXPECT_EQ(wrapped.find("4142434445464748"), std::string::npos) << "in hexadecimal digits";
  }
}

TEST_P(KeyServiceSuite, RewrappingKeepsTheKey) {
  const std::string wrapped = service_->wrap(counting_key());
  EXPECT_EQ(service_->unwrap(service_->rewrap(wrapped)).reveal(), text_of(counting_key()));
  EXPECT_EQ(service_->unwrap(wrapped).reveal(), text_of(counting_key()))
      << "what was there before still opens";
}

TEST_P(KeyServiceSuite, ANewVersionOpensWhatTheOldOneWrappedUntilThatIsPutAway) {
  const std::string old = service_->wrap(counting_key());
  GetParam().rotate();
  EXPECT_EQ(service_->unwrap(old).reveal(), text_of(counting_key()));
  const std::string rewrapped = service_->rewrap(old);
  GetParam().retire_old();
  EXPECT_EQ(unwrap_error(*service_, old), ErrorCode::key_unavailable);
  EXPECT_EQ(rewrap_error(*service_, old), ErrorCode::key_unavailable);
  EXPECT_EQ(service_->unwrap(rewrapped).reveal(), text_of(counting_key()))
      << "rewrap takes the newest version";
}

TEST_P(KeyServiceSuite, RefusesWhatAnotherKeyWrapped) {
  const std::string wrapped = GetParam().stranger()->wrap(counting_key());
  EXPECT_EQ(unwrap_error(*service_, wrapped), ErrorCode::key_unavailable);
  EXPECT_EQ(rewrap_error(*service_, wrapped), ErrorCode::key_unavailable);
}

TEST_P(KeyServiceSuite, RefusesWhatNobodyWrapped) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("a\0b", 3), std::string("\"}"), std::string("a\r\nb: c"),
        std::string("\xff\xfe"), std::string(kMaxWrappedKeyBytes, 'A'), std::string(100'000, 'A')}) {
    EXPECT_EQ(unwrap_error(*service_, text), ErrorCode::key_unavailable) << text.substr(0, 10);
    EXPECT_EQ(rewrap_error(*service_, text), ErrorCode::key_unavailable) << text.substr(0, 10);
  }
}

TEST_P(KeyServiceSuite, AChangedTextNeverOpensToAnotherKey) {
  const std::string wrapped = service_->wrap(counting_key());
  std::size_t refused = 0;
  for (std::size_t at = 0; at < wrapped.size(); ++at) {
    std::string changed = wrapped;
    changed[at] = changed[at] == 'B' ? 'C' : 'B';
    try {
      // Base64 may have bits that mean nothing.
      EXPECT_EQ(service_->unwrap(changed).reveal(), text_of(counting_key())) << "at " << at;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::key_unavailable) << "at " << at << ": " << error.what();
      ++refused;
    }
  }
  EXPECT_GE(refused + 4, wrapped.size());
  EXPECT_EQ(unwrap_error(*service_, wrapped.substr(0, wrapped.size() / 2)), ErrorCode::key_unavailable);
}

TEST_P(KeyServiceSuite, IsUnavailableWhileItIsAway) {
  const std::string wrapped = service_->wrap(counting_key());
  GetParam().set_away(true);
  EXPECT_EQ(error_of([&] { std::ignore = service_->wrap(counting_key()); }), ErrorCode::unavailable);
  EXPECT_EQ(unwrap_error(*service_, wrapped), ErrorCode::unavailable);
  EXPECT_EQ(rewrap_error(*service_, wrapped), ErrorCode::unavailable);
  GetParam().set_away(false);
  EXPECT_EQ(service_->unwrap(wrapped).reveal(), text_of(counting_key()));
}

TEST_P(KeyServiceSuite, ManyThreadsMayAskAtOnce) {
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (int turn = 0; turn < 10; ++turn) {
          const auto key = counting_key(thread);
          right += service_->unwrap(service_->rewrap(service_->wrap(key))).reveal() == text_of(key) ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(right, 40);
}

TEST_P(KeyServiceSuite, ARingUnderItOutlivesRotationsInTheService) {
  const auto store = std::make_shared<InMemoryKeyStore>();
  const auto manager = open_ring(store, service_);
  const Bytes sealed = manager->seal(pattern(100), kContext);
  GetParam().rotate();
  EXPECT_EQ(open_ring(store, GetParam().another())->open(sealed, kContext), pattern(100));
  manager->rewrap(master_key_from_service(GetParam().another()));
  GetParam().retire_old();
  EXPECT_EQ(open_ring(store, GetParam().another())->open(sealed, kContext), pattern(100));
  EXPECT_EQ(error_of([&] { open_ring(store, GetParam().stranger()); }), ErrorCode::key_unavailable);
}

TEST_P(KeyServiceSuite, ARingIsNeitherMadeNorOpenedWithoutIt) {
  const auto store = std::make_shared<InMemoryKeyStore>();
  GetParam().set_away(true);
  EXPECT_EQ(error_of([&] { open_ring(store, service_); }), ErrorCode::unavailable);
  EXPECT_EQ(store->load(), std::nullopt);
  GetParam().set_away(false);
  const auto manager = open_ring(store, service_);
  const Bytes sealed = manager->seal(pattern(100), kContext);
  const auto ring = store->load();
  GetParam().set_away(true);
  EXPECT_EQ(error_of([&] { open_ring(store, GetParam().another()); }), ErrorCode::unavailable);
  EXPECT_EQ(error_of([&] { manager->rewrap(master_key_from_service(service_)); }), ErrorCode::unavailable);
  EXPECT_EQ(store->load(), ring) << "nothing was written";
  EXPECT_EQ(manager->open(sealed, kContext), pattern(100)) << "who has opened the ring goes on";
  manager->rotate_key();
  GetParam().set_away(false);
  EXPECT_EQ(open_ring(store, GetParam().another())->open(sealed, kContext), pattern(100));
}

}  // namespace
}  // namespace db4::testing
