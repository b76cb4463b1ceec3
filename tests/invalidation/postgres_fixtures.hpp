#pragma once
// What the tests of the channel over PostgreSQL share.

#include "invalidation/fixtures.hpp"
#include "support/postgres_server.hpp"

#include <db4/postgres_channel.hpp>

#include <atomic>
#include <functional>
#include <optional>

namespace db4::testing {

using Messages = Collected<std::string>;

inline std::string new_channel() {
  static std::atomic<int> made = 0;
  return "Test_" + std::to_string(++made);
}

inline BroadcastReceiver into(Messages& messages) {
  return {.on_message = [&](std::string_view message) { messages.add(std::string(message)); },
          .on_lost = [&] { messages.add("(lost)"); }};
}

/// The error of a call that is to fail.
inline std::optional<Error> error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "it did not fail";
  return std::nullopt;
}

inline std::size_t publish(BroadcastChannel& channel, const std::string& message) {
  return channel.publish(std::span(&message, 1));
}

/// As a node does: again until it is taken. For a minute.
inline bool publish_at_last(BroadcastChannel& channel, const std::string& message) {
  const auto clock = system_clock();
  const MonotonicTime deadline = clock->monotonic() + std::chrono::minutes{1};
  while (clock->monotonic() < deadline) {
    try {
      return publish(channel, message) == 1;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unavailable) throw;
      clock->sleep_for(std::chrono::milliseconds{10});
    }
  }
  return false;
}

class PostgresChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    server_ = shared_postgres_server(&reason);
    if (server_ == nullptr) GTEST_SKIP() << reason;
    options_.url = server_->url();
    options_.channel = new_channel();
  }
  /// Of the channels that are made with named().
  [[nodiscard]] std::string named_sessions() const {
    return "FROM pg_stat_activity WHERE application_name = '" + options_.channel + "'";
  }
  [[nodiscard]] PostgresChannelOptions named() const {
    PostgresChannelOptions options = options_;
    options.url += "&application_name=" + options.channel;
    return options;
  }
  /// Asks the server until it gives this; for a minute.
  bool server_says(const std::string& answer, const std::string& question) {
    const auto clock = system_clock();
    const MonotonicTime deadline = clock->monotonic() + std::chrono::minutes{1};
    while (server_->sql(question) != answer) {
      if (clock->monotonic() > deadline) return false;
      clock->sleep_for(std::chrono::milliseconds{10});
    }
    return true;
  }

  PostgresServer* server_ = nullptr;
  PostgresChannelOptions options_;
};

}  // namespace db4::testing
