#pragma once
// The conformance suite of KeyService. To run it against your own, link key_service_suite.cpp and see
// docs/backends.md.

#include <db4/key_service.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>

namespace db4::testing {

/// How the suite gets services, and what it does to them.
struct KeyServiceFactory {
  std::string name;
  /// A client of a service that is there and has a new key, of one version.
  std::function<std::shared_ptr<KeyService>()> make;
  /// Another client of the key that was made last, as another process would have it.
  std::function<std::shared_ptr<KeyService>()> another;
  /// A client of the same service and of another key.
  std::function<std::shared_ptr<KeyService>()> stranger;
  /// Gives the key that was made last a new version.
  std::function<void()> rotate;
  /// Puts all versions of it but the newest away.
  std::function<void()> retire_old;
  /// Takes the service away, or brings it back, for all clients.
  std::function<void(bool away)> set_away;
};

inline void PrintTo(const KeyServiceFactory& factory, std::ostream* out) { *out << factory.name; }

class KeyServiceSuite : public ::testing::TestWithParam<KeyServiceFactory> {
 protected:
  std::shared_ptr<KeyService> service_ = GetParam().make();
};

}  // namespace db4::testing
