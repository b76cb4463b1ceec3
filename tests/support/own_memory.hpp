#pragma once
// A search through this process's own memory, as whoever has a core dump of it would search.

#include "base/file_descriptor.hpp"

#include <db4/random.hpp>
#include <db4/types.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace db4::testing {

/// What is searched for, in a form in which it is not found itself: inverted.
class Needle {
 public:
  explicit Needle(ByteView bytes) : masked_(bytes.begin(), bytes.end()) {
    for (std::byte& byte : masked_) byte = ~byte;
  }
  /// Of random letters, which were never anywhere in their own form.
  static Needle random(std::size_t size) {
    Needle needle{Bytes(size)};
    for (std::byte& byte : needle.masked_) {
      byte = ~static_cast<std::byte>('a' + system_random()->next_u64() % 26);
    }
    return needle;
  }
  [[nodiscard]] std::size_t size() const { return masked_.size(); }
  [[nodiscard]] bool is_at(const std::byte* at) const {
    for (std::size_t i = 0; i < masked_.size(); ++i) {
      if (at[i] != ~masked_[i]) return false;
    }
    return true;
  }
  /// Appends it in its own form.
  void append_to(std::string& text) const {
    for (const std::byte byte : masked_) text.push_back(static_cast<char>(~byte));
  }

 private:
  std::vector<std::byte> masked_;
};

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// What this process can write to and read; not the terabytes that a sanitizer reserves.
inline std::vector<Mapping> own_memory() {
  constexpr std::uint64_t kTooLarge = 1ULL << 32;
  std::vector<Mapping> out;
  std::ifstream in("/proc/self/maps");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Mapping mapping;
    char dash = 0;
    std::string rights;
    words >> std::hex >> mapping.begin >> dash >> mapping.end >> rights;
    if (rights.starts_with("r") && rights.ends_with("p") && mapping.end - mapping.begin < kTooLarge &&
        line.find("[v") == std::string::npos) {
      out.push_back(mapping);
    }
  }
  return out;
}

/// How often it is there. Throws std::runtime_error where the memory cannot be read.
inline int count_in_memory(const Needle& needle) {
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  const FileDescriptor memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  if (!memory.open()) throw std::runtime_error("cannot read /proc/self/mem");
  std::vector<std::byte> chunk(kChunk + needle.size() - 1);
  int found = 0;
  for (const Mapping& mapping : own_memory()) {
    for (std::uint64_t at = mapping.begin; at < mapping.end; at += kChunk) {
      const ssize_t got = ::pread(memory.get(), chunk.data(), std::min(chunk.size(), mapping.end - at),
                                  static_cast<off_t>(at));
      for (ssize_t i = 0; i + static_cast<ssize_t>(needle.size()) <= got; ++i)
        found += needle.is_at(chunk.data() + i) ? 1 : 0;
      ::explicit_bzero(chunk.data(), chunk.size());  // so that the copy is not found in its turn
    }
  }
  return found;
}

}  // namespace db4::testing
