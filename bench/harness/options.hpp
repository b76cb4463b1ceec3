#pragma once
// harness: what the benchmarks share: options, workloads, alternating rounds, the report. Knows no peer.

#include <filesystem>
#include <string>

namespace db4::bench {

enum class Size {
  tiny,   ///< seconds: shows that everything runs, its figures mean nothing
  quick,  ///< a look
  full,   ///< the figures to quote
};

/// The arguments that every program takes. Prints the usage and ends the process on others.
///
///     --quick | --tiny    smaller sizes
///     --dir FOLDER        where the databases go: a folder of its own in there, removed at the end
///     --json FILE         writes the results there too (docs/benchmarks.md describes them)
class Options {
 public:
  Options(int argc, char** argv);

  /// The figure for this size.
  template <typename T>
  [[nodiscard]] T pick(T tiny, T quick, T full) const {
    return size_ == Size::full ? full : size_ == Size::quick ? quick : tiny;
  }
  [[nodiscard]] Size size() const noexcept { return size_; }
  [[nodiscard]] int rounds() const { return pick(2, 3, 9); }
  /// How long one contestant runs in one round.
  [[nodiscard]] double slice_seconds() const { return pick(0.01, 0.1, 0.25); }
  [[nodiscard]] const std::filesystem::path& dir() const noexcept { return dir_; }
  [[nodiscard]] const std::filesystem::path& json() const noexcept { return json_; }

 private:
  Size size_ = Size::full;
  std::filesystem::path dir_;
  std::filesystem::path json_;
};

/// A folder of its own under `parent`, removed at the end.
class Folder {
 public:
  explicit Folder(const std::filesystem::path& parent);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace db4::bench
