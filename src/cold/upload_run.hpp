#pragma once
// UploadRun: one call that sends (what is missing of) an upload. Private to the upload engine.

#include "cold/upload_engine.hpp"

#include <atomic>
#include <exception>

namespace db4::cold {

/// Memory: one buffer of part_size for each thread. Not thread-safe itself; it owns the threads.
class UploadRun {
 public:
  /// `stop` ends it; it throws cancelled then.
  UploadRun(UploadEngine& engine, UploadSession& session, const ByteSource& source,
            const UploadOptions& options, std::stop_token stop)
      : engine_(engine),
        session_(session),
        source_(source),
        options_(options),
        stop_(std::move(stop)),
        part_size_(session.part_size) {}

  /// Sends what is missing, completes and verifies the object. `session` is saved at every step but the last.
  void run();

 private:
  struct Part {
    std::uint32_t number = 0;
    std::optional<PartReceipt> receipt = {};  ///< noted: to be compared with the source
    std::optional<ObjectPart> unnoted =
        {};  ///< arrived without a receipt: ours, if its digest is the source's
    bool done = false;
  };

  void begin();
  /// Whether the object is there already: the store knows no such upload any more.
  bool find_what_arrived();
  void start_anew(bool new_name);
  void send_parts();
  void work();
  void do_part(Part& part, std::span<std::byte> buffer);
  void take(Part& part, const ObjectPart& arrived, std::uint32_t checksum);
  void note(Part& part, const ObjectPart& arrived, std::uint32_t checksum);
  void report();
  /// All of them, once each has its receipt.
  [[nodiscard]] std::vector<ObjectPart> noted_parts() const;
  PutResult complete();
  void verify();
  void verify_part(const Part& part);
  void run_threads(const std::function<void()>& work);
  void check_stop() const;
  [[nodiscard]] std::uint64_t part_bytes(std::uint32_t number) const;
  [[nodiscard]] CallOptions call() const { return {.stop = failing_.get_token()}; }

  UploadEngine& engine_;
  UploadSession& session_;
  const ByteSource& source_;
  const UploadOptions& options_;
  const std::stop_token stop_;
  const std::uint64_t part_size_;
  std::stop_source failing_;  ///< the first failure, or stop_, ends the requests of all threads
  std::vector<Part> parts_;
  bool proven_ = false;  ///< the object that was found is made of the noted parts, by its etag
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;  ///< guards failure_, bytes_, done_, the session's receipts and the progress callback
  std::exception_ptr failure_;
  std::uint64_t bytes_ = 0;
  std::uint32_t done_ = 0;
};

}  // namespace db4::cold
