#pragma once
// Runs one test of this binary in a process of its own, which may be killed.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace db4::kv::testing {

/// The child runs the disabled test `name` with DB4_TEST_CHILD set to `argument`; what it writes with
/// tell_parent() is read here. A fork alone would not do: RocksDB's threads do not survive it.
class ChildProcess {
 public:
  ChildProcess(const std::string& name, const std::string& argument) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    from_child_ = ends[0];
    std::string filter = "--gtest_filter=" + name;
    std::string disabled = "--gtest_also_run_disabled_tests";
    std::string program = "db4_test_kv";
    char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
    ::setenv("DB4_TEST_CHILD", argument.c_str(), 1);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], kToParent);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const int failed = ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::unsetenv("DB4_TEST_CHILD");
    ::close(ends[1]);
    if (failed != 0) throw std::runtime_error("posix_spawn failed");
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    kill();
    ::close(from_child_);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// The next byte from the child; -1 when it is gone.
  int read() {
    unsigned char byte = 0;
    return ::read(from_child_, &byte, 1) == 1 ? byte : -1;
  }

  /// SIGKILL, and waits until it is gone.
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  /// In the child: the argument; the test is skipped where it is not run as a child.
  static const char* argument() { return std::getenv("DB4_TEST_CHILD"); }
  static void tell_parent(unsigned char byte) {
    if (::write(kToParent, &byte, 1) != 1) ::_exit(1);  // the parent is gone
  }
  [[noreturn]] static void wait_to_be_killed() {
    for (;;) ::pause();
  }

 private:
  static constexpr int kToParent = 100;

  pid_t pid_ = -1;
  int from_child_ = -1;
};

}  // namespace db4::kv::testing
