#pragma once
// Where imported documents come from: one record after the other, each with its place in the input.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace db4::cli {

/// One record of an input.
struct Record {
  /// Where the input itself says them; else they are members of the body.
  std::optional<std::string> collection = {};
  std::optional<std::string> id = {};
  std::string content_type = {};  ///< empty: JSON
  std::string body = {};
  std::string place = {};      ///< for messages where `line` does not say it: "file a/b.txt"
  std::uint64_t line = 0;      ///< or the number of an array's element, from 1
  std::uint64_t byte = 0;      ///< of its first byte in the input
  std::string problem = {};    ///< why it cannot be imported, where it cannot
  bool last_readable = false;  ///< with a problem: what follows cannot be told apart any more
};

/// A place between two records of an input.
struct SourcePosition {
  std::uint64_t byte = 0;
  std::uint64_t line = 0;
  std::string file = {};  ///< of a folder: the last one read
};

/// Records of one input. Every call throws what ByteReader throws. One thread.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  /// The next one; false at the end. `record` comes as the one before it left it.
  virtual bool next(Record& record) = 0;
  /// Behind the last record of next().
  [[nodiscard]] virtual SourcePosition position() const = 0;
  /// Goes on from a position of the same input.
  virtual void go_to(const SourcePosition& position) = 0;
  /// "line" or "element": what Record::line counts.
  [[nodiscard]] virtual const char* unit() const { return "line"; }
};

/// Empties it, keeping its memory.
inline void reset(Record& record) {
  record.collection.reset();
  record.id.reset();
  record.content_type.clear();
  record.body.clear();
  record.place.clear();
  record.problem.clear();
  record.last_readable = false;
}

}  // namespace db4::cli
