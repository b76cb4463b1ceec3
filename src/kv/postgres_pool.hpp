#pragma once
// Connections to PostgreSQL, lent to one thread at a time.

#include "kv/postgres_connection.hpp"

#include <db4/clock.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>

namespace db4::kv {

/// Makes up to max_connections, when they are first needed; whoever finds none waits for one within his
/// deadline. Thread-safe.
class PostgresPool {
 public:
  explicit PostgresPool(PostgresOptions options) : options_(std::move(options)) {}

  /// One connection, given back at the end, or closed where it broke.
  class Lease {
   public:
    /// Throws as PostgresConnection's constructor does, and deadline_exceeded.
    Lease(PostgresPool& pool, MonotonicTime deadline) : pool_(pool), connection_(pool.take(deadline)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_.give_back(std::move(connection_)); }
    PostgresConnection* operator->() const noexcept { return connection_.get(); }
    /// It broke: it is not for anybody else.
    void discard() noexcept { connection_.reset(); }

   private:
    PostgresPool& pool_;
    std::unique_ptr<PostgresConnection> connection_;
  };

  /// Closes those that nobody has.
  void clear() {
    const std::lock_guard lock(mutex_);
    taken_ -= idle_.size();
    idle_.clear();
  }

  /// When a connection must stand.
  [[nodiscard]] MonotonicTime connect_deadline(MonotonicTime deadline) const {
    return std::min(deadline, system_clock()->monotonic() + options_.connect_timeout);
  }
  [[nodiscard]] const PostgresOptions& options() const noexcept { return options_; }

 private:
  std::unique_ptr<PostgresConnection> take(MonotonicTime deadline) {
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return !idle_.empty() || taken_ < options_.max_connections; };
      if (!system_clock()->wait_until(lock, returned_, deadline, ready)) {
        throw Error(ErrorCode::deadline_exceeded,
                    "all " + std::to_string(options_.max_connections) +
                        " connections to PostgreSQL were in use for all of the time given",
                    "raise hot.max_connections, or ask for less at once");
      }
      if (!idle_.empty()) {
        std::unique_ptr<PostgresConnection> connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
      ++taken_;
    }
    try {
      return std::make_unique<PostgresConnection>(options_, connect_deadline(deadline));
    } catch (...) {
      give_back(nullptr);
      throw;
    }
  }

  void give_back(std::unique_ptr<PostgresConnection> connection) noexcept {
    const std::lock_guard lock(mutex_);
    if (connection && connection->healthy()) {
      idle_.push_back(std::move(connection));
    } else {
      --taken_;
    }
    returned_.notify_one();
  }

  const PostgresOptions options_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<PostgresConnection>> idle_;
  std::size_t taken_ = 0;  ///< lent, idle, or being made
};

}  // namespace db4::kv
