#include "codec/compress.hpp"

#include "base/encoding.hpp"
#include "codec/record_header.hpp"

#include <libdeflate.h>
#include <zdict.h>
#define ZSTD_STATIC_LINKING_ONLY  // contexts with an allocator: in every libzstd since 1.4, and in its shared
                                  // one
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace db4::codec {

namespace {

// The levels that a thread can afford to keep a context for: zstd's 20 to 22 want hundreds of megabytes.
constexpr int kMaxGzipLevel = 12;
constexpr int kMaxZstdLevel = 19;
constexpr int kDefaultGzipLevel = 6;
constexpr int kDefaultZstdLevel = 3;
constexpr std::size_t kGzipTrailerBytes = 8;
constexpr std::uint32_t kZstdMagic = 0xFD2FB528;
/// Of a dictionary worth training: its tables alone take half of that.
constexpr std::size_t kMinDictionaryBytes = 1024;
/// A compressor that grew past this is freed after use instead of being kept with the thread.
constexpr std::size_t kMaxKeptContextBytes = 8ULL << 20;

struct FreeContext {
  void operator()(libdeflate_compressor* context) const noexcept { libdeflate_free_compressor(context); }
  void operator()(libdeflate_decompressor* context) const noexcept { libdeflate_free_decompressor(context); }
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CDict* dictionary) const noexcept { ZSTD_freeCDict(dictionary); }
  void operator()(ZSTD_DDict* dictionary) const noexcept { ZSTD_freeDDict(dictionary); }
};

template <typename Context>
using ContextPtr = std::unique_ptr<Context, FreeContext>;

}  // namespace

struct Dictionary::Prepared {
  ContextPtr<ZSTD_CDict> writing;  ///< null: it was opened for reading alone
  ContextPtr<ZSTD_DDict> reading;
};

namespace {

template <typename Context>
Context* allocated(Context* context) {
  if (context == nullptr) throw std::bad_alloc();
  return context;
}

libdeflate_compressor* gzip_compressor(int level) {
  thread_local ContextPtr<libdeflate_compressor> kept;
  thread_local int kept_level = 0;
  if (kept == nullptr || kept_level != level) {
    kept.reset(allocated(libdeflate_alloc_compressor(level)));
    kept_level = level;
  }
  return kept.get();
}

libdeflate_decompressor* gzip_decompressor() {
  thread_local const ContextPtr<libdeflate_decompressor> kept(allocated(libdeflate_alloc_decompressor()));
  return kept.get();
}

/// Behind its size, so that it can be released.
void* allocate_for_zstd(void* /*opaque*/, std::size_t size) {
  constexpr std::size_t kFront = alignof(std::max_align_t);
  static_assert(kFront >= sizeof size);
  auto* const front = static_cast<char*>(std::malloc(kFront + size));
  if (front == nullptr) return nullptr;
  std::memcpy(front, &size, sizeof size);
  return front + kFront;
}
void free_for_zstd(void* /*opaque*/, void* memory) {
  if (memory == nullptr) return;
  std::size_t size = 0;
  char* const front = static_cast<char*>(memory) - alignof(std::max_align_t);
  std::memcpy(&size, front, sizeof size);
  release_content(memory, size);
  std::free(front);
}
constexpr ZSTD_customMem kZstdMemory{&allocate_for_zstd, &free_for_zstd, nullptr};

thread_local int kept_contexts = 0;

struct ZstdContexts {
  ContextPtr<ZSTD_CCtx> compressor;
  ContextPtr<ZSTD_DCtx> decompressor;
};

ZstdContexts& zstd_contexts() {
  thread_local ZstdContexts kept;
  return kept;
}

ContextPtr<ZSTD_CCtx>& zstd_compressor() {
  ContextPtr<ZSTD_CCtx>& kept = zstd_contexts().compressor;
  if (kept == nullptr) {
    kept.reset(allocated(ZSTD_createCCtx_advanced(kZstdMemory)));
    ZSTD_CCtx_setParameter(kept.get(), ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(kept.get(), ZSTD_c_contentSizeFlag, 1);
  }
  return kept;
}

ZSTD_DCtx* zstd_decompressor() {
  ContextPtr<ZSTD_DCtx>& kept = zstd_contexts().decompressor;
  if (kept == nullptr) kept.reset(allocated(ZSTD_createDCtx_advanced(kZstdMemory)));
  return kept.get();
}

/// Contexts keep literals of what they worked on last, and are wiped as they go.
void release_contexts() noexcept {
  if (kept_contexts > 0 || !wipes_released_content()) return;
  zstd_contexts() = {};
}

Payload gzip(int level, std::string_view body) {
  libdeflate_compressor* context = gzip_compressor(level);
  const std::size_t room = libdeflate_deflate_compress_bound(context, body.size());
  const std::size_t allocated_bytes = room + kGzipTrailerBytes;
  Payload out{{new char[allocated_bytes], ReleasingDelete{allocated_bytes}}};
  out.size = libdeflate_deflate_compress(context, body.data(), body.size(), out.bytes.get(), room);
  if (out.size == 0) {
    throw Error(ErrorCode::internal, "libdeflate exceeds the bound that it stated", "report this");
  }
  const std::uint32_t trailer[2] = {libdeflate_crc32(0, body.data(), body.size()),
                                    static_cast<std::uint32_t>(body.size())};
  std::memcpy(out.bytes.get() + out.size, trailer, kGzipTrailerBytes);
  out.size += kGzipTrailerBytes;
  return out;
}

void gunzip(std::string_view payload, char* out, std::size_t size) {
  if (payload.size() < kGzipTrailerBytes) throw_corrupt_record("the gzip payload is too short");
  const std::string_view deflated = payload.substr(0, payload.size() - kGzipTrailerBytes);
  std::size_t used = 0;
  std::size_t made = 0;
  const libdeflate_result result = libdeflate_deflate_decompress_ex(gzip_decompressor(), deflated.data(),
                                                                    deflated.size(), out, size, &used, &made);
  if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
    throw_corrupt_record("the gzip payload expands past the content's length");
  }
  if (result != LIBDEFLATE_SUCCESS || used != deflated.size() || made != size) {
    throw_corrupt_record("the gzip payload does not give the content");
  }
  const char* trailer = deflated.data() + deflated.size();
  if (load_fixed<std::uint32_t>(trailer) != libdeflate_crc32(0, out, size) ||
      load_fixed<std::uint32_t>(trailer + 4) != static_cast<std::uint32_t>(size)) {
    throw_corrupt_record("the gzip trailer does not match the content");
  }
}

Payload zstd(int level, std::string_view body, const Dictionary* dictionary) {
  ContextPtr<ZSTD_CCtx>& context = zstd_compressor();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  // It stays referenced otherwise, and the context outlives it. None: null.
  ZSTD_CCtx_refCDict(context.get(), dictionary == nullptr ? nullptr : dictionary->prepared().writing.get());
  const std::size_t room = ZSTD_compressBound(body.size());
  Payload out{{new char[room], ReleasingDelete{room}}};
  const std::size_t size = ZSTD_compress2(context.get(), out.bytes.get(), room, body.data(), body.size());
  ZSTD_CCtx_refCDict(context.get(), nullptr);
  if (ZSTD_sizeof_CCtx(context.get()) > kMaxKeptContextBytes) context.reset();
  release_contexts();
  if (ZSTD_isError(size) != 0) {
    if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    throw Error(ErrorCode::internal, std::string("zstd cannot compress: ") + ZSTD_getErrorName(size),
                "report this");
  }
  out.size = size;
  return out;
}

void unzstd(std::string_view payload, char* out, std::size_t size, const Dictionary* dictionary) {
  // The one-shot decoder takes any number of frames, skippable and legacy ones too: exactly one is right.
  if (payload.size() < sizeof kZstdMagic || load_fixed<std::uint32_t>(payload.data()) != kZstdMagic ||
      ZSTD_findFrameCompressedSize(payload.data(), payload.size()) != payload.size()) {
    throw_corrupt_record("the payload is not one zstd frame");
  }
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != size) {
    throw_corrupt_record("the zstd frame does not have the content's length");
  }
  if (ZSTD_getDictID_fromFrame(payload.data(), payload.size()) !=
      (dictionary == nullptr ? 0 : dictionary->id())) {
    throw_corrupt_record("the zstd frame was made with another dictionary than the header names");
  }
  ZSTD_DCtx* const context = zstd_decompressor();
  const std::size_t made =
      dictionary == nullptr ? ZSTD_decompressDCtx(context, out, size, payload.data(), payload.size())
                            : ZSTD_decompress_usingDDict(context, out, size, payload.data(), payload.size(),
                                                         dictionary->prepared().reading.get());
  release_contexts();
  if (made != size) throw_corrupt_record("the zstd payload does not give the content");
}

}  // namespace

KeptContexts::KeptContexts() noexcept { ++kept_contexts; }
KeptContexts::~KeptContexts() {
  --kept_contexts;
  release_contexts();
}

void check_compression_level(Compression compression, int level) {
  const int most = compression == Compression::gzip ? kMaxGzipLevel : kMaxZstdLevel;
  if (compression == Compression::none || (level >= 0 && level <= most)) return;
  throw Error(ErrorCode::invalid_argument,
              "compression level " + std::to_string(level) + " is out of range for " +
                  std::string(to_string(compression)),
              "choose 1 to " + std::to_string(most) + ", or 0 for the default");
}

Payload compress(Compression compression, int level, std::string_view body, const Dictionary* dictionary) {
  if (body.data() == nullptr) body = "";  // the libraries may pass it on to memcpy
  return compression == Compression::gzip ? gzip(level == 0 ? kDefaultGzipLevel : level, body)
                                          : zstd(level == 0 ? kDefaultZstdLevel : level, body, dictionary);
}

void decompress(Compression compression, std::string_view payload, char* out, std::size_t size,
                const Dictionary* dictionary) {
  compression == Compression::gzip ? gunzip(payload, out, size) : unzstd(payload, out, size, dictionary);
}

Dictionary::Dictionary(std::string bytes, std::optional<int> level)
    : bytes_(std::move(bytes)), id_(ZDICT_getDictID(bytes_.data(), bytes_.size())) {
  if (id_ == 0 || bytes_.size() > kMaxStoredDictionaryBytes) {
    throw Error(ErrorCode::corrupt, "the dictionary is damaged",
                "restore its object in the cold tier, or the hot folder, from a backup");
  }
  auto prepared = std::make_unique<Prepared>();
  prepared->reading.reset(ZSTD_createDDict(bytes_.data(), bytes_.size()));
  if (level) {
    prepared->writing.reset(
        ZSTD_createCDict(bytes_.data(), bytes_.size(), *level == 0 ? kDefaultZstdLevel : *level));
  }
  // Either fails where memory is short, or where the tables in the dictionary do not hold together.
  if (prepared->reading == nullptr || (level && prepared->writing == nullptr)) {
    throw Error(ErrorCode::corrupt, "zstd does not take the dictionary " + std::to_string(id_),
                "restore its object in the cold tier, or the hot folder, from a backup");
  }
  prepared_ = std::move(prepared);
}

Dictionary::~Dictionary() = default;

std::string train_dictionary(std::span<const std::string_view> samples) {
  std::string together;
  std::vector<std::size_t> sizes;
  for (const std::string_view sample : samples) {
    together.append(sample);
    sizes.push_back(sample.size());
  }
  // One that is as large as what it was made of would only quote it.
  std::string content(std::min(kMaxDictionaryBytes, together.size() / 8), '\0');
  if (content.size() < kMinDictionaryBytes) return {};
  const std::size_t size = ZDICT_trainFromBuffer(content.data(), content.size(), together.data(),
                                                 sizes.data(), static_cast<unsigned>(sizes.size()));
  if (ZDICT_isError(size) != 0) return {};
  content.resize(size);
  return content;
}

}  // namespace db4::codec
