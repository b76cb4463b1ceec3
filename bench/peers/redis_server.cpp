#include "peers/redis_server.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

namespace db4::bench {
namespace {

bool answers(const std::string& socket_path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

}  // namespace

std::filesystem::path RedisServer::find_program() {
  const char* path = std::getenv("PATH");
  for (const char* name : {"redis-server", "redis-check-rdb"}) {
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      std::filesystem::path program = std::filesystem::path(folder) / name;
      if (access(program.c_str(), X_OK) == 0) return program;
    }
  }
  return {};
}

RedisServer::RedisServer(const std::filesystem::path& folder, Durability durability)
    : socket_(std::filesystem::absolute(folder / "redis.sock").string()) {
  if (socket_.size() >= sizeof(sockaddr_un::sun_path)) {
    throw std::runtime_error("the path of Redis's socket is too long: choose a shorter --dir");
  }
  const std::filesystem::path program = find_program();
  std::filesystem::create_directories(folder);
  // One program serves as server and as checker, and goes by the name that it is called by.
  std::vector<std::string> words{"redis-server",
                                 "--port",
                                 "0",
                                 "--unixsocket",
                                 socket_,
                                 "--dir",
                                 folder.string(),
                                 "--save",
                                 "",
                                 "--daemonize",
                                 "no",
                                 "--logfile",
                                 (folder / "redis.log").string()};
  words.insert(words.end(), {"--appendonly", durability == Durability::none ? "no" : "yes"});
  words.insert(words.end(), {"--appendfsync", durability == Durability::disk ? "always" : "no"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error(std::string("cannot start Redis: ") + std::strerror(errno));
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // it must not outlive a benchmark that is killed
    execv(program.c_str(), arguments.data());
    _exit(127);
  }
  constexpr int kTries = 1000;
  for (int i = 0; !answers(socket_); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const bool ended = waitpid(pid_, nullptr, WNOHANG) == pid_;
    if (ended) pid_ = 0;
    if (!ended && i < kTries) continue;
    stop();
    throw std::runtime_error("Redis did not come up; what it said is in " + (folder / "redis.log").string());
  }
}

RedisServer::~RedisServer() { stop(); }

void RedisServer::stop() noexcept {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

}  // namespace db4::bench
