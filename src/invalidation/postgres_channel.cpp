#include "base/base64.hpp"
#include "base/file_descriptor.hpp"
#include "invalidation/postgres_table.hpp"
#include "invalidation/receivers.hpp"
#include "kv/postgres_connection.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/postgres_channel.hpp>
#include <db4/random.hpp>

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>

namespace db4 {
namespace {

using namespace std::chrono_literals;
using kv::PostgresConnection;
using kv::PostgresStatement;

// A payload is "1 NUMBER BASE64": the format, and the message's place in its transaction, because the server
// makes one of notifications of a transaction that are the same.
constexpr std::string_view kFormat = "1 ";
constexpr std::size_t kMaxHeaderBytes = 8;
/// The server takes less than 8,000 bytes, so no message has to be divided:
/// https://www.postgresql.org/docs/15/sql-notify.html
constexpr std::size_t kMaxPayloadBytes = 7999;
static_assert((kMaxBroadcastMessageBytes + 2) / 3 * 4 + kMaxHeaderBytes <= kMaxPayloadBytes);
static_assert(PostgresBroadcastChannel::kMaxAtOnce <= 10'000);  // four digits, kFormat and a space

/// What publish() may take of kMaxPublishWait, so that it returns within it on a busy machine.
constexpr std::chrono::milliseconds kPublishTime = kMaxPublishWait * 9 / 10;
/// Before a connection is made anew: drawn between half a bound and the bound, which doubles up to the last.
constexpr std::chrono::milliseconds kFirstPause = 50ms;
constexpr std::chrono::milliseconds kLongestPause = 5s;
constexpr std::size_t kMaxNameBytes = 63;
/// What a server refuses LISTEN with, and what belongs to it, where it does not have it:
/// feature_not_supported, syntax_error, undefined_function.
constexpr std::array<std::string_view, 3> kNotThere = {"0A000", "42601", "42883"};

/// What a statement that this connection prepared is met with in a session that is not its own: it is not
/// there, or was prepared for somebody else.
constexpr std::array<std::string_view, 2> kNotItsSession = {"26000", "42P05"};
constexpr const char* kPoolerAdvice =
    "use a pooler that pools sessions, or none; or set notify = false on all nodes";

bool is_one_of(const std::string& state, std::span<const std::string_view> states) {
  return std::ranges::find(states, state) != states.end();
}

/// How messages go between this channel and the others, as far as is known yet.
enum class Mode { unknown, told, polled };

MonotonicTime monotonic() { return system_clock()->monotonic(); }

std::string encode(const std::string& message, std::size_t number) {
  return std::string(kFormat) + std::to_string(number) + " " +
         to_base64(std::as_bytes(std::span(message.data(), message.size())));
}

/// nullopt: not by encode().
std::optional<std::string> decode(std::string_view payload) {
  if (!payload.starts_with(kFormat)) return std::nullopt;
  payload.remove_prefix(kFormat.size());
  const std::size_t space = payload.find(' ');
  if (space == std::string_view::npos || space == 0) return std::nullopt;
  std::optional<std::string> message = from_base64(payload.substr(space + 1));
  if (message && (message->empty() || message->size() > kMaxBroadcastMessageBytes)) return std::nullopt;
  return message;
}

/// The connections were made for the settings of a store: "hot.url" is `url` here.
std::string in_own_words(std::string text) {
  constexpr std::string_view kPrefix = "hot.";
  for (std::size_t at = 0; (at = text.find(kPrefix, at)) != std::string::npos;) {
    if (at == 0 || text[at - 1] == ' ') {
      text.erase(at, kPrefix.size());
    } else {
      at += kPrefix.size();
    }
  }
  return text;
}

/// A channel's errors are unavailable where a repetition may help.
Error in_own_words(const Error& error) {
  const ErrorCode code = error.retryable() ? ErrorCode::unavailable : error.code();
  return {code, error.problem(), in_own_words(error.advice())};
}

Error in_own_words(const kv::PostgresRefusal& refusal) {
  // "Too many notifications in the queue": a session somewhere holds it up. Out of memory, of connections.
  if (refusal.state().starts_with("54") || refusal.state().starts_with("53")) {
    return {ErrorCode::unavailable, refusal.problem(),
            "end the sessions that hold up the server's queue of notifications, or make room there"};
  }
  if (refusal.state() == "42501") {
    return {refusal.code(), refusal.problem(),
            "grant the role of url EXECUTE on the function pg_notify; or, where nodes poll, CREATE on the "
            "schema, or all rights on the table"};
  }
  if (is_one_of(refusal.state(), kNotItsSession)) {
    return {ErrorCode::unavailable, refusal.problem(), kPoolerAdvice};
  }
  if (refusal.state() == "3F000") {
    return {ErrorCode::invalid_argument, refusal.problem(), "create the schema, or name another"};
  }
  return in_own_words(static_cast<const Error&>(refusal));
}

bool legal_name(const std::string& name) {
  return name.size() <= kMaxNameBytes && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

PostgresChannelOptions checked(PostgresChannelOptions options) {
  const auto refuse = [](const char* problem, const char* advice) {
    throw Error(ErrorCode::invalid_argument, problem, advice);
  };
  if (options.url.empty()) refuse("url is empty", "write it as postgresql://user@host:5432/database");
  try {
    kv::check_postgres_url(options.url);
  } catch (const Error& error) {
    throw Error(error.code(), in_own_words(error.problem()), in_own_words(error.advice()));
  }
  if (options.channel.empty() || !legal_name(options.channel)) {
    refuse("channel is no name of a channel", "use 1 to 63 letters, digits and underscores");
  }
  if (!legal_name(options.schema)) {
    refuse("schema is no name of a schema", "use 1 to 63 letters, digits and underscores");
  }
  if (options.connect_timeout <= 0ms) refuse("connect_timeout is not positive", "set it above 0");
  if (options.timeout <= 0ms) refuse("timeout is not positive", "set it above 0");
  if (options.poll_interval <= 0ms) refuse("poll_interval is not positive", "set it above 0");
  invalidation::require_max_queued(options.max_queued);
  return options;
}

kv::PostgresOptions connection_options(const PostgresChannelOptions& options,
                                       std::chrono::milliseconds timeout) {
  return {.url = options.url,
          .password = options.password,
          .connect_timeout = options.connect_timeout,
          .timeout = timeout};
}

FileDescriptor make_event() {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.open()) {
    throw Error(ErrorCode::resource_exhausted, "no descriptor is left for a channel",
                "raise the limit of open files, then repeat");
  }
  return event;
}

std::chrono::milliseconds jittered(std::chrono::milliseconds bound) {
  const auto half = static_cast<std::uint64_t>(bound.count() / 2);
  return std::chrono::milliseconds(half + system_random()->next_u64() % (half + 1));
}

/// Whether something can be read of it, or its end was heard.
bool readable(int socket) {
  pollfd descriptor{.fd = socket, .events = POLLIN, .revents = 0};
  return ::poll(&descriptor, 1, 0) > 0;
}

}  // namespace

/// `mutex` guards what follows it; what a connection is used for happens without it.
struct PostgresBroadcastChannel::State {
  explicit State(PostgresChannelOptions its_options)
      : options(checked(std::move(its_options))),
        name(options.channel + " at " + kv::postgres_place(options.url)),
        receivers(options.max_queued),
        table(options.schema, options.channel, kKept),
        listen{"", "LISTEN \"" + options.channel + "\""},
        unlisten{"", "UNLISTEN \"" + options.channel + "\""},
        mode(options.notify ? Mode::unknown : Mode::polled) {}

  std::size_t publish(std::span<const std::string> messages);
  void send(std::span<const std::string> messages, MonotonicTime deadline);
  void notify_all(std::span<const std::string> messages, MonotonicTime deadline);
  void start_listening(const std::shared_ptr<invalidation::Inbox>& inbox);
  [[noreturn]] void fail_closed() const;
  void run();
  void hear(bool heard_before);
  void say_listening(bool heard_before);
  void hear_notifications(PostgresConnection& connection);
  void hear_polling(PostgresConnection& connection, std::int64_t position);
  Mode try_listen(PostgresConnection& connection, MonotonicTime deadline);
  Mode mode_of_publisher(MonotonicTime deadline);
  void expect_echo(const std::string& payload);
  void take_echo(const std::string& payload);
  [[nodiscard]] bool echo_overdue();
  bool wait_closing(int socket, std::chrono::milliseconds time);
  void close();

  const PostgresChannelOptions options;
  const std::string name;
  invalidation::Receivers receivers;
  const PostgresStatement notify{"db4_notify", "SELECT pg_notify($1, m) FROM unnest($2::text[]) AS m"};
  const invalidation::PostgresMessageTable table;
  const PostgresStatement listen;
  const PostgresStatement unlisten;
  const PostgresStatement stay{"", "SET idle_session_timeout = 0"};
  const PostgresStatement session{"", "SELECT pg_backend_pid()"};
  const PostgresStatement listened{"", "SELECT pg_listening_channels()"};
  const FileDescriptor closing = make_event();  ///< readable once the channel is closed: ends every wait
  std::atomic<std::uint64_t> published = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<Mode> mode;
  std::once_flag joined;

  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  bool publishing = false;  ///< a call of publish has `publisher`
  std::unique_ptr<PostgresConnection> publisher;
  bool publisher_tried = false;  ///< it was asked for the mode
  std::thread reader;
  bool listening = false;  ///< LISTEN is in effect, or the table is looked at
  bool wanted = false;     ///< somebody waits for that: no pause now
  std::uint64_t failures = 0;
  std::optional<Error> failure;  ///< the last one
  std::string echo;              ///< a payload that was published and must be heard here; empty: none
  MonotonicTime echo_due{};
};

std::size_t PostgresBroadcastChannel::State::publish(std::span<const std::string> messages) {
  const MonotonicTime deadline = monotonic() + kPublishTime;
  for (const std::string& message : messages) invalidation::require_message(message);
  {
    std::unique_lock lock(mutex);
    const bool mine =
        system_clock()->wait_until(lock, changed, deadline, [this] { return closed || !publishing; });
    if (closed) fail_closed();
    if (!mine) {
      throw Error(ErrorCode::unavailable,
                  "the channel " + name + " was in use by other calls for all of the time given",
                  "repeat later");
    }
    if (messages.empty()) return 0;
    publishing = true;
  }
  struct Done {
    State& state;
    ~Done() {
      const std::lock_guard lock(state.mutex);
      if (state.closed) state.publisher.reset();
      state.publishing = false;
      state.changed.notify_all();
    }
  } done{*this};
  const auto taken = messages.first(std::min(messages.size(), kMaxAtOnce));
  send(taken, deadline);
  published += taken.size();
  return taken.size();
}

void PostgresBroadcastChannel::State::send(std::span<const std::string> messages, MonotonicTime deadline) {
  try {
    // One that ended while nothing was sent is found out about before something is.
    try {
      while (publisher && readable(publisher->socket())) publisher->take_notifications();
    } catch (const kv::PostgresLoss&) {
      publisher.reset();
    }
    if (!publisher) {
      const auto connect_deadline = std::min(deadline, monotonic() + options.connect_timeout);
      // The server gives up when we do: what is late is not sent again while it may still come.
      publisher_tried = false;
      publisher = std::make_unique<PostgresConnection>(
          connection_options(options, std::min(options.timeout, kPublishTime)), connect_deadline,
          closing.get());
    }
    const MonotonicTime until = std::min(deadline, monotonic() + options.timeout);
    if (mode_of_publisher(until) == Mode::polled) {
      table.append(*publisher, messages, until);
    } else {
      notify_all(messages, until);
    }
  } catch (const kv::PostgresRefusal& refusal) {
    throw in_own_words(refusal);
  } catch (const Error& error) {
    publisher.reset();
    throw in_own_words(error);
  }
}

void PostgresBroadcastChannel::State::notify_all(std::span<const std::string> messages,
                                                 MonotonicTime deadline) {
  std::vector<std::string> payloads;
  payloads.reserve(messages.size());
  for (const std::string& message : messages) payloads.push_back(encode(message, payloads.size()));
  expect_echo(payloads.front());
  try {
    publisher->run(notify, {options.channel, kv::postgres_text_array(payloads)}, deadline);
  } catch (const kv::PostgresRefusal& refusal) {
    // Who shares sessions with others does not hear either: then the echo is waited for in vain.
    if (!is_one_of(refusal.state(), kNotItsSession)) take_echo(payloads.front());
    throw;
  } catch (...) {
    take_echo(payloads.front());
    throw;
  }
}

/// Who only publishes must find out as well, or he would tell those who poll. Where each statement gets
/// another session, it stays open: there nobody can listen, but anybody publish.
Mode PostgresBroadcastChannel::State::mode_of_publisher(MonotonicTime deadline) {
  if (mode == Mode::unknown && !publisher_tried) {
    const Mode found = try_listen(*publisher, deadline);
    if (found != Mode::polled) publisher->run(unlisten, {}, deadline);
    publisher_tried = true;
    if (found != Mode::unknown) mode = found;
  }
  return mode;
}

/// Whether LISTEN takes effect; unknown: there is no telling, since the statements met different sessions.
Mode PostgresBroadcastChannel::State::try_listen(PostgresConnection& connection, MonotonicTime deadline) {
  try {
    connection.add(listen);
    connection.add(session);
    const auto before = connection.run(deadline);
    connection.add(listened);
    connection.add(session);
    const auto after = connection.run(deadline);
    if (after[0].rows() > 0) return Mode::told;
    return before[1].value(0, 0) == after[1].value(0, 0) ? Mode::polled : Mode::unknown;
  } catch (const kv::PostgresRefusal& refusal) {
    if (!is_one_of(refusal.state(), kNotThere)) throw;
    return Mode::polled;
  }
}

void PostgresBroadcastChannel::State::start_listening(const std::shared_ptr<invalidation::Inbox>& inbox) {
  std::unique_lock lock(mutex);
  if (closed) fail_closed();
  if (!reader.joinable()) {
    try {
      reader = std::thread([this] { run(); });  // joined by close()
    } catch (const std::system_error&) {
      throw Error(ErrorCode::resource_exhausted, "no thread could be started to hear the channel " + name,
                  "raise the limit of threads, then repeat");
    }
  }
  receivers.add(inbox);
  const std::uint64_t before = failures;
  wanted = !listening;
  changed.notify_all();
  const MonotonicTime deadline = monotonic() + options.connect_timeout + options.timeout;
  system_clock()->wait_until(lock, changed, deadline,
                             [&] { return closed || listening || failures != before; });
  if (closed) fail_closed();
  if (listening) return;
  if (failures != before) throw Error(*failure);
  throw Error(ErrorCode::unavailable,
              "the channel " + name + " cannot be heard: the server did not answer in time",
              "check url and the network, or raise connect_timeout");
}

void PostgresBroadcastChannel::State::fail_closed() const {
  throw Error(ErrorCode::unavailable, "the channel " + name + " is closed", "open another one");
}

void PostgresBroadcastChannel::State::run() {
  std::chrono::milliseconds bound = kFirstPause;
  bool heard_before = false;
  while (true) {
    std::optional<Error> ended;
    try {
      hear(heard_before);
      return;
    } catch (const kv::PostgresRefusal& refusal) {
      ended = in_own_words(refusal);
    } catch (const Error& error) {
      ended = in_own_words(error);
    } catch (const std::exception& error) {  // out of memory
      ended = Error(ErrorCode::resource_exhausted, error.what(), "make room, then repeat");
    }
    std::unique_lock lock(mutex);
    if (std::exchange(listening, false)) {
      heard_before = true;
      bound = kFirstPause;
    } else {
      ++failures;
      failure = std::move(ended);
    }
    changed.notify_all();
    const auto hurried = [this] { return closed || wanted; };
    system_clock()->wait_until(lock, changed, monotonic() + jittered(bound), hurried);
    bound = std::min(bound * 2, kLongestPause);
    // For nobody the server is not asked again and again.
    if (receivers.empty()) system_clock()->wait_until(lock, changed, MonotonicTime::max(), hurried);
    if (closed) return;
    wanted = false;
  }
}

/// Connects, and hears until the channel is closed; throws where the connection fails.
void PostgresBroadcastChannel::State::hear(bool heard_before) {
  MonotonicTime deadline = monotonic() + options.connect_timeout;
  PostgresConnection connection(connection_options(options, options.timeout), deadline, closing.get());
  deadline = monotonic() + options.timeout;
  try {
    connection.run(stay, {}, deadline);
  } catch (const kv::PostgresRefusal&) {
    // PostgreSQL before 14 has no such setting, and nothing that ends an idle session either.
  }
  const Mode found = mode == Mode::polled ? Mode::polled : try_listen(connection, deadline);
  if (found == Mode::unknown) {
    throw Error(ErrorCode::unsupported, "LISTEN has no effect on the channel " + name, kPoolerAdvice);
  }
  mode = found;
  if (found == Mode::polled) {
    const std::int64_t position = table.newest(connection, deadline);
    say_listening(heard_before);
    hear_polling(connection, position);
  } else {
    say_listening(heard_before);
    hear_notifications(connection);
  }
}

void PostgresBroadcastChannel::State::say_listening(bool heard_before) {
  if (heard_before) receivers.post_lost();
  const std::lock_guard lock(mutex);
  listening = true;
  echo.clear();
  changed.notify_all();
}

void PostgresBroadcastChannel::State::hear_notifications(PostgresConnection& connection) {
  do {
    // First what came together with the answer to LISTEN.
    for (const std::string& payload : connection.take_notifications()) {
      take_echo(payload);
      if (const auto message = decode(payload)) {
        receivers.post(std::span(&*message, 1));
      } else {
        receivers.post_lost();
      }
    }
    if (echo_overdue()) {
      throw Error(ErrorCode::unavailable, "what is published on the channel " + name + " is not heard",
                  kPoolerAdvice);
    }
  } while (!wait_closing(connection.socket(), options.timeout));
}

/// What came while the connection was away could be read, but who says that it is still the same server: so
/// `position` is the newest one, and on_lost was called.
void PostgresBroadcastChannel::State::hear_polling(PostgresConnection& connection, std::int64_t position) {
  while (!wait_closing(-1, options.poll_interval)) {
    bool more = true;
    while (more) {
      const auto page = table.read(connection, position, monotonic() + options.timeout);
      if (page.lost) receivers.post_lost();
      for (const std::string& message : page.messages) {
        if (message.empty() || message.size() > kMaxBroadcastMessageBytes) {
          receivers.post_lost();  // by somebody else
        } else {
          receivers.post(std::span(&message, 1));
        }
      }
      more = page.more;
    }
  }
}

/// A session that listens hears what is published by itself: where it does not, it listens no more.
void PostgresBroadcastChannel::State::expect_echo(const std::string& payload) {
  const std::lock_guard lock(mutex);
  if (!listening || !echo.empty()) return;
  echo = payload;
  echo_due = monotonic() + 2 * options.timeout;
}

void PostgresBroadcastChannel::State::take_echo(const std::string& payload) {
  const std::lock_guard lock(mutex);
  if (payload == echo) echo.clear();
}

bool PostgresBroadcastChannel::State::echo_overdue() {
  const std::lock_guard lock(mutex);
  return !echo.empty() && monotonic() > echo_due;
}

/// Waits for so long, or until `socket` can be read (-1: none); whether the channel is closed.
bool PostgresBroadcastChannel::State::wait_closing(int socket, std::chrono::milliseconds time) {
  std::array<pollfd, 2> descriptors = {{{.fd = socket, .events = POLLIN, .revents = 0},
                                        {.fd = closing.get(), .events = POLLIN, .revents = 0}}};
  const auto milliseconds = static_cast<int>(std::min<std::int64_t>(time.count(), 1'000'000));
  while (::poll(descriptors.data(), descriptors.size(), milliseconds) < 0 && errno == EINTR) {
  }
  return descriptors[1].revents != 0;
}

void PostgresBroadcastChannel::State::close() {
  {
    const std::lock_guard lock(mutex);
    closed = true;
    if (!publishing) publisher.reset();
    changed.notify_all();
  }
  ::eventfd_write(closing.get(), 1);
  std::call_once(joined, [this] {
    if (reader.joinable()) reader.join();
  });
  for (const auto& inbox : receivers.all()) receivers.end(inbox);
}

PostgresBroadcastChannel::PostgresBroadcastChannel(PostgresChannelOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

PostgresBroadcastChannel::~PostgresBroadcastChannel() { close(); }

std::size_t PostgresBroadcastChannel::publish(std::span<const std::string> messages) {
  try {
    return state_->publish(messages);
  } catch (const Error&) {
    ++state_->refused;
    throw;
  }
}

Subscription PostgresBroadcastChannel::subscribe(BroadcastReceiver receiver) {
  const std::shared_ptr<invalidation::Inbox> inbox = state_->receivers.make(std::move(receiver));
  Subscription subscription([state = state_, inbox] { state->receivers.end(inbox); });
  state_->start_listening(inbox);
  return subscription;
}

std::string PostgresBroadcastChannel::name() const { return state_->name; }

BroadcastStats PostgresBroadcastChannel::stats() const {
  BroadcastStats stats{
      .published = state_->published, .refused = state_->refused, .polls = state_->mode == Mode::polled};
  state_->receivers.count(stats);
  return stats;
}

void PostgresBroadcastChannel::close() { state_->close(); }

}  // namespace db4
