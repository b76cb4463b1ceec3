#pragma once
// The conformance suite of BroadcastChannel. To run it against your own, link channel_suite.cpp and see
// docs/invalidation.md.

#include <db4/broadcast_channel.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace db4::testing {

/// How the suite gets channels; `cleanup` runs after they are gone.
struct ChannelFactory {
  std::string name;
  /// So many channels that reach each other, and none that another call has made.
  std::function<std::vector<std::shared_ptr<BroadcastChannel>>(std::size_t count)> make;
  std::function<void()> cleanup = [] {};
  /// A deviation: receivers are called in the thread that publishes, so a slow one holds it up. For tests
  /// only.
  bool calls_in_publish = false;
  std::string skip_reason = {};  ///< not empty: the suite cannot run here
};

inline void PrintTo(const ChannelFactory& factory, std::ostream* out) { *out << factory.name; }

class ChannelSuite : public ::testing::TestWithParam<ChannelFactory> {
 protected:
  void SetUp() override {
    if (!GetParam().skip_reason.empty()) GTEST_SKIP() << GetParam().skip_reason;
    channels_ = GetParam().make(3);
  }
  void TearDown() override {
    if (channels_.empty()) return;
    for (const auto& channel : channels_) channel->close();
    channels_.clear();
    GetParam().cleanup();
  }
  /// Until all are taken.
  static void publish(BroadcastChannel& channel, const std::vector<std::string>& messages) {
    std::span<const std::string> rest(messages);
    while (!rest.empty()) rest = rest.subspan(channel.publish(rest));
  }

  std::vector<std::shared_ptr<BroadcastChannel>> channels_;
};

}  // namespace db4::testing
