#include "session.hpp"

#include <db4/key_recovery.hpp>

namespace db4::cli {
namespace {

constexpr std::chrono::milliseconds kFirstPause{5};
constexpr std::chrono::milliseconds kLongestPause{200};

/// Calls `attempt` until it does not say `locked`, for `wait` at most.
template <typename Attempt>
void while_locked(std::chrono::milliseconds wait, const std::stop_token& stop, const Attempt& attempt) {
  const std::shared_ptr<Clock> clock = system_clock();
  const MonotonicTime deadline = clock->monotonic() + wait;
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    try {
      attempt();
      return;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::locked || clock->monotonic() >= deadline) throw;
    }
    if (!clock->sleep_for(pause, stop)) {
      throw Error(ErrorCode::cancelled, "interrupted while waiting for the store", "run it again");
    }
  }
}

}  // namespace

std::unique_ptr<TieredStore> open_waiting(TieredStoreConfig config, std::chrono::milliseconds wait,
                                          const std::stop_token& stop) {
  std::unique_ptr<TieredStore> store;
  while_locked(wait, stop, [&] { store = std::make_unique<TieredStore>(config); });
  return store;
}

std::shared_ptr<KeyStore> open_ring_waiting(const TieredStoreConfig& config, std::chrono::milliseconds wait,
                                            const std::stop_token& stop) {
  std::shared_ptr<KeyStore> ring;
  while_locked(wait, stop, [&] { ring = open_key_ring(config); });
  return ring;
}

Session::Session(TieredStoreConfig config, std::chrono::milliseconds wait, std::stop_token stop,
                 SessionKind kind) {
  if (kind == SessionKind::short_one) config.live.enabled = false;
  while_locked(wait, stop, [&] {
    live_ = LiveClient::connect(config.hot.path);
    if (!live_) store_ = std::make_unique<TieredStore>(config);
  });
  if (kind == SessionKind::short_one) stop_ = std::move(stop);
}

OperationReply Session::ask(const nlohmann::json& request, std::string_view body) {
  std::string text;
  try {
    text = request.dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error(ErrorCode::invalid_argument, "a name is not valid UTF-8", "write collection and id in UTF-8");
  }
  return live_ ? live_->run(text, body, stop_) : run_operation(*store_, text, body, stop_);
}

void Session::close() {
  live_.reset();
  if (store_) store_->close();
  store_.reset();
}

}  // namespace db4::cli
