#include "cold/upload_engine.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "cold/upload_owner.hpp"
#include "cold/upload_run.hpp"

#include <algorithm>
#include <thread>

namespace db4::cold {
namespace {

constexpr std::size_t kSessionPage = 500;
constexpr std::uint64_t kPartGrain = 1_MiB;
/// A part under way may arrive after an abort; once none is left this many tries are plenty.
constexpr int kMaxAbortTries = 16;

bool ended(MultipartUploadState state) {
  return state == MultipartUploadState::completed || state == MultipartUploadState::aborted;
}

void check_options(const UploadOptions& options) {
  if (options.concurrency < 1 || options.concurrency > kMaxUploadConcurrency) {
    throw Error(ErrorCode::invalid_argument, "a concurrency of " + std::to_string(options.concurrency),
                "use 1 to " + std::to_string(kMaxUploadConcurrency));
  }
  const auto legal = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  if (options.upload_id.size() > kMaxUploadIdBytes || !std::ranges::all_of(options.upload_id, legal)) {
    throw Error(ErrorCode::invalid_argument, "the upload_id has other characters, or is too long",
                "use 1 to " + std::to_string(kMaxUploadIdBytes) + " letters, digits, '-', '_' and '.'");
  }
}

[[noreturn]] void throw_unknown(std::string_view upload_id) {
  throw Error(ErrorCode::invalid_argument, "there is no upload \"" + std::string(upload_id) + "\"",
              "list the uploads to see their ids");
}

}  // namespace

std::uint64_t choose_part_size(std::uint64_t size, std::uint64_t wanted, const PartRules& rules) {
  if (size > rules.max_object_size) {
    throw Error(ErrorCode::too_large,
                "an object of " + std::to_string(size) + " bytes, the store takes " +
                    std::to_string(rules.max_object_size),
                "split the source");
  }
  if (wanted < rules.min_part_size || wanted > rules.max_part_size) {
    throw Error(ErrorCode::invalid_argument, "a part size of " + std::to_string(wanted) + " bytes",
                "use " + std::to_string(rules.min_part_size) + " to " + std::to_string(rules.max_part_size) +
                    " (part_size)");
  }
  const std::uint64_t needed = size / rules.max_parts + (size % rules.max_parts != 0 ? 1 : 0);
  if (needed <= wanted) return wanted;
  const std::uint64_t grown = (needed + kPartGrain - 1) / kPartGrain * kPartGrain;
  return std::min(grown, rules.max_part_size);
}

/// Keeps the session from every other call until it goes.
class UploadEngine::Claim {
 public:
  Claim(UploadEngine& engine, std::string id, std::shared_ptr<Active> active)
      : engine_(engine), id_(std::move(id)), active_(std::move(active)) {}
  ~Claim() {
    const std::lock_guard lock(engine_.mutex_);
    engine_.active_.erase(id_);
    engine_.ended_.notify_all();
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  [[nodiscard]] Active& active() const noexcept { return *active_; }

 private:
  UploadEngine& engine_;
  const std::string id_;
  const std::shared_ptr<Active> active_;
};

class UploadEngine::Keeper {
 public:
  Keeper(UploadEngine& engine, std::string id, Active& active)
      : engine_(engine), id_(std::move(id)), active_(active) {
    const std::chrono::milliseconds every = engine_.hooks_.renew_every();
    if (every.count() > 0)
      thread_ = std::jthread([this, every](const std::stop_token& stop) { keep(every, stop); });
  }

 private:
  void keep(std::chrono::milliseconds every, const std::stop_token& stop) {
    while (engine_.clock_->sleep_for(every, stop)) {
      try {
        if (engine_.hooks_.renew(id_)) continue;
        active_.lost = true;
        active_.stop.request_stop();
        return;
      } catch (const std::exception&) {
        // The lease outlasts some that fail; and while nobody can reach the catalogue nobody takes it over.
      }
    }
  }

  UploadEngine& engine_;
  const std::string id_;
  Active& active_;
  std::jthread thread_;
};

UploadEngine::UploadEngine(std::shared_ptr<ObjectStore> objects, std::shared_ptr<UploadSessionStore> sessions,
                           std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random,
                           UploadHooks& hooks)
    : objects_(std::move(objects)),
      sessions_(std::move(sessions)),
      clock_(std::move(clock)),
      random_(std::move(random)),
      hooks_(hooks) {}

UploadEngine::Claim UploadEngine::claim(const std::string& upload_id) {
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error(ErrorCode::invalid_argument, "the store is closed", "open it again");
  const auto active = std::make_shared<Active>();
  if (!active_.emplace(upload_id, active).second) {
    throw Error(ErrorCode::locked, "the upload \"" + upload_id + "\" is being sent by another call",
                "wait for it, or abort it");
  }
  return {*this, upload_id, active};
}

std::string UploadEngine::draw_id() const {
  std::string bytes;
  put_big_endian(bytes, random_->next_u64());
  return "up-" + to_hex(as_bytes(bytes));
}

void UploadEngine::save(UploadSession& session, MultipartUploadState state, std::string error) {
  session.state = state;
  session.error = std::move(error);
  session.updated_at = clock_->now();
  sessions_->put(session);
}

void UploadEngine::end(UploadSession& session, MultipartUploadState state, std::string error) {
  session.owner = 0;
  save(session, state, std::move(error));
}

/// The receipts go last, or who dies in between would send everything again. But what a node has ended is not
/// its own any more, and then the object is a document already.
void UploadEngine::complete(UploadSession& session) {
  const bool owned = session.owner != 0;
  if (owned) sessions_->clear_receipts(session.upload_id);
  end(session, MultipartUploadState::completed);
  if (!owned) sessions_->clear_receipts(session.upload_id);
}

std::optional<UploadSession> UploadEngine::take(std::string_view upload_id) {
  for (;;) {
    auto session = sessions_->find(upload_id);
    if (!session || ended(session->state) || hooks_.take(*session)) return session;
  }
}

void UploadEngine::check_owned(const UploadSession& session) {
  if (!hooks_.renew(session.upload_id)) throw LostUpload(session.upload_id);
}

void UploadEngine::release(UploadSession session) noexcept {
  if (session.owner == 0) return;
  try {
    session.owner = 0;
    sessions_->put(session);
  } catch (const std::exception&) {
  }
}

UploadResult UploadEngine::upload(UploadSession session, const ByteSource& source,
                                  const UploadOptions& options) {
  check_options(options);
  session.object_size = source.size();
  session.part_size = choose_part_size(source.size(), options.part_size, objects_->part_rules());
  session.parts_total =
      static_cast<std::uint32_t>((source.size() + session.part_size - 1) / session.part_size);
  session.source_modified = source.modified();
  session.upload_id = options.upload_id.empty() ? draw_id() : options.upload_id;
  if (session.created_at == TimePoint{}) session.created_at = clock_->now();
  session.updated_at = session.created_at;
  session.state = MultipartUploadState::pending;
  hooks_.sign(session);
  const Claim claimed = claim(session.upload_id);
  if (!sessions_->add(session)) {
    throw Error(ErrorCode::conflict, "there is an upload \"" + session.upload_id + "\" already",
                "resume or abort that one, or choose another id");
  }
  return run(std::move(session), source, options);
}

UploadResult UploadEngine::resume(std::string_view upload_id, const ByteSource& source,
                                  const UploadOptions& options) {
  check_options(options);
  const Claim claimed = claim(std::string(upload_id));
  auto session = take(upload_id);
  if (!session) throw_unknown(upload_id);
  if (session->state == MultipartUploadState::completed) {
    return {session->upload_id, session->version, session->size, session->parts_total};
  }
  if (session->state == MultipartUploadState::aborted) {
    throw Error(ErrorCode::invalid_argument, "the upload \"" + std::string(upload_id) + "\" was aborted",
                "begin another one");
  }
  return run(std::move(*session), source, options);
}

UploadResult UploadEngine::run(UploadSession session, const ByteSource& source,
                               const UploadOptions& options) {
  std::shared_ptr<Active> active;
  {
    const std::lock_guard lock(mutex_);
    active = active_.at(session.upload_id);
  }
  const std::stop_callback stopped(options.stop, [&active] { active->stop.request_stop(); });
  try {
    const Keeper keeper(*this, session.upload_id, *active);
    const auto version = session.completing ? hooks_.already_document(session) : std::nullopt;
    if (version) {
      session.version = *version;  // the process died between the two commits
    } else {
      UploadRun(*this, session, source, options, active->stop.get_token()).run();
      hooks_.object_ready(session);
    }
    if (session.state != MultipartUploadState::completed) complete(session);
  } catch (const Error& error) {
    if (is_lost(session, error, *active)) throw LostUpload(session.upload_id);
    broke_off(session, error, options, *active);
    throw error.with_upload_id(session.upload_id);
  }
  try {
    abort_unnoted(session);
  } catch (const Error&) {
    // The document is there. What is left has no parts, and clean_up reports it.
  }
  if (options.on_progress) {
    options.on_progress({.upload_id = session.upload_id,
                         .bytes_sent = session.object_size,
                         .bytes_total = session.object_size,
                         .parts_done = session.parts_total,
                         .parts_total = session.parts_total,
                         .percent_complete = 100});
  }
  return {session.upload_id, session.version, session.size, session.parts_total};
}

bool UploadEngine::is_lost(const UploadSession& session, const Error& error, const Active& active) noexcept {
  if (active.lost || dynamic_cast<const LostUpload*>(&error) != nullptr) return true;
  try {
    // The object store may know before we do: the new owner has completed or aborted the upload there.
    return !hooks_.renew(session.upload_id);
  } catch (const std::exception&) {
    return false;
  }
}

/// What cannot be noted now is found by the next resume or clean-up: the session says in_progress.
void UploadEngine::broke_off(UploadSession& session, const Error& error, const UploadOptions& options,
                             const Active& active) {
  bool to_be_aborted = false;
  {
    const std::lock_guard lock(mutex_);
    to_be_aborted = active.abort;
  }
  const bool by_caller =
      options.stop.stop_requested() && error.code() == ErrorCode::cancelled && !options.keep_when_stopped;
  // Nothing that resuming could change.
  const bool in_vain = error.code() == ErrorCode::conflict;
  const bool gives_up = (by_caller || in_vain) && !to_be_aborted;
  try {
    if (!gives_up) {
      end(session, MultipartUploadState::failed, error.what());
      return;
    }
    save(session, MultipartUploadState::failed, error.what());
    abort_at_store(session);
    hooks_.give_up(session);
    end(session, MultipartUploadState::aborted);
  } catch (const Error&) {
    release(session);
  }
}

void UploadEngine::abort_at_store(const UploadSession& session) {
  for (int tries = 0; !session.store_upload_id.empty(); ++tries) {
    objects_->abort_multipart(session.object, session.store_upload_id);
    const auto left = objects_->list_parts(session.object, session.store_upload_id, 0, 1);
    if (!left || left->parts.empty()) break;
    if (tries == kMaxAbortTries) {
      throw Error(ErrorCode::unavailable, "the object store still lists parts of the aborted upload",
                  "abort it again later");
    }
  }
  abort_unnoted(session);
}

void UploadEngine::abort_unnoted(const UploadSession& session) {
  if (session.object_size == 0 || !hooks_.owns_name(session)) return;
  PendingUpload after;
  for (;;) {
    PendingUploadPage page;
    try {
      page = objects_->list_multipart(session.object, after, kSessionPage);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::unsupported) return;
      throw;
    }
    for (const PendingUpload& upload : page.uploads) {
      if (upload.name == session.object) objects_->abort_multipart(upload.name, upload.upload_id);
    }
    if (!page.more || page.uploads.empty()) return;
    after = page.uploads.back();
  }
}

bool UploadEngine::abort(std::string_view upload_id) {
  {
    std::unique_lock lock(mutex_);
    if (const auto running = active_.find(upload_id); running != active_.end()) {
      running->second->abort = true;
      running->second->stop.request_stop();
      const std::shared_ptr<Active> active = running->second;
      ended_.wait(lock, [&] {
        const auto now = active_.find(upload_id);
        return now == active_.end() || now->second != active;
      });
    }
  }
  const Claim claimed = claim(std::string(upload_id));
  auto session = take(upload_id);
  if (!session || ended(session->state)) return false;
  try {
    const Keeper keeper(*this, session->upload_id, claimed.active());
    if (const auto version = session->completing ? hooks_.already_document(*session) : std::nullopt) {
      session->version = *version;
      sessions_->clear_receipts(upload_id);
      end(*session, MultipartUploadState::completed);
      return false;
    }
    abort_at_store(*session);
    hooks_.give_up(*session);
    sessions_->clear_receipts(upload_id);
    end(*session, MultipartUploadState::aborted);
    return true;
  } catch (...) {
    release(*session);
    throw;
  }
}

UploadSession UploadEngine::counted(UploadSession session) {
  if (session.owner != 0 && !hooks_.owner_lives(session)) {
    session.owner = 0;
    session.owned_until = {};
  }
  if (session.state == MultipartUploadState::completed) {
    session.parts_done = session.parts_total;
    session.bytes_sent = session.size;
    return session;
  }
  session.parts_done = 0;
  session.bytes_sent = 0;
  for (const PartReceipt& receipt : sessions_->receipts(session.upload_id)) {
    ++session.parts_done;
    session.bytes_sent += receipt.part.size;
    session.updated_at = std::max(session.updated_at, receipt.arrived_at);
  }
  session.bytes_sent = source_bytes(session.bytes_sent, session.size, session.object_size);
  return session;
}

std::optional<UploadSession> UploadEngine::status(std::string_view upload_id) {
  auto session = sessions_->find(upload_id);
  if (!session) return std::nullopt;
  return counted(std::move(*session));
}

std::vector<UploadSession> UploadEngine::list() {
  std::vector<UploadSession> out;
  for (std::string after;;) {
    auto page = sessions_->list(after, kSessionPage);
    for (UploadSession& session : page) out.push_back(counted(std::move(session)));
    if (page.size() < kSessionPage) return out;
    after = out.back().upload_id;
  }
}

UploadCleanup UploadEngine::clean_up(std::chrono::milliseconds age, std::optional<std::string_view> prefix) {
  UploadCleanup result;
  const TimePoint before = clock_->now() - age;
  std::vector<std::pair<std::string, std::string>> known;
  for (const UploadSession& session : list()) {
    known.emplace_back(session.object, session.store_upload_id);
    if (session.updated_at > before || session.owner != 0) continue;
    try {
      if (!ended(session.state)) {
        {
          const std::lock_guard lock(mutex_);
          if (active_.contains(session.upload_id)) continue;
        }
        if (abort(session.upload_id)) ++result.aborted_uploads;
        continue;  // its row stays as long again, so that it can be asked for
      }
      sessions_->remove(session.upload_id);
      ++result.removed_sessions;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::conflict) continue;  // another node took it just now
      if (result.failed++ == 0) result.first_error = error.what();
    }
  }
  if (!prefix) return result;
  PendingUpload after;
  for (;;) {
    const PendingUploadPage page = objects_->list_multipart(*prefix, after, kSessionPage);
    for (const PendingUpload& upload : page.uploads) {
      const bool ours = std::ranges::find(known, std::pair(upload.name, upload.upload_id)) != known.end();
      if (!ours && upload.started <= before) result.unknown.push_back(upload);
    }
    if (!page.more || page.uploads.empty()) return result;
    after = page.uploads.back();
  }
}

void UploadEngine::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  for (const auto& [id, active] : active_) active->stop.request_stop();
  ended_.wait(lock, [&] { return active_.empty(); });
}

}  // namespace db4::cold
