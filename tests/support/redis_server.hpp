#pragma once
// RedisServer: a Redis of a test's own, on a unix socket and a loopback port.

#include "support/free_port.hpp"
#include "support/temporary_folder.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace db4::testing {

/// Started by the constructor, which waits until it answers, and stopped by its process id. What it holds is
/// gone when it ends. One thread.
class RedisServer {
 public:
  struct Options {
    bool tls = false;                    ///< the port speaks TLS; its certificate is made here
    std::string password = {};           ///< empty: none
    std::vector<std::string> more = {};  ///< further words of its command line
  };

  /// Why no server can be started here; empty: it can.
  static std::string absence() {
    if (server_program().empty()) return "there is no redis-server (Debian: redis-server)";
    if (find("openssl").empty()) return "there is no openssl, which makes certificates";
    return {};
  }

  RedisServer() : RedisServer(Options{}) {}
  explicit RedisServer(Options options) : options_(std::move(options)), port_(free_port()) {
    if (options_.tls) make_certificate();
    start();
  }
  ~RedisServer() { stop(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::string socket() const { return (folder_.path() / "redis.sock").string(); }
  [[nodiscard]] std::string unix_endpoint() const { return "unix://" + socket(); }
  [[nodiscard]] std::string endpoint(const std::string& host = "127.0.0.1") const {
    return (options_.tls ? "rediss://" : "redis://") + host + ":" + std::to_string(port_);
  }
  /// The certificate, which signed itself; made for 127.0.0.1 and localhost.
  [[nodiscard]] std::string ca_file() const { return (folder_.path() / "certificate.pem").string(); }

  /// Again, on the same port and socket, after stop() or kill().
  void start() {
    if (pid_ > 0) return;
    int log[2];
    if (::pipe2(log, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    const std::vector<std::string> words = command_line();
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::string program = server_program();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it must not outlive a test that is killed
      ::dup2(log[1], STDOUT_FILENO);
      ::dup2(log[1], STDERR_FILENO);
      ::execv(program.c_str(), arguments.data());
      ::_exit(127);
    }
    ::close(log[1]);
    const std::string said = read_until(log[0], "Ready to accept connections");
    ::close(log[0]);
    if (!said.empty()) {
      stop();
      throw std::runtime_error("redis-server did not come up: " + said);
    }
  }
  void stop() noexcept { end(SIGTERM); }
  /// As the system does where memory is short.
  void kill() noexcept { end(SIGKILL); }
  /// It hangs from now on; connections are still taken by the system.
  void freeze() const {
    ::kill(pid_, SIGSTOP);
    int status = 0;
    while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
    }
  }
  void thaw() const noexcept { ::kill(pid_, SIGCONT); }

 private:
  static std::string find(const std::string& name) {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      std::string program = folder + "/" + name;
      if (::access(program.c_str(), X_OK) == 0) return program;
    }
    return {};
  }

  /// Debian's redis-tools has it too, as its checker: one program that goes by the name it is called by.
  static std::string server_program() {
    std::string found = find("redis-server");
    return found.empty() ? find("redis-check-rdb") : found;
  }

  /// Empty once the text came; all that was said where it did not.
  static std::string read_until(int fd, const std::string& text) {
    std::string said;
    char buffer[4096];
    for (;;) {
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return said.empty() ? "it said nothing" : said;
      said.append(buffer, static_cast<std::size_t>(got));
      if (said.find(text) != std::string::npos) return {};
    }
  }

  [[nodiscard]] std::vector<std::string> command_line() const {
    const std::string port = std::to_string(port_);
    std::vector<std::string> words{"redis-server",
                                   "--bind",
                                   "127.0.0.1",
                                   "--unixsocket",
                                   socket(),
                                   "--save",
                                   "",
                                   "--appendonly",
                                   "no",
                                   "--daemonize",
                                   "no",
                                   "--dir",
                                   folder_.path().string(),
                                   "--loglevel",
                                   "notice"};
    if (options_.tls) {
      words.insert(words.end(), {"--port", "0", "--tls-port", port, "--tls-cert-file", ca_file(),
                                 "--tls-key-file", (folder_.path() / "key.pem").string(),
                                 "--tls-ca-cert-file", ca_file(), "--tls-auth-clients", "no"});
    } else {
      words.insert(words.end(), {"--port", port});
    }
    if (!options_.password.empty()) words.insert(words.end(), {"--requirepass", options_.password});
    words.insert(words.end(), options_.more.begin(), options_.more.end());
    return words;
  }

  void make_certificate() const {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=db4-test "
        "-addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout '" +
        (folder_.path() / "key.pem").string() + "' -out '" + ca_file() + "' 2>/dev/null";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("openssl made no certificate");
  }

  void end(int signal) noexcept {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGCONT);
    ::kill(pid_, signal);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }

  TemporaryFolder folder_;
  const Options options_;
  const int port_;
  pid_t pid_ = 0;
};

}  // namespace db4::testing
