#pragma once
// NodeTracker: which events of which node have come, by their numbers.
//
// Of each life of a node (its name and an epoch) it keeps the highest number heard and, below it, a window of
// 64 bits that says which have come: as IPsec tells a repeated packet from a late one (RFC 4303,
// section 3.4.3). A number that is skipped is reported at once; should it come later, it is applied as any
// other. Where it cannot know, it reports: that costs reads, while silence would cost the truth.

#include <db4/invalidation.hpp>

#include <map>
#include <vector>

namespace db4::invalidation {

/// Not thread-safe. A message costs a look-up among `max_nodes`.
class NodeTracker {
 public:
  struct Options {
    std::size_t max_nodes = 1;
    MonotonicTime silence_after{};  ///< 0: silence means nothing
  };
  /// A node that stays silent is reported this often, and then forgotten.
  static constexpr std::uint64_t kMaxSilenceReports = 12;

  explicit NodeTracker(Options options) : options_(options) {}

  struct Heard {
    bool repeated = false;  ///< this event has come before
    std::vector<MissedEvents> missed = {};
  };
  [[nodiscard]] Heard hear(const InvalidationMessage& message, MonotonicTime now);
  /// The nodes that were not heard for silence_after, or for as long again since they were reported: what
  /// they said meanwhile is unknown.
  [[nodiscard]] std::vector<MissedEvents> silent(MonotonicTime now);
  /// Whether a node is silent, by the last call of silent().
  [[nodiscard]] bool any_silent() const noexcept;
  /// Followed now.
  [[nodiscard]] std::size_t size() const noexcept { return lives_.size(); }
  void clear() noexcept { lives_.clear(); }

 private:
  static constexpr std::uint64_t kWindow = 64;
  struct Life {
    std::uint64_t last = 0;    ///< the highest number heard of
    std::uint64_t window = 0;  ///< bit i: event `last` - i has come
    MonotonicTime heard_at{};
    std::uint64_t silence_reports = 0;
    bool over = false;  ///< it said farewell, or a later life began: its silence means nothing
  };
  using Name = std::pair<std::string, std::uint64_t>;
  using Lives = std::map<Name, Life>;

  Life begin(const InvalidationMessage& message, std::vector<MissedEvents>& missed);
  void make_room(std::vector<MissedEvents>& missed);

  const Options options_;
  Lives lives_;
};

}  // namespace db4::invalidation
