#pragma once
// Server: answers operations on the live socket while a store is open.

#include "live/protocol.hpp"

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>

namespace db4::live {

/// A thread that accepts, and one for each of at most `max_clients` connections. Thread-safe.
class Server {
 public:
  /// Runs one operation; what it throws goes back as the answer. Called from several threads at once. `stop`
  /// is requested when the server stops.
  using Handler = std::function<OperationReply(std::string_view json, std::string_view body,
                                               const std::stop_token& stop)>;

  /// Throws where the socket cannot be made.
  Server(const std::filesystem::path& folder, std::size_t max_clients, Handler handler);
  ~Server();  ///< as stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes no new connection, asks running operations to stop, and waits for them. May be called twice.
  void stop();

 private:
  struct Client {
    net::LocalSocket socket;
    std::thread thread;
    bool done = false;
  };
  void accept_all();
  void take(net::LocalSocket socket);
  void serve(const net::LocalSocket& socket) const;
  [[nodiscard]] Frame answer(const Frame& request) const;
  void join_finished(std::unique_lock<std::mutex>& lock, bool all);

  const Handler handler_;
  const std::size_t max_clients_;
  net::LocalListener listener_;
  std::stop_source stop_;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::list<Client> clients_;
  bool stopping_ = false;
  std::thread acceptor_;
};

}  // namespace db4::live
