// watch: changes of a store's documents as they come.
#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <condition_variable>
#include <deque>
#include <iostream>
#include <mutex>

namespace db4::cli {
namespace {

struct WatchOptions {
  std::string collection;
  std::uint64_t count = 0;
};

/// Between the thread that hears of events and the one that prints them. Whoever pushes waits while it is
/// full: what comes meanwhile the subscription holds, and makes a flush of where it is too much.
class EventQueue {
 public:
  void push(const InvalidationEvent& event) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return events_.size() < kMaxWaiting || closed_; });
    events_.push_back(event);
    changed_.notify_one();
  }
  /// Nobody prints any more.
  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    room_.notify_all();
  }
  /// The next one; nullopt once `stop` is requested.
  std::optional<InvalidationEvent> pop(const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] {
      const std::scoped_lock lock(mutex_);
      changed_.notify_one();
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !events_.empty() || stop.stop_requested(); });
    if (events_.empty()) return std::nullopt;
    InvalidationEvent event = std::move(events_.front());
    events_.pop_front();
    room_.notify_one();
    return event;
  }

 private:
  static constexpr std::size_t kMaxWaiting = 1000;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable room_;
  bool closed_ = false;
  std::deque<InvalidationEvent> events_;
};

void print(const InvalidationEvent& event, bool as_json) {
  if (as_json) {
    std::cout << nlohmann::json{{"type", to_string(event.type)},
                                {"collection", event.collection},
                                {"id", event.id},
                                {"version", event.version},
                                {"node", event.node_id},
                                {"epoch", event.epoch},
                                {"sequence", event.sequence}}
                     .dump()
              << "\n";
  } else {
    std::cout << to_string(event.type);
    if (event.type != InvalidationType::flush) std::cout << " " << escape(event.collection);
    if (event.type == InvalidationType::document)
      std::cout << "/" << escape(event.id) << " version " << event.version;
    std::cout << " by " << escape(event.node_id) << " (" << event.sequence << ")\n";
  }
  std::cout.flush();
}

int watch(Context& context, const WatchOptions& options) {
  const auto queue = std::make_shared<EventQueue>();
  const auto store = context.open_alone("watching");
  std::uint64_t printed = 0;
  {
    const Subscription subscription =
        store->subscribe([queue](const InvalidationEvent& event) { queue->push(event); });
    while (const auto event = queue->pop(context.stop())) {
      const bool wanted = options.collection.empty() || event->type == InvalidationType::flush ||
                          event->collection == options.collection;
      if (!wanted) continue;
      print(*event, context.json());
      if (++printed == options.count) break;
    }
    queue->close();
  }
  store->close();
  return kOk;  // Ctrl-C is how it ends
}

}  // namespace

void add_watch_command(CommandTree& tree) {
  const auto options = std::make_shared<WatchOptions>();
  CLI::App& command = tree.add(
      {.name = "watch",
       .group = "Look",
       .summary = "Print changes of documents as they come, of all nodes of a shared store",
       .details = "A line for each, a JSON object with --json, until Ctrl-C. For a store in PostgreSQL with "
                  "consistency.broadcast set; moves between tiers are changes too. A flush means that some "
                  "could not be told.",
       .examples = "db4 watch\n"
                   "db4 watch orders --json | jq .id"},
      [options](Context& context) { return watch(context, *options); });
  command.add_option("collection", options->collection, "Only changes of this collection")->type_name("");
  command.add_option("--count", options->count, "End after so many; 0: never")->type_name("N");
}

}  // namespace db4::cli
