#pragma once
// The conformance suite of KeyStore. To run it against your own, link key_store_suite.cpp and see
// docs/backends.md.

#include <db4/key_store.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>

namespace db4::testing {

/// How the suite gets stores.
struct KeyStoreFactory {
  std::string name;
  /// One over a place where no ring is yet.
  std::function<std::shared_ptr<KeyStore>()> make;
  /// Another one over the place of the last that was made, as another process would have it.
  std::function<std::shared_ptr<KeyStore>()> another;
};

inline void PrintTo(const KeyStoreFactory& factory, std::ostream* out) { *out << factory.name; }

class KeyStoreSuite : public ::testing::TestWithParam<KeyStoreFactory> {
 protected:
  std::shared_ptr<KeyStore> store_ = GetParam().make();
};

}  // namespace db4::testing
