// Reading documents of any size, in pieces of whole frames, some of them ahead.
#include "base/encoding.hpp"
#include "base/file_descriptor.hpp"
#include "base/hash.hpp"
#include "base/wiping.hpp"
#include "catalog/keys.hpp"
#include "catalog/names.hpp"
#include "cold/framed_reader.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace db4 {
namespace {

constexpr std::uint64_t kPieceBytes = 8ULL << 20;

[[noreturn]] void throw_gone() {
  throw Error(ErrorCode::conflict, "the document was replaced or removed while it was read", "read it again");
}

void check_range(const ByteRange& range, std::uint64_t size) {
  if (range.offset <= size) return;
  throw Error(ErrorCode::invalid_argument,
              "the range begins at " + std::to_string(range.offset) + ", the document has " +
                  std::to_string(size) + " bytes",
              "ask for a range inside of it");
}

void check_concurrency(const ReadLargeOptions& options) {
  if (options.concurrency >= 1 && options.concurrency <= kMaxUploadConcurrency) return;
  throw Error(ErrorCode::invalid_argument, "a concurrency of " + std::to_string(options.concurrency),
              "use 1 to " + std::to_string(kMaxUploadConcurrency));
}

[[noreturn]] void file_error(const std::filesystem::path& path, int error) {
  const auto code = error == ENOSPC || error == EDQUOT  ? ErrorCode::resource_exhausted
                    : error == EACCES || error == EPERM ? ErrorCode::permission_denied
                                                        : ErrorCode::unavailable;
  throw Error(code, "cannot write " + path.string() + ": " + std::generic_category().message(error),
              "check the folder and its free space, then repeat");
}

/// A file beside its final name, which it gets when it is whole.
class FileInTheMaking {
 public:
  explicit FileInTheMaking(std::filesystem::path path, RandomSource& random) : path_(std::move(path)) {
    std::string bits;
    put_big_endian(bits, random.next_u64());
    temporary_ = path_.parent_path() / ("." + path_.filename().string() + "." + to_hex(as_bytes(bits)));
    file_ = FileDescriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file_.open()) file_error(temporary_, errno);
  }
  ~FileInTheMaking() {
    if (!placed_) ::unlink(temporary_.c_str());
  }
  FileInTheMaking(const FileInTheMaking&) = delete;
  FileInTheMaking& operator=(const FileInTheMaking&) = delete;

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) file_error(temporary_, errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  void place() {
    if (::fdatasync(file_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
      file_error(path_, errno);
    }
    placed_ = true;
  }

 private:
  const std::filesystem::path path_;
  std::filesystem::path temporary_;
  FileDescriptor file_;
  bool placed_ = false;
};

/// Pieces of something large in their order, fetched ahead by some threads. The threads and their buffers
/// stay the same from piece to piece: allocated anew for each, freed ones would pile up in the allocator's
/// arenas.
class PiecesAhead {
 public:
  using Fetch = std::function<void(std::uint64_t index, Bytes& piece, const CallOptions& call)>;

  PiecesAhead(std::uint64_t count, std::size_t threads, const std::stop_token& stop, Fetch fetch)
      : count_(count), ahead_(threads), fetch_(std::move(fetch)), stopped_(stop, [this] { end(); }) {
    const std::uint64_t wanted = std::min<std::uint64_t>(threads, count);
    try {
      for (std::uint64_t i = 0; i < wanted; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;  // fewer will do
    }
  }
  ~PiecesAhead() {
    end();
    threads_.clear();
    for (Bytes& piece : spare_) release_content(piece);
    for (auto& [index, piece] : ready_) release_content(piece);
  }
  PiecesAhead(const PiecesAhead&) = delete;
  PiecesAhead& operator=(const PiecesAhead&) = delete;

  /// The next one; nullopt after the last. Throws what fetching any of them threw, and cancelled.
  std::optional<Bytes> take() {
    std::unique_lock lock(mutex_);
    if (taken_ == count_) return std::nullopt;
    changed_.wait(lock, [this] { return failure_ || ended_.stop_requested() || ready_.contains(taken_); });
    if (failure_) std::rethrow_exception(failure_);
    if (ended_.stop_requested()) throw Error(ErrorCode::cancelled, "stopped", "read it again");
    Bytes piece = std::move(ready_.extract(taken_).mapped());
    ++taken_;
    return piece;
  }
  /// The buffer of the piece that was taken last; another one is fetched into it.
  void give_back(Bytes piece) {
    const std::scoped_lock lock(mutex_);
    spare_.push_back(std::move(piece));
    ++done_;
    changed_.notify_all();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock,
                    [this] { return ended_.stop_requested() || next_ == count_ || next_ < done_ + ahead_; });
      if (ended_.stop_requested() || next_ == count_) return;
      const std::uint64_t index = next_++;
      Bytes piece;
      if (!spare_.empty()) {
        piece = std::move(spare_.back());
        spare_.pop_back();
      }
      lock.unlock();
      std::exception_ptr failure;
      try {
        fetch_(index, piece, {.stop = ended_.get_token()});
      } catch (...) {
        failure = std::current_exception();
        release_content(piece);
      }
      lock.lock();
      if (failure) {
        // Those that ended because another one did say less.
        if (!failure_ && !ended_.stop_requested()) failure_ = failure;
        ended_.request_stop();
      } else {
        ready_.emplace(index, std::move(piece));
      }
      changed_.notify_all();
    }
  }
  void end() {
    ended_.request_stop();
    const std::scoped_lock lock(mutex_);
    changed_.notify_all();
  }

  const std::uint64_t count_;
  const std::uint64_t ahead_;
  const Fetch fetch_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::stop_source ended_;
  std::exception_ptr failure_;
  std::map<std::uint64_t, Bytes> ready_;
  std::vector<Bytes> spare_;
  std::uint64_t next_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t done_ = 0;
  const std::stop_callback<std::function<void()>> stopped_;
  std::vector<std::jthread> threads_;  ///< last: joined first
};

}  // namespace

ColdStorage::State::FramedReader::FramedReader(State& state, const catalog::ColdPlace& place,
                                               std::string_view key, Version version, const CallOptions& call)
    : state_(state), object_(place.object), record_(load(key, place, version, call)) {
  if (record_.layout().record_length() != place.length) {
    throw Error(ErrorCode::corrupt, "the object " + object_ + " says another length than the catalogue",
                "check the cold tier, and restore the object from a backup");
  }
  // Who can write to the object store could otherwise put something plain in a sealed document's place.
  if (place.key != record_.key()) {
    throw Error(
        ErrorCode::corrupt,
        "the object " + object_ +
            (record_.key() == 0 ? " is plain, and the catalogue says it is sealed"
                                : " is sealed with another key than the catalogue says, or should be plain"),
        "check the cold tier, and restore the object from a backup");
  }
  if (place.digest != record_.digest()) {
    throw Error(ErrorCode::corrupt, "the object " + object_ + " holds another upload of the same document",
                "check the cold tier, and restore the object from a backup");
  }
}

void ColdStorage::State::FramedReader::read(std::uint64_t first, std::uint64_t last, std::span<std::byte> out,
                                            const CallOptions& call) const {
  const std::uint64_t begin = layout().frame_offset(first);
  const auto stored = get(begin, layout().frame_offset(last) - begin, call);
  record_.decode(first, stored, out);
}

sealing::FramedRecord ColdStorage::State::FramedReader::load(std::string_view key,
                                                             const catalog::ColdPlace& place, Version version,
                                                             const CallOptions& call) const {
  const Bytes start = get(0, codec::kMaxHeaderBytes, call);
  return {*state_.sealer_,
          as_text(start),
          {.collection = catalog::collection_of(key),
           .id = catalog::id_of(key),
           .version = place.record_version != 0 ? place.record_version : version}};
}

Bytes ColdStorage::State::FramedReader::get(std::uint64_t offset, std::uint64_t length,
                                            const CallOptions& call) const {
  const auto open = state_.hold_open();
  auto bytes = state_.objects_->get_range(object_, offset, length, call);
  if (!bytes) throw_gone();
  return std::move(*bytes);
}

detail::BlockRef ColdStorage::State::fetch_framed(const catalog::ColdPlace& place, std::string_view key,
                                                  Version version, const CallOptions& call) {
  try {
    const FramedReader reader(*this, place, key, version, call);
    const codec::FramedLayout& layout = reader.layout();
    if (layout.content_length() > kMaxBodyBytes) {
      throw Error(ErrorCode::too_large,
                  "the document has " + std::to_string(layout.content_length()) +
                      " bytes, more than are held in memory",
                  "read it with cold_storage().read_large(), or db4 download");
    }
    const auto size = static_cast<std::size_t>(layout.content_length());
    detail::BlockRef block = detail::DocumentBlock::create(catalog::collection_of(key), catalog::id_of(key),
                                                           layout.content_type(), size);
    block->version = version;
    block->created_at_us = layout.created_at().time_since_epoch().count();
    block->updated_at_us = layout.updated_at().time_since_epoch().count();
    reader.read(0, layout.frames(), std::as_writable_bytes(std::span(block->mutable_body(), size)), call);
    return block;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::conflict) return {};  // gone: whoever asks looks at the row again
    throw;
  }
}

/// The body of a document that fits into memory; nullopt where it has to be read in pieces.
std::optional<detail::BlockRef> ColdStorage::State::small_body(std::string_view key,
                                                               const catalog::Row& row) {
  if (row.hot()) return catalog_.load_body(key, row);
  if (row.cold->framed) return std::nullopt;
  return read(*row.cold, key, row.version, CallOptions{});
}

std::optional<ReadLargeResult> ColdStorage::State::read_large(std::string_view collection,
                                                              std::string_view id, const ByteSink& sink,
                                                              const ByteRange& range,
                                                              const ReadLargeOptions& options) {
  catalog::check_key(collection, id);
  check_concurrency(options);
  const std::string key = catalog::document_key(collection, id);
  const auto row = [&] {
    const auto open = hold_open();
    return catalog_.find(key);
  }();
  if (!row || !row->live()) return std::nullopt;
  check_range(range, row->size);
  const std::uint64_t end = range.offset + std::min(range.length, row->size - range.offset);
  ReadLargeResult result{.version = row->version,
                         .size = row->size,
                         .bytes = end - range.offset,
                         .content_type = row->content_type};
  if (const auto block = small_body(key, *row)) {
    if (!*block) throw_gone();
    sink(as_bytes((*block)->body()).subspan(range.offset, result.bytes));
    if (options.on_progress) options.on_progress(result.bytes, result.bytes);
    return result;
  }

  const FramedReader reader(*this, *row->cold, key, row->version, {.stop = options.stop});
  const std::uint64_t frame = reader.layout().frame_bytes();
  const std::uint64_t piece_frames = std::max<std::uint64_t>(1, kPieceBytes / frame);
  const std::uint64_t first = range.offset / frame;
  const std::uint64_t last = end == range.offset ? first : (end + frame - 1) / frame;
  PiecesAhead pieces((last - first + piece_frames - 1) / piece_frames, options.concurrency, options.stop,
                     [&](std::uint64_t index, Bytes& piece, const CallOptions& call) {
                       const std::uint64_t begin = first + index * piece_frames;
                       const std::uint64_t behind = std::min(begin + piece_frames, last);
                       piece.resize(std::min(behind * frame, row->size) - begin * frame);
                       reader.read(begin, behind, piece, call);
                     });
  std::uint64_t at = first * frame;
  std::uint64_t done = 0;
  while (std::optional<Bytes> piece = pieces.take()) {
    const ReleasedAtEnd released(*piece);  // where the sink throws
    const std::uint64_t from = std::max(range.offset, at) - at;
    const std::uint64_t to = std::min<std::uint64_t>(end - at, piece->size());
    sink(ByteView(*piece).subspan(from, to - from));
    done += to - from;
    at += piece->size();
    pieces.give_back(std::move(*piece));
    if (options.on_progress) options.on_progress(done, result.bytes);
  }
  return result;
}

std::optional<ReadLargeResult> ColdStorage::read_large(std::string_view collection, std::string_view id,
                                                       const ByteSink& sink, const ByteRange& range,
                                                       const ReadLargeOptions& options) {
  try {
    return state_->read_large(collection, id, sink, range, options);
  } catch (const Error& error) {
    throw error.with_context("read_large", collection, id);
  }
}

std::optional<ReadLargeResult> ColdStorage::read_large(std::string_view collection, std::string_view id,
                                                       const std::filesystem::path& file,
                                                       const ByteRange& range,
                                                       const ReadLargeOptions& options) {
  try {
    std::optional<FileInTheMaking> making;
    const auto open = [&] {
      if (!making) making.emplace(file, *system_random());
    };
    const auto result = state_->read_large(
        collection, id,
        [&](ByteView bytes) {
          open();
          making->write(bytes);
        },
        range, options);
    if (!result) return std::nullopt;
    open();  // of a document without a byte
    making->place();
    return result;
  } catch (const Error& error) {
    throw error.with_context("read_large", collection, id);
  }
}

}  // namespace db4
