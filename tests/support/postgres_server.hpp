#pragma once
// A PostgreSQL server of a test's own: in a temporary folder, on a unix socket and a loopback port, stopped
// by its pid.

#include "support/free_port.hpp"

#include <db4/clock.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace db4::testing {

class PostgresServer {
 public:
  struct Options {
    /// Lines for postgresql.conf.
    std::string settings = {};
    /// Of pg_hba.conf; empty: everybody is trusted.
    std::string access = {};
    bool tls = false;  ///< with a certificate for 127.0.0.1 that it signed itself: certificate()
  };

  /// Starts one; throws std::runtime_error with the reason where that cannot be done here.
  explicit PostgresServer(const Options& options) : bin_(find_bin()), port_(free_port()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "db4_pg_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = pattern;
    log_ = folder_ / "log";
    if (::geteuid() == 0) {
      // It refuses to run as root.
      const passwd* user = ::getpwnam("postgres");
      if (user == nullptr) throw std::runtime_error("there is no user postgres to run the server as");
      as_user_ = {"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"};
      if (::chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) throw std::runtime_error("chown failed");
    }
    run({bin_ / "initdb", "-D", data(), "-U", "db4", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"});
    std::ofstream(data() / "postgresql.conf", std::ios::app)
        << "listen_addresses = '127.0.0.1'\nport = " << port_ << "\nunix_socket_directories = '"
        << folder_.string() << "'\nfsync = off\nmax_connections = 60\nshared_buffers = 32MB\n"
        << options.settings << "\n";
    if (options.tls) {
      run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-days", "2", "-subj", "/CN=db4-test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
           data() / "server.key", "-out", certificate()});
      std::ofstream(data() / "postgresql.conf", std::ios::app) << "ssl = on\n";
    }
    if (!options.access.empty()) std::ofstream(data() / "pg_hba.conf") << options.access << "\n";
    start();
  }
  ~PostgresServer() {
    kill(SIGQUIT);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  [[nodiscard]] std::string url() const {
    return "postgresql://db4@/postgres?host=" + folder_.string() + "&port=" + std::to_string(port_);
  }
  [[nodiscard]] std::string tcp_url(const std::string& user = "db4") const {
    return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port_) + "/postgres";
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::filesystem::path certificate() const { return data() / "server.crt"; }
  /// The server alone may have files there.
  [[nodiscard]] std::filesystem::path data() const { return folder_ / "data"; }

  void start() {
    pid_ = spawn({bin_ / "postgres", "-D", data()});
    const auto clock = system_clock();
    for (int i = 0; i < 600; ++i) {
      if (succeeds({bin_ / "pg_isready", "-q", "-h", folder_, "-p", std::to_string(port_)})) return;
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
      clock->sleep_for(std::chrono::milliseconds{50});
    }
    throw std::runtime_error("the server did not start: " + log());
  }
  /// SIGINT: sessions are ended; SIGQUIT: at once; SIGKILL: as a power cut.
  void kill(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void restart(int signal = SIGINT) {
    kill(signal);
    start();
  }
  /// Runs a statement as the superuser; what it prints, without the last end of line.
  std::string sql(const std::string& statement) {
    const auto out = folder_ / ("sql" + std::to_string(++statements_));
    if (!succeeds({bin_ / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url(), "-o", out,
                   "-c", statement}))
      throw std::runtime_error("psql failed for: " + statement + "\n" + log());
    std::ifstream in(out);
    std::ostringstream text;
    text << in.rdbuf();
    std::string result = text.str();
    while (!result.empty() && result.back() == '\n') result.pop_back();
    return result;
  }
  /// A name for a schema that no other test uses.
  static std::string new_schema() {
    static std::atomic<int> made{0};
    return "test" + std::to_string(++made);
  }

 private:
  static std::filesystem::path find_bin() {
    std::filesystem::path found;
    std::error_code none;
    for (const auto& release : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
      if (std::filesystem::exists(release.path() / "bin/postgres")) found = release.path() / "bin";
    }
    if (found.empty()) throw std::runtime_error("PostgreSQL's server is not installed (postgresql)");
    return found;
  }
  pid_t spawn(std::vector<std::string> command) {
    if (!as_user_.empty()) command.insert(command.begin(), as_user_.begin(), as_user_.end());
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = -1;
    const int failed = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw std::runtime_error("cannot run " + command[0]);
    return pid;
  }
  bool succeeds(const std::vector<std::string>& command) {
    int status = 0;
    const pid_t pid = spawn(command);
    return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  void run(const std::vector<std::string>& command) {
    if (!succeeds(command)) throw std::runtime_error(command[0] + " failed: " + log());
  }
  std::string log() const {
    std::ifstream in(log_);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::filesystem::path bin_;
  int port_;
  std::filesystem::path folder_;
  std::filesystem::path log_;
  std::vector<std::string> as_user_;
  pid_t pid_ = -1;
  int statements_ = 0;
};

/// One server for a whole test program; nullptr, and the reason, where none can be started.
inline PostgresServer* shared_postgres_server(std::string* reason = nullptr) {
  struct Shared {
    std::unique_ptr<PostgresServer> server;
    std::string reason;
    Shared() {
      try {
        server = std::make_unique<PostgresServer>(PostgresServer::Options{});
      } catch (const std::runtime_error& error) {
        reason = error.what();
      }
    }
  };
  static Shared shared;
  if (reason != nullptr) *reason = shared.reason;
  return shared.server.get();
}

}  // namespace db4::testing
