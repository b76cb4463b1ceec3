// One process holds a store; another asks it through its live socket: live_client FOLDER
// The service and its visitor are one program here, by fork(), so that it can be tried at once.
#include <db4/storage.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

namespace {

void wait_for_end_of(int pipe_end) {
  char byte = 0;
  while (::read(pipe_end, &byte, 1) > 0) {
  }
}

/// Holds the store until the visitor closes its end of `stop`; closing `ready` says that it can be asked.
void serve(const std::filesystem::path& folder, int ready, int stop) {
  db4::TieredStore store({.hot = {.path = folder / "hot"}, .cold = {.path = folder / "cold"}});
  store.write("users", "ada", {{"name", "Ada"}});
  ::close(ready);
  wait_for_end_of(stop);
  store.close();
}

void visit(const std::filesystem::path& folder) {
  const auto live = db4::LiveClient::connect(folder / "hot");
  if (!live) throw std::runtime_error("nobody holds the store");
  const db4::OperationReply got = live->run(R"({"op": "get", "collection": "users", "id": "ada"})");
  std::cout << "the body: " << got.body << "\n";
  live->run(R"({"op": "demote", "collection": "users", "id": "ada"})");
  const auto explained =
      nlohmann::json::parse(live->run(R"({"op": "explain", "collection": "users", "id": "ada"})").json);
  std::cout << "its home: " << explained["home"] << ", placed by: " << explained["placed_by"] << "\n";
  try {
    const db4::TieredStore second({.hot = {.path = folder / "hot"}, .cold = {.path = folder / "cold"}});
  } catch (const db4::Error& error) {
    std::cout << "opening it a second time: " << to_string(error.code()) << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "live-data";
  int ready[2];
  int stop[2];
  if (::pipe(ready) != 0 || ::pipe(stop) != 0) return 1;
  const pid_t service = ::fork();  // before any store: its threads would not come along
  if (service == 0) {
    ::close(ready[0]);
    ::close(stop[1]);
    serve(folder, ready[1], stop[0]);
    return 0;
  }
  ::close(ready[1]);
  ::close(stop[0]);
  wait_for_end_of(ready[0]);
  visit(folder);
  ::close(stop[1]);
  int status = 0;
  ::waitpid(service, &status, 0);
  return status;
}

// Output:
//   the body: {"name":"Ada"}
//   its home: "cold", placed by: "promote() or demote() by hand"
//   opening it a second time: locked
