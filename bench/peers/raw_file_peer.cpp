// The floor under a synced write: a write of the body's size into a file that has its length already, and
// fdatasync.
#include "peers/peer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

namespace db4::bench {
namespace {

constexpr std::uint64_t kFileBytes = 16ULL << 20;
constexpr std::uint64_t kSlotBytes = 4096;

class RawFilePeer final : public Peer {
 public:
  explicit RawFilePeer(const PeerOptions& options) {
    std::filesystem::create_directories(options.path);
    file_ = open((options.path / "raw").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    const std::string zeros(kFileBytes, '\0');
    check(file_ >= 0 && pwrite(file_, zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(zeros.size()));
    check(fsync(file_) == 0);
  }
  ~RawFilePeer() override { close(file_); }
  RawFilePeer(const RawFilePeer&) = delete;
  RawFilePeer& operator=(const RawFilePeer&) = delete;

  std::uint64_t get(const std::string&) override { throw std::runtime_error("a raw file finds nothing"); }
  void put(const std::string&, std::string_view body) override {
    const std::uint64_t at = next_.fetch_add(kSlotBytes) % kFileBytes;
    check(pwrite(file_, body.data(), body.size(), static_cast<off_t>(at)) ==
          static_cast<ssize_t>(body.size()));
    check(fdatasync(file_) == 0);
  }
  void put_batch(std::span<const BatchItem> items) override {
    std::string all;
    for (const BatchItem& item : items) all += item.body;
    put({}, all);
  }

 private:
  static void check(bool done) {
    if (!done) throw std::runtime_error("the raw file cannot be written");
  }
  int file_ = -1;
  std::atomic<std::uint64_t> next_{0};
};

}  // namespace

PeerType raw_file_type() {
  return {"raw write + fdatasync",
          [](Durability durability) { return durability == Durability::disk; },
          open_as<RawFilePeer>,
          {}};
}

}  // namespace db4::bench
