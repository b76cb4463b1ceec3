// What only the filesystem store promises: its layout, its temporary files, crashes, and what the system's
// refusals become.

#include "objects/object_name.hpp"
#include "objects/object_store_suite.hpp"
#include "support/temporary_folder.hpp"

#include <db4/object_stores.hpp>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <random>

namespace db4::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kSkip = 77;

/// Runs `body` in a forked child; its exit status. For what would cripple the test's own process.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 1;
    try {
      status = body();
    } catch (const std::exception& error) {
      (void)!::write(2, error.what(), std::strlen(error.what()));
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The code that a call throws, as an exit status that cannot be mistaken for success.
int thrown(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return 100 + static_cast<int>(error.code());
  }
  return 99;
}
int status_of(ErrorCode code) { return 100 + static_cast<int>(code); }

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

class FilesystemObjectStoreTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path root() const { return folder_.path() / "objects"; }
  TemporaryFolder folder_;
};

TEST(ObjectPath, IsOnDiskAndNeverChanges) {
  const auto path = [](std::string_view name) { return objects::object_path(name).joined(); };
  EXPECT_EQ(path("a"), "a.obj");
  EXPECT_EQ(path("a/b c"), "a/b%20c.obj");
  EXPECT_EQ(path("../x"), "%2E./x.obj");
  EXPECT_EQ(path("."), "%2E.obj");
  EXPECT_EQ(path("a//b/"), "a/%/b/%.obj");
  EXPECT_EQ(path("a.obj/a.obj"), "a%2Eobj/a.obj.obj");
  EXPECT_EQ(path("%2e"), "%252e.obj");
  EXPECT_EQ(path("é"), "%C3%A9.obj");
  EXPECT_EQ(path(std::string(201, 'x') + "/y"), std::string(200, 'x') + "%/x/y.obj");
  EXPECT_EQ(path(std::string(200, 'x') + "../y"), std::string(200, 'x') + "%/%2E./y.obj");
}

TEST(ObjectPath, NeverLeadsOutOfTheRootNorOverASystemsLimits) {
  std::map<std::string, std::string> names_of_paths;
  for (const std::string& name : hostile_names()) {
    const std::string path = objects::object_path(name).joined();
    EXPECT_TRUE(names_of_paths.emplace(path, name).second) << name << " meets " << names_of_paths[path];
    EXPECT_LT(path.size(), 4096U);
    for (const fs::path& part : fs::path(path)) {
      EXPECT_FALSE(part.empty() || part.string().starts_with('.') || part.is_absolute()) << path;
      EXPECT_LE(part.string().size(), 255U) << path;
    }
  }
}

TEST_F(FilesystemObjectStoreTest, ObjectsAreThereWhenItIsOpenedAgain) {
  make_filesystem_object_store(root() / "not" / "yet" / "there")->put("a/b", as_bytes("body"));
  const auto store = make_filesystem_object_store(root() / "not" / "yet" / "there" / "");
  EXPECT_EQ(text_of(store->get("a/b", kAnySize)), "body");
}

TEST_F(FilesystemObjectStoreTest, NoTemporaryFileStaysBehind) {
  const auto store = make_filesystem_object_store(root());
  store->put("a", as_bytes("1"));
  store->put("b", as_bytes("1"), {.only_if_absent = true});
  EXPECT_EQ(code_of([&] { store->put("b", as_bytes("2"), {.only_if_absent = true}); }), ErrorCode::conflict);
  fs::create_directories(root() / "c.obj" / "x");
  EXPECT_EQ(code_of([&] { store->put("c", as_bytes("2")); }), ErrorCode::unavailable);
  EXPECT_EQ(files_in(root() / ".tmp"), 0U);
}

TEST_F(FilesystemObjectStoreTest, OpeningRemovesTemporaryFilesOnlyOfDeadWriters) {
  make_filesystem_object_store(root());
  const auto create = [&](const char* name, long age_seconds) {
    const fs::path path = root() / ".tmp" / name;
    std::ofstream(path) << "partial";
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec -= age_seconds;
    const timespec times[2] = {now, now};
    EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return path;
  };
  const fs::path dead = create("dead", 3700);
  const fs::path young = create("young", 3000);
  const fs::path slow = create("slow", 100'000);
  const int writer = ::open(slow.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);
  make_filesystem_object_store(root());
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(slow));
  ::close(writer);
  make_filesystem_object_store(root());
  EXPECT_FALSE(fs::exists(slow));
}

TEST_F(FilesystemObjectStoreTest, FilesOfStrangersAreNoObjects) {
  const auto store = make_filesystem_object_store(root());
  store->put("a/b", as_bytes("1"));
  for (const char* name :
       {"README", "x%2fy.obj", "%61.obj", "b c.obj", ".hidden.obj", ".obj", "half%", "lost+found"}) {
    std::ofstream(root() / name) << "stranger";
    std::ofstream(root() / "a" / name) << "stranger";
  }
  fs::create_directories(root() / "short%" / "chain%");
  std::ofstream(root() / "short%" / "z.obj") << "stranger";
  const ObjectPage page = store->list("", "", 10);
  ASSERT_EQ(page.objects.size(), 1U);
  EXPECT_EQ(page.objects[0].name, "a/b");
}

TEST_F(FilesystemObjectStoreTest, ListReadsOnlyFoldersThatThePrefixAllows) {
  const auto store = make_filesystem_object_store(root());
  store->put("a/b/c", as_bytes("1"));
  store->put("z/b/c", as_bytes("1"));
  // Symbolic links that lead nowhere good: reading through them would fail.
  for (const char* name : {"other", "a/other", "a/b0", "b"}) fs::create_symlink("loop", root() / name);
  fs::create_symlink("loop", root() / "loop");
  EXPECT_EQ(store->list("a/b/", "", 10).objects.size(), 1U);
  EXPECT_EQ(store->list("a/b/c", "", 10).objects.size(), 1U);
  EXPECT_EQ(store->list("z", "", 10).objects.size(), 1U);
  EXPECT_EQ(store->list("", "p", 10).objects.size(), 1U);
  EXPECT_EQ(code_of([&] { (void)store->list("", "", 10); }), ErrorCode::unavailable);
}

TEST_F(FilesystemObjectStoreTest, PutSurvivesThatItsFolderWasRemoved) {
  const auto store = make_filesystem_object_store(root());
  store->put("a/b/c", as_bytes("1"));
  fs::remove_all(root() / "a");
  store->put("a/b/c", as_bytes("2"));
  EXPECT_EQ(text_of(store->get("a/b/c", kAnySize)), "2");
}

TEST_F(FilesystemObjectStoreTest, KilledWriterLeavesTheOldOrTheNewObject) {
  const auto body = [](int i) { return std::string(200'000, static_cast<char>('a' + i % 26)); };
  const auto store = make_filesystem_object_store(root());
  store->put("a", as_bytes(body(0)));
  std::mt19937 random(3);
  for (int round = 0; round < 12; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t writer = ::fork();
    if (writer == 0) {
      for (int i = 0;; ++i) {
        try {
          store->put("a", as_bytes(body(i)));
          store->put("new/" + std::to_string(i % 5), as_bytes(body(i)), {.only_if_absent = false});
        } catch (...) {
          ::_exit(1);
        }
        if (::write(pipe_ends[1], "x", 1) != 1) ::_exit(2);
      }
    }
    ::close(pipe_ends[1]);
    char byte = 0;
    for (std::uint32_t wait = 1 + random() % 4; wait > 0; --wait)
      ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    ::close(pipe_ends[0]);
    for (const ObjectInfo& object : store->list("", "", 100).objects) {
      const std::string seen = text_of(store->get(object.name, kAnySize));
      EXPECT_EQ(seen, std::string(200'000, seen.at(0)));
    }
  }
}

TEST_F(FilesystemObjectStoreTest, AFileSizeLimitIsResourceExhaustedAndLeavesNothing) {
  const auto store = make_filesystem_object_store(root());
  store->put("a", as_bytes("old"));
  EXPECT_EQ(in_child([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{.rlim_cur = 4096, .rlim_max = 4096};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              return thrown([&] { store->put("a", Bytes(100'000)); });
            }),
            status_of(ErrorCode::resource_exhausted));
  EXPECT_EQ(text_of(store->get("a", kAnySize)), "old");
  EXPECT_EQ(files_in(root() / ".tmp"), 0U);
}

TEST_F(FilesystemObjectStoreTest, TooManyOpenFilesIsResourceExhausted) {
  const auto store = make_filesystem_object_store(root());
  store->put("a", as_bytes("old"));
  EXPECT_EQ(in_child([&] {
              const rlimit limit{.rlim_cur = 3, .rlim_max = 3};
              ::setrlimit(RLIMIT_NOFILE, &limit);
              return thrown([&] { (void)store->get("a", kAnySize); });
            }),
            status_of(ErrorCode::resource_exhausted));
}

/// Mounts a small file system of the child's own on `path`; false where the system does not let it.
bool mount_small_filesystem(const fs::path& path) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=256k") == 0;
}

TEST_F(FilesystemObjectStoreTest, AFullDiskIsResourceExhaustedAndKeepsTheOldObject) {
  fs::create_directories(root());
  const int status = in_child([&] {
    if (!mount_small_filesystem(root())) return kSkip;
    const auto store = make_filesystem_object_store(root());
    store->put("a", as_bytes("old"));
    const int code = thrown([&] { store->put("a", Bytes(1'000'000)); });
    if (code != status_of(ErrorCode::resource_exhausted)) return code;
    if (text_of(store->get("a", kAnySize)) != "old" || files_in(root() / ".tmp") != 0) return 1;
    store->put("a", Bytes(100'000));  // the room is there again
    return 0;
  });
  if (status == kSkip) GTEST_SKIP() << "this process may not mount a file system of its own";
  EXPECT_EQ(status, 0);
}

TEST_F(FilesystemObjectStoreTest, AReadOnlyFileSystemIsReadOnlyAndStillRead) {
  fs::create_directories(root());
  const int status = in_child([&] {
    if (!mount_small_filesystem(root())) return kSkip;
    make_filesystem_object_store(root())->put("a", as_bytes("old"));
    if (::mount(nullptr, root().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) return kSkip;
    const auto store = make_filesystem_object_store(root());
    if (text_of(store->get("a", kAnySize)) != "old") return 1;
    if (thrown([&] { store->remove("a"); }) != status_of(ErrorCode::read_only)) return 2;
    return thrown([&] { store->put("a", as_bytes("new")); });
  });
  if (status == kSkip) GTEST_SKIP() << "this process may not mount a file system of its own";
  EXPECT_EQ(status, status_of(ErrorCode::read_only));
}

TEST_F(FilesystemObjectStoreTest, AFolderOfSomebodyElseIsPermissionDenied) {
  const auto store = make_filesystem_object_store(root());
  store->put("a/b", as_bytes("old"));
  fs::permissions(folder_.path(), fs::perms::others_exec, fs::perm_options::add);
  for (const char* path : {"", ".tmp", "a"}) fs::permissions(root() / path, fs::perms(0555));
  const int status = in_child([&] {
    // Root passes every permission check, so the child becomes nobody.
    if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0)) {
      return kSkip;
    }
    if (thrown([&] { store->put("a/c", as_bytes("new")); }) != status_of(ErrorCode::permission_denied))
      return 1;
    if (thrown([&] { store->remove("a/b"); }) != status_of(ErrorCode::permission_denied)) return 2;
    if (text_of(store->get("a/b", kAnySize)) != "old") return 3;
    return thrown([&] { make_filesystem_object_store(root() / "below"); });
  });
  for (const char* path : {"", ".tmp", "a"}) fs::permissions(root() / path, fs::perms(0755));
  if (status == kSkip) GTEST_SKIP() << "this process cannot give up its privileges";
  EXPECT_EQ(status, status_of(ErrorCode::permission_denied));
}

}  // namespace
}  // namespace db4::testing
