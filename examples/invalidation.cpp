// Two nodes that keep copies of the same documents: what one writes, the other stops serving.
#include <db4/storage.hpp>

#include <future>
#include <iostream>

int main() {
  db4::TieredStore store({.hot = {.type = db4::HotType::memory}, .cold = {.type = db4::ColdType::memory}});
  db4::CacheInvalidationManager here({.node_id = "here"});
  db4::CacheInvalidationManager there({.node_id = "there"});
  here.set_broadcast_channel(std::make_shared<db4::InMemoryBroadcastChannel>("documents"));
  there.set_broadcast_channel(std::make_shared<db4::InMemoryBroadcastChannel>("documents"));

  const auto read = [&](db4::CacheInvalidationManager& node) {
    db4::CacheLookup found = node.get("users", "user-1");
    const bool held = found.value.has_value();
    if (!held) {
      const db4::FillMark mark = node.begin_fill("users", "user-1");  // before the read, not after it
      found.value = store.read("users", "user-1");
      node.set("users", "user-1", found.value.value(), {}, mark);
    }
    std::cout << node.node_id() << " has " << found.value->text() << (held ? ", a copy" : ", just read")
              << "\n";
  };

  store.write("users", "user-1", {{"name", "Alice"}});
  read(there);
  read(there);

  std::promise<db4::InvalidationEvent> told;
  const db4::Subscription subscription =
      there.subscribe([&](const db4::InvalidationEvent& event) { told.set_value(event); });
  const db4::WriteResult written = store.write("users", "user-1", {{"name", "Bob"}});
  here.announce({.collection = "users", .id = "user-1", .version = written.version});

  const db4::InvalidationEvent event = told.get_future().get();
  std::cout << "there is told by " << event.node_id << ": " << event.collection << "/" << event.id
            << " has changed\n";
  read(there);
}

// Output:
//   there has {"name":"Alice"}, just read
//   there has {"name":"Alice"}, a copy
//   there is told by here: users/user-1 has changed
//   there has {"name":"Bob"}, just read
