#include "live/server.hpp"

namespace db4::live {

Server::Server(const std::filesystem::path& folder, std::size_t max_clients, Handler handler)
    : handler_(std::move(handler)),
      max_clients_(max_clients),
      listener_(folder, kSocketName),
      acceptor_([this] { accept_all(); }) {}

Server::~Server() { stop(); }

void Server::stop() {
  stop_.request_stop();
  listener_.shut_down();
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  if (acceptor_.joinable()) acceptor_.join();
  listener_.close();
  std::unique_lock lock(mutex_);
  for (const Client& client : clients_) client.socket.shut_down();
  join_finished(lock, /*all=*/true);
}

void Server::accept_all() {
  while (auto socket = listener_.accept()) {
    if (!socket->peer_may_ask()) continue;
    take(std::move(*socket));
  }
}

void Server::take(net::LocalSocket socket) {
  std::unique_lock lock(mutex_);
  join_finished(lock, /*all=*/false);
  if (stopping_) return;
  if (clients_.size() >= max_clients_) {
    lock.unlock();
    send_frame(socket,
               {.kind = FrameKind::error,
                .json = encode_error({ErrorCode::resource_exhausted,
                                      "the store's live socket has all its " + std::to_string(max_clients_) +
                                          " connections (live.max_clients)",
                                      "repeat when others are done"}),
                .body = {}});
    return;
  }
  Client& client = clients_.emplace_back(Client{.socket = std::move(socket), .thread = {}});
  try {
    client.thread = std::thread([this, &client] {
      serve(client.socket);
      client.socket.shut_down();
      const std::scoped_lock done_lock(mutex_);
      client.done = true;
      finished_.notify_all();
    });
  } catch (const std::system_error&) {
    clients_.pop_back();  // no thread to be had: the client finds the connection closed, and tries again
  }
}

/// Joins the threads of clients that are done; with `all`, waits until every one is.
void Server::join_finished(std::unique_lock<std::mutex>& lock, bool all) {
  if (all) {
    finished_.wait(lock, [this] { return std::ranges::all_of(clients_, &Client::done); });
  }
  for (auto at = clients_.begin(); at != clients_.end();) {
    if (!at->done) {
      ++at;
      continue;
    }
    // It has set `done` as the last thing it does under the lock.
    lock.unlock();
    at->thread.join();
    lock.lock();
    at = clients_.erase(at);
  }
}

void Server::serve(const net::LocalSocket& socket) const {
  try {
    while (!stop_.stop_requested()) {
      const auto request = receive_frame(socket, kMaxOperationRequestBytes, kIdleTimeout);
      if (!request || request->kind != FrameKind::request) return;
      if (!send_frame(socket, answer(*request))) return;
    }
  } catch (const Error& error) {
    // What came is no frame, so nothing that follows could be read: say so, and hang up.
    send_frame(socket, {.kind = FrameKind::error, .json = encode_error(error), .body = {}});
  } catch (const std::exception&) {
    return;  // out of memory: hanging up frees what this connection holds
  }
}

Frame Server::answer(const Frame& request) const {
  try {
    OperationReply reply = handler_(request.json, request.body, stop_.get_token());
    if (reply.json.size() > kMaxReplyBytes) {
      throw Error(ErrorCode::too_large, "the reply has " + std::to_string(reply.json.size()) + " bytes",
                  "ask for less at once");
    }
    return {.kind = FrameKind::reply, .json = std::move(reply.json), .body = std::move(reply.body)};
  } catch (const Error& error) {
    return {.kind = FrameKind::error, .json = encode_error(error), .body = {}};
  } catch (const std::exception& error) {
    return {.kind = FrameKind::error,
            .json = encode_error({ErrorCode::internal, error.what(), "please report this"}),
            .body = {}};
  }
}

}  // namespace db4::live
