#include "cold/upload_run.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <algorithm>
#include <thread>

namespace db4::cold {
namespace {

constexpr std::size_t kPartPage = 1000;
/// An upload that the store lost (it expired there) starts anew this often before it is an error.
constexpr int kMaxFreshStarts = 2;

/// No CRC: a part of a large document is made of frames that end with their own CRC32C, and a CRC32C over a
/// content and its CRC32C is the same whatever the content is.
std::uint32_t part_checksum(ByteView bytes) {
  return load_fixed<std::uint32_t>(reinterpret_cast<const char*>(sha256(bytes).data()));
}

[[noreturn]] void source_changed(const std::string& what) {
  throw Error(ErrorCode::invalid_argument,
              "the source is not the one that the upload was begun with: " + what,
              "abort this upload and begin another one");
}

}  // namespace

std::uint64_t UploadRun::part_bytes(std::uint32_t number) const {
  const std::uint64_t offset = (number - 1) * part_size_;
  return std::min(part_size_, source_.size() - offset);
}

void UploadRun::check_stop() const {
  if (!stop_.stop_requested()) return;
  throw Error(ErrorCode::cancelled, "the upload was stopped", "resume it, or begin another one");
}

void UploadRun::run() {
  if (source_.size() != session_.object_size) {
    source_changed("it has " + std::to_string(source_.size()) + " bytes, not " +
                   std::to_string(session_.object_size));
  }
  if (session_.source_modified && source_.modified() && *session_.source_modified != *source_.modified()) {
    source_changed("it was modified since");
  }
  if (session_.object_size == 0) {  // no store makes an object of no parts
    engine_.objects_->put(session_.object, {}, {.call = call()});
    return;
  }
  for (std::uint32_t number = 1; number <= session_.parts_total; ++number)
    parts_.push_back({.number = number});
  if (session_.completing && !engine_.hooks_.still_announced(session_)) start_anew(/*new_name=*/true);

  bool there = find_what_arrived();
  for (int fresh = 0; !there;) {
    send_parts();
    check_stop();
    try {
      const PutResult result = complete();
      if (result.verified) return;
      there = true;
    } catch (const Error& error) {
      // The parts are not there (any more): the upload expired at the store, or somebody aborted it there.
      if (error.code() != ErrorCode::invalid_argument || ++fresh > kMaxFreshStarts) throw;
      there = find_what_arrived();
    }
  }
  if (!proven_) verify();
}

void UploadRun::begin() {
  session_.store_upload_id = engine_.objects_->begin_multipart(session_.object, part_size_, call());
  engine_.save(session_, MultipartUploadState::in_progress);
}

void UploadRun::start_anew(bool new_name) {
  engine_.check_owned(session_);
  if (!session_.store_upload_id.empty()) engine_.abort_at_store(session_);
  engine_.sessions_->clear_receipts(session_.upload_id);
  session_.store_upload_id.clear();
  if (new_name) {
    engine_.hooks_.give_up(session_);
    session_.object = engine_.hooks_.new_object(session_);
    session_.completing = false;
  }
  engine_.save(session_, MultipartUploadState::pending);
  for (Part& part : parts_) part = {.number = part.number, .receipt = {}, .unnoted = {}};
}

bool UploadRun::find_what_arrived() {
  for (Part& part : parts_) part = {.number = part.number, .receipt = {}, .unnoted = {}};
  bytes_ = 0;
  done_ = 0;
  next_ = 0;
  if (session_.store_upload_id.empty()) {
    begin();
    return false;
  }
  for (const PartReceipt& receipt : engine_.sessions_->receipts(session_.upload_id)) {
    if (receipt.part.number <= parts_.size()) parts_[receipt.part.number - 1].receipt = receipt;
  }
  std::vector<bool> listed(parts_.size(), false);
  for (std::uint32_t after = 0;;) {
    const auto page =
        engine_.objects_->list_parts(session_.object, session_.store_upload_id, after, kPartPage, call());
    if (!page) {
      const auto info = session_.completing ? engine_.objects_->head(session_.object, call()) : std::nullopt;
      // Every noted part, and the size that they make: it was completed. Where the store's etag does not say
      // that it holds these very parts, verify() reads it all the same.
      if (info && info->size == session_.object_size &&
          std::ranges::all_of(parts_, [](const Part& part) { return part.receipt.has_value(); })) {
        const std::string digest = engine_.objects_->object_digest(noted_parts());
        proven_ = !digest.empty() && digest == info->etag;
        return true;
      }
      // What stands under the name is not what we sent: no name is written twice.
      start_anew(/*new_name=*/info.has_value());
      begin();
      return false;
    }
    for (const ObjectPart& there : page->parts) {
      after = there.number;
      if (there.number > parts_.size() || there.size != part_bytes(there.number)) continue;
      Part& part = parts_[there.number - 1];
      listed[there.number - 1] = true;
      if (part.receipt && part.receipt->part != there) part.receipt.reset();
      if (!part.receipt) part.unnoted = there;
    }
    if (!page->more || page->parts.empty()) break;
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!listed[i]) parts_[i].receipt.reset();
  }
  return false;
}

void UploadRun::send_parts() {
  next_ = 0;
  run_threads([this] { work(); });
}

/// Runs it in as many threads as are wanted, and throws what the first of them threw.
void UploadRun::run_threads(const std::function<void()>& work) {
  failing_ = {};
  failure_ = nullptr;
  const std::stop_callback stopped(stop_, [this] { failing_.request_stop(); });
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failing_.request_stop();
    }
  };
  {
    std::vector<std::jthread> threads;
    const std::size_t wanted = std::min<std::size_t>(options_.concurrency, parts_.size());
    for (std::size_t i = 1; i < wanted; ++i) threads.emplace_back(guarded);
    guarded();
  }
  check_stop();  // what the threads threw because of it says less
  if (failure_) std::rethrow_exception(failure_);
}

void UploadRun::work() {
  Bytes buffer;
  while (!failing_.stop_requested()) {
    const std::size_t index = next_.fetch_add(1);
    if (index >= parts_.size()) return;
    if (parts_[index].done) continue;
    buffer.resize(part_bytes(parts_[index].number));
    do_part(parts_[index], buffer);
  }
}

void UploadRun::do_part(Part& part, std::span<std::byte> buffer) {
  source_.read_at((part.number - 1) * part_size_, buffer);
  const std::uint32_t checksum = part_checksum(buffer);
  if (part.receipt) {
    if (part.receipt->checksum != checksum) {
      source_changed("the bytes of part " + std::to_string(part.number) +
                     " differ from those that were sent");
    }
    note(part, part.receipt->part, checksum);
    return;
  }
  if (part.unnoted) {
    // It arrived, and the process died before it could note that. Ours where its digest says so.
    const std::string digest = engine_.objects_->part_digest(buffer);
    if (!digest.empty() && digest == part.unnoted->etag) {
      take(part, *part.unnoted, checksum);
      return;
    }
  }
  const ObjectPart arrived =
      engine_.objects_->put_part(session_.object, session_.store_upload_id, part.number, buffer, call());
  take(part, arrived, checksum);
}

/// Durable before it counts.
void UploadRun::take(Part& part, const ObjectPart& arrived, std::uint32_t checksum) {
  engine_.sessions_->put_receipt(
      session_.upload_id, {.part = arrived, .checksum = checksum, .arrived_at = engine_.clock_->now()});
  note(part, arrived, checksum);
}

void UploadRun::note(Part& part, const ObjectPart& arrived, std::uint32_t checksum) {
  const std::lock_guard lock(mutex_);
  part.receipt = PartReceipt{.part = arrived, .checksum = checksum};
  part.done = true;
  ++done_;
  bytes_ += arrived.size;
  report();
}

void UploadRun::report() {
  session_.parts_done = done_;
  session_.bytes_sent = bytes_;
  if (!options_.on_progress) return;
  // The object is neither complete nor verified yet: the last percent is for that.
  const double percent = session_.object_size == 0
                             ? 99
                             : 99.0 * static_cast<double>(bytes_) / static_cast<double>(session_.object_size);
  options_.on_progress({.upload_id = session_.upload_id,
                        .bytes_sent = bytes_,
                        .bytes_total = session_.object_size,
                        .parts_done = done_,
                        .parts_total = session_.parts_total,
                        .percent_complete = percent});
}

std::vector<ObjectPart> UploadRun::noted_parts() const {
  std::vector<ObjectPart> out;
  out.reserve(parts_.size());
  for (const Part& part : parts_) out.push_back(part.receipt->part);
  return out;
}

PutResult UploadRun::complete() {
  if (!session_.completing) {
    session_.completing = true;
    engine_.save(session_, MultipartUploadState::in_progress);
    engine_.hooks_.before_complete(session_);
  }
  const std::vector<ObjectPart> sent = noted_parts();
  failing_ = {};
  const std::stop_callback stopped(stop_, [this] { failing_.request_stop(); });
  return engine_.objects_->complete_multipart(session_.object, session_.store_upload_id, sent, call());
}

void UploadRun::verify() {
  next_ = 0;
  run_threads([this] {
    while (!failing_.stop_requested()) {
      const std::size_t index = next_.fetch_add(1);
      if (index >= parts_.size()) return;
      verify_part(parts_[index]);
    }
  });
  const auto info = engine_.objects_->head(session_.object, call());
  if (!info || info->size != session_.object_size) {
    throw Error(ErrorCode::unavailable, "the object store does not hold the whole object",
                "resume the upload");
  }
}

void UploadRun::verify_part(const Part& part) {
  const std::uint64_t size = part_bytes(part.number);
  const auto arrived =
      engine_.objects_->get_range(session_.object, (part.number - 1) * part_size_, size, call());
  if (!arrived || arrived->size() != size || part_checksum(*arrived) != part.receipt->checksum) {
    throw Error(ErrorCode::unavailable,
                "the object store did not give back what was sent as part " + std::to_string(part.number),
                "check the provider, abort this upload and begin another one");
  }
  engine_.hooks_.still_working(session_);
}

}  // namespace db4::cold
