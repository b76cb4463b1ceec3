// What survives: killed processes, damaged files, folders in use or refused.

#include "child_process.hpp"
#include "engine_fixture.hpp"

#include <db4/clock.hpp>

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

namespace db4::kv::testing {
namespace {

namespace fs = std::filesystem;

class DiskEngineTest : public EngineTest {
 protected:
  [[nodiscard]] fs::path engine_path() const { return options().path; }
  [[nodiscard]] std::string error_of_open() const {
    try {
      (void)open();
    } catch (const Error& error) {
      return std::string(to_string(error.code())) + ": " + error.what();
    }
    return "opened";
  }
};

INSTANTIATE_TEST_SUITE_P(OnDisk, DiskEngineTest, ::testing::Values(HotType::sqlite, HotType::rocksdb),
                         engine_name);

void write_file(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

/// "type durability path", as a child gets it.
struct ChildArgument {
  HotType type;
  Durability opened;
  Durability asked;
  fs::path path;

  [[nodiscard]] std::string text() const {
    return std::to_string(static_cast<int>(type)) + " " + std::to_string(static_cast<int>(opened)) + " " +
           std::to_string(static_cast<int>(asked)) + " " + path.string();
  }
  static ChildArgument parse(const char* text) {
    std::istringstream in(text);
    int type = 0;
    int opened = 0;
    int asked = 0;
    std::string path;
    in >> type >> opened >> asked >> path;
    return {static_cast<HotType>(type), static_cast<Durability>(opened), static_cast<Durability>(asked),
            path};
  }
  [[nodiscard]] std::unique_ptr<Engine> open() const {
    return open_engine(type, {.path = path, .spaces = all_spaces(), .durability = opened});
  }
};

/// Commits from two threads and reports each acknowledgement, until it is killed.
TEST(ChildTest, DISABLED_CommitsUntilKilled) {
  if (ChildProcess::argument() == nullptr) GTEST_SKIP() << "runs as the child of another test";
  const auto argument = ChildArgument::parse(ChildProcess::argument());
  const auto engine = argument.open();
  CommitQueue queue(*engine);
  const auto run = [&](unsigned thread) {
    for (int i = 0;; ++i) {
      const std::string key = std::to_string(thread) + "/" + std::to_string(i);
      Batch batch;
      batch.put(kRows, key, std::to_string(i));
      batch.put(kBodies, key, std::string(2000, static_cast<char>('a' + i % 26)));
      batch.add(kCounts, "n", 1);
      queue.commit(batch, argument.asked);
      ChildProcess::tell_parent(static_cast<unsigned char>(thread));
    }
  };
  std::thread other(run, 1);
  run(0);
}

TEST(ChildTest, DISABLED_HoldsTheStoreUntilKilled) {
  if (ChildProcess::argument() == nullptr) GTEST_SKIP() << "runs as the child of another test";
  const auto engine = ChildArgument::parse(ChildProcess::argument()).open();
  ChildProcess::tell_parent(1);
  ChildProcess::wait_to_be_killed();
}

TEST_P(DiskEngineTest, AKilledProcessLosesNothingAcknowledged) {
  const std::pair<Durability, Durability> opened_and_asked[] = {{Durability::disk, Durability::disk},
                                                                {Durability::process, Durability::process},
                                                                {Durability::none, Durability::disk}};
  for (const auto& [opened, asked] : opened_and_asked) {
    SCOPED_TRACE(std::string(to_string(opened)) + " opened, " + std::string(to_string(asked)) + " asked");
    const ChildArgument argument{GetParam(), opened, asked, folder_.path() / std::string(to_string(opened))};
    int acknowledged[2] = {0, 0};
    ChildProcess child("ChildTest.DISABLED_CommitsUntilKilled", argument.text());
    for (int i = 0; i < 100; ++i) {
      const int thread = child.read();
      ASSERT_GE(thread, 0) << "the child ended by itself";
      ++acknowledged[thread];
    }
    child.kill();
    for (int thread = child.read(); thread >= 0; thread = child.read()) ++acknowledged[thread];
    const auto engine = argument.open();
    for (int thread = 0; thread < 2; ++thread) {
      for (int i = 0; i < acknowledged[thread]; ++i) {
        const std::string key = std::to_string(thread) + "/" + std::to_string(i);
        ASSERT_EQ(engine->get(kRows, key), std::to_string(i));
        ASSERT_EQ(engine->get(kBodies, key), std::string(2000, static_cast<char>('a' + i % 26)));
      }
    }
    // Whatever else is there is there as a whole.
    EXPECT_EQ(keys(*engine, {.space = kRows, .limit = 1'000'000}),
              keys(*engine, {.space = kBodies, .limit = 1'000'000, .keys_only = true}));
    EXPECT_EQ(counter(*engine, "n"), engine->scan({.space = kRows, .limit = 1'000'000}).size());
  }
}

TEST_P(DiskEngineTest, AnotherProcessIsRefusedByItsNumberUntilTheHolderIsGone) {
  ChildProcess child("ChildTest.DISABLED_HoldsTheStoreUntilKilled",
                     ChildArgument{GetParam(), Durability::disk, Durability::disk, engine_path()}.text());
  ASSERT_EQ(child.read(), 1);
  const std::string error = error_of_open();
  EXPECT_TRUE(error.starts_with("locked: ")) << error;
  EXPECT_NE(error.find("process " + std::to_string(child.pid())), std::string::npos) << error;
  child.kill();
  EXPECT_EQ(error_of_open(), "opened");
}

TEST_P(DiskEngineTest, ASecondOpeningInTheSameProcessIsRefused) {
  const auto engine = open();
  const std::string error = error_of_open();
  EXPECT_TRUE(error.starts_with("locked: ")) << error;
  EXPECT_NE(error.find("this process"), std::string::npos) << error;
  put(*engine, kRows, "the first", "goes on", Durability::disk);
  engine->close();
  EXPECT_EQ(error_of_open(), "opened") << "a closed engine holds nothing";
}

TEST_P(DiskEngineTest, ANewerFormatIsRefused) {
  put(*open(), kRows, "k", "v");
  const std::string type(to_string(GetParam()));
  write_file(engine_path() / "ENGINE", "db4-engine " + type + " 2\n");
  EXPECT_TRUE(error_of_open().starts_with("unsupported: "));
  write_file(engine_path() / "ENGINE", "something else\n");
  EXPECT_TRUE(error_of_open().starts_with("corrupt: "));
  write_file(engine_path() / "ENGINE", "db4-engine " + type + " 1\n");
  EXPECT_EQ(open()->get(kRows, "k"), "v");
}

TEST_P(DiskEngineTest, AStoreOfAnotherTypeIsRefused) {
  put(*open(), kRows, "k", "v");
  const HotType other = GetParam() == HotType::sqlite ? HotType::rocksdb : HotType::sqlite;
  EXPECT_EQ(thrown_code([&] { (void)open_engine(other, options()); }), ErrorCode::unsupported);
  EXPECT_EQ(open()->get(kRows, "k"), "v");
}

TEST_P(DiskEngineTest, AFolderWhoseFilesAreGoneIsNotStartedAnew) {
  put(*open(), kRows, "k", "v");
  for (const char* name : {"db4.sqlite", "rocksdb"}) fs::remove_all(engine_path() / name);
  EXPECT_TRUE(error_of_open().starts_with("corrupt: ")) << error_of_open();
}

/// The rights of a user who owns nothing, for this scope.
class WithoutRights {
 public:
  WithoutRights() {
    if (::geteuid() == 0) dropped_ = ::seteuid(65534) == 0;
  }
  WithoutRights(const WithoutRights&) = delete;
  WithoutRights& operator=(const WithoutRights&) = delete;
  ~WithoutRights() {
    if (dropped_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool dropped_ = false;
};

TEST_P(DiskEngineTest, AFolderWithoutWriteAccessIsRefused) {
  put(*open(), kRows, "k", "v");
  fs::permissions(folder_.path(), fs::perms::owner_all | fs::perms::others_exec);
  fs::permissions(engine_path(), fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_exec);
  for (const auto& entry : fs::directory_iterator(engine_path())) {
    fs::permissions(entry.path(), fs::perms::owner_write | fs::perms::others_write, fs::perm_options::remove);
  }
  {
    const WithoutRights nobody;
    const std::string error = error_of_open();
    EXPECT_TRUE(error.starts_with("permission_denied: ")) << error;
  }
  fs::permissions(engine_path(), fs::perms::owner_all);
}

TEST_P(DiskEngineTest, APathThatIsAFileIsRefused) {
  write_file(engine_path(), "a file");
  EXPECT_TRUE(error_of_open().starts_with("invalid_argument: ")) << error_of_open();
}

/// Makes writing past `bytes` fail in this process; SIGXFSZ is ignored, so the write says EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// 60,000 bytes that no engine can shrink: a log that compresses would not meet the limit.
std::string incompressible_body() {
  std::string body;
  for (std::uint64_t state = 1; body.size() < 60'000;) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    body.push_back(static_cast<char>(state >> 56));
  }
  return body;
}

TEST_P(DiskEngineTest, AfterAFailedWriteWhatWasAcknowledgedIsThereAndNothingIsGarbled) {
  int acknowledged = 0;
  {
    const auto engine = open();
    std::optional<ErrorCode> failure;
    {
      const FileSizeLimit limit(4 << 20);
      for (; acknowledged < 10'000 && !failure; ++acknowledged) {
        failure = thrown_code([&] {
          put(*engine, kBodies, std::to_string(acknowledged), incompressible_body(), Durability::disk);
        });
      }
      --acknowledged;
    }
    ASSERT_TRUE(failure) << "the limit was never met";
    EXPECT_NE(failure, ErrorCode::internal);
    // The engine goes on, or says that it takes no more writes; reading goes on in any case.
    const auto after = thrown_code([&] { put(*engine, kRows, "after", "v"); });
    EXPECT_TRUE(!after || after == ErrorCode::read_only) << to_string(*after);
    EXPECT_EQ(engine->get(kBodies, "0"), incompressible_body());
  }
  const auto engine = open();
  for (int i = 0; i < acknowledged; ++i) {
    ASSERT_EQ(engine->get(kBodies, std::to_string(i)), incompressible_body()) << i;
  }
  put(*engine, kRows, "after reopening", "v", Durability::disk);
}

/// A copy of the files of an engine that is open: what a power cut would leave at that moment.
void copy_running(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

std::vector<fs::path> data_files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    // LOCK, LOG and -shm carry no data.
    if (!entry.is_regular_file() || name == "LOCK" || name.starts_with("LOG") || name.ends_with("-shm"))
      continue;
    if (fs::file_size(entry.path()) > 0) out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

/// Opens what is there and reads everything: either it says that something is wrong, or all is right.
void expect_whole_or_refused(HotType type, const EngineOptions& options, int documents) {
  try {
    const auto engine = open_engine(type, options);
    for (int i = 0; i < documents; ++i) {
      const auto body = engine->get(kBodies, std::to_string(i));
      ASSERT_TRUE(body) << i << " is gone without a word";
      ASSERT_EQ(*body, std::string(3000, static_cast<char>('a' + i % 26))) << i;
      ASSERT_EQ(engine->get(kRows, std::to_string(i)), "row");
    }
    ASSERT_EQ(engine->scan({.space = kBodies}).size(), static_cast<std::size_t>(documents));
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unavailable ||
                error.code() == ErrorCode::unsupported)
        << error.what();
    EXPECT_FALSE(error.advice().empty());
  }
}

TEST_P(DiskEngineTest, CompactingLeavesNothingInTheFilesOfWhatWasErasedOrReplaced) {
  constexpr std::string_view kErased = "text-that-is-to-go-away";
  const auto in_files = [&] {
    std::size_t found = 0;
    for (const auto& entry : fs::recursive_directory_iterator(engine_path())) {
      std::error_code gone;
      if (!entry.is_regular_file(gone)) continue;
      std::ostringstream bytes;
      bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      if (bytes.str().find(kErased) != std::string::npos) ++found;
    }
    return found;
  };
  const auto put_all = [](Engine& engine, const std::string& value) {
    for (int i = 0; i < 50; ++i) {
      put(engine, kRows, std::to_string(i), value);
      put(engine, kBodies, std::to_string(i), value + std::string(3000, 'x'));
    }
  };
  {
    const auto engine = open();
    put_all(*engine, std::string(kErased));
    engine->close();
  }
  const auto engine = open();
  put_all(*engine, std::string(kErased));
  put_all(*engine, "kept");
  Batch batch;
  batch.erase_range(kRows, "1", "2");
  commit(*engine, batch);
  ASSERT_GT(in_files(), 0U);
  engine->compact();
  // RocksDB deletes files behind.
  for (int n = 0; n < 100 && in_files() > 0; ++n) system_clock()->sleep_for(std::chrono::milliseconds{100});
  EXPECT_EQ(in_files(), 0U);
  EXPECT_EQ(engine->get(kRows, "3"), "kept");
  EXPECT_EQ(engine->get(kRows, "1"), std::nullopt);
}

TEST_P(DiskEngineTest, DamagedFilesAreNoticed) {
  constexpr int kDocuments = 200;
  EngineOptions damaged = options();
  damaged.path = folder_.path() / "damaged";
  const fs::path in_log = folder_.path() / "in_log";
  const fs::path in_tables = folder_.path() / "in_tables";
  {
    const auto engine = open();
    for (int i = 0; i < kDocuments; ++i) {
      Batch batch;
      batch.put(kRows, std::to_string(i), "row");
      batch.put(kBodies, std::to_string(i), std::string(3000, static_cast<char>('a' + i % 26)));
      commit(*engine, batch, i % 10 == 9 ? Durability::disk : Durability::process);
    }
    copy_running(engine_path(), in_log);
    engine->compact();
  }
  copy_running(engine_path(), in_tables);
  std::mt19937_64 random(42);
  for (const fs::path& whole : {in_log, in_tables}) {
    copy_running(whole, damaged.path);
    expect_whole_or_refused(GetParam(), damaged, kDocuments);
    ASSERT_EQ(thrown_code([&] { (void)open_engine(GetParam(), damaged); }), std::nullopt) << "undamaged";
    for (const fs::path& file : data_files(whole)) {
      const auto size = fs::file_size(file);
      for (int kind = 0; kind < 6; ++kind) {
        copy_running(whole, damaged.path);
        const fs::path victim = damaged.path / fs::relative(file, whole);
        const auto at = random() % size;
        SCOPED_TRACE(fs::relative(file, whole).string() + " of " + std::to_string(size) + " bytes, kind " +
                     std::to_string(kind) + " at " + std::to_string(at));
        if (kind < 2) {
          fs::resize_file(victim, kind == 0 ? at : size / 2);
        } else {
          std::fstream out(victim, std::ios::in | std::ios::out | std::ios::binary);
          out.seekp(static_cast<std::streamoff>(kind == 2 ? 0 : at));
          for (int i = 0; i < 4096 && (kind == 2 ? i : at + i) < size; ++i) {
            out.put(static_cast<char>(random()));
          }
        }
        expect_whole_or_refused(GetParam(), damaged, kDocuments);
      }
    }
  }
}

}  // namespace
}  // namespace db4::kv::testing
