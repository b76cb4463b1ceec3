// Large documents under another key: read from their old object and sent in parts as a new one.
//
// It is an upload like any other, with a session of its own, so that what a process that died left at the
// object store is found and freed. It is never resumed: a new one has another content key.
#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "base/wiping.hpp"
#include "catalog/keys.hpp"
#include "cold/framed_reader.hpp"

#include <algorithm>
#include <functional>

namespace db4 {
namespace {

/// Parts that are sent at once. Memory for each: the part, and two pieces to make it from.
constexpr std::size_t kConcurrency = 2;
/// Of content that is read by one request, and not by one for each frame.
constexpr std::uint64_t kPieceBytes = 8ULL << 20;

/// Gives the content of frames [first, last), which is as long as `out`.
using ReadFrames = std::function<void(std::uint64_t first, std::uint64_t last, std::span<std::byte> out)>;

/// A record that is made of what another one, in frames of the same size, holds.
class ResealedSource final : public ByteSource::Reader {
 public:
  ResealedSource(ReadFrames from, const sealing::FramedRecord& to) : from_(std::move(from)), to_(to) {}

  std::uint64_t size() const override { return to_.layout().record_length(); }
  std::optional<TimePoint> modified() const override { return std::nullopt; }

  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const codec::FramedLayout& layout = to_.layout();
    const std::uint64_t header = layout.header().size();
    const std::uint64_t end = offset + out.size();
    std::uint64_t at = std::min(end, std::max(offset, header));
    if (offset < at) to_.encode(offset, out.first(at - offset), {});
    if (at == end) return;
    const std::uint64_t stride = layout.frame_bytes() + layout.frame_overhead();
    const std::uint64_t frames = std::min((end - header + stride - 1) / stride, layout.frames());
    const std::uint64_t at_once = std::max<std::uint64_t>(1, kPieceBytes / layout.frame_bytes());
    Bytes content;
    const ReleasedAtEnd released(content);
    for (std::uint64_t first = (at - header) / stride; first < frames;) {
      const std::uint64_t last = std::min(first + at_once, frames);
      const std::uint64_t begin = first * layout.frame_bytes();
      content.resize(std::min(last * layout.frame_bytes(), layout.content_length()) - begin);
      from_(first, last, content);
      const std::uint64_t stop = std::min(end, layout.frame_offset(last));
      to_.encode(at, out.subspan(at - offset, stop - at),
                 [&](std::uint64_t index, std::span<std::byte> frame) {
                   const std::uint64_t from = index * layout.frame_bytes() - begin;
                   std::ranges::copy(ByteView(content).subspan(from, frame.size()), frame.begin());
                 });
      at = stop;
      first = last;
    }
  }

 private:
  const ReadFrames from_;
  const sealing::FramedRecord& to_;
};

}  // namespace

catalog::ColdPlace ColdStorage::State::reseal_large(std::string_view key, const catalog::Row& row,
                                                    const CallOptions& call) {
  const catalog::ColdPlace& old = *row.cold;
  const FramedReader from(*this, old, key, row.version, call);

  std::string bits;
  put_big_endian(bits, random_->next_u64());
  UploadSession session;
  session.collection = catalog::collection_of(key);
  session.id = catalog::id_of(key);
  session.content_type = from.layout().content_type();
  session.size = from.layout().content_length();
  session.version = old.record_version != 0 ? old.record_version : row.version;
  session.object = document_object(key, session.version);
  session.reseals = true;
  const codec::RecordHeader header{.collection = session.collection,
                                   .id = session.id,
                                   .version = session.version,
                                   .content_type = session.content_type,
                                   .created_at = from.layout().created_at(),
                                   .updated_at = from.layout().updated_at()};
  const std::uint64_t frame_bytes = from.layout().frame_bytes();
  if (sealer_->seals()) {
    keep_key_ring(call);
    session.record_header = sealing::begin_sealed_frames(*sealer_, header, session.size, frame_bytes);
  }
  const sealing::FramedRecord to =
      session.record_header.empty()
          ? sealing::FramedRecord(codec::FramedLayout(header, session.size, frame_bytes))
          : sealing::FramedRecord(
                *sealer_, session.record_header,
                {.collection = session.collection, .id = session.id, .version = session.version});
  const ByteSource record(
      std::make_shared<ResealedSource>([&](std::uint64_t first, std::uint64_t last,
                                           std::span<std::byte> out) { from.read(first, last, out, call); },
                                       to));

  const UploadOptions options{
      .part_size = std::max(UploadOptions{}.part_size, objects_->part_rules().min_part_size),
      .concurrency = kConcurrency,
      .stop = call.stop,
      .upload_id = "reseal-" + to_hex(as_bytes(bits))};
  try {
    uploads_.upload(session, record, options);
    // Its name is another one where it had to be begun anew.
    const auto done = sessions_->find(options.upload_id);
    if (!done) {
      throw Error(ErrorCode::conflict, "the session of a document that is sealed anew is gone",
                  "run the re-encryption again");
    }
    catalog::ColdPlace place{.object = done->object,
                             .offset = 0,
                             .length = record.size(),
                             .in_segment = false,
                             .framed = true,
                             .record_version = old.record_version,
                             .key = to.key(),
                             .digest = to.digest()};
    sessions_->remove(options.upload_id);
    return place;
  } catch (const Error&) {
    drop_reseal(options.upload_id);
    throw;
  }
}

/// What it cannot do now is done once the session is as old as cold.upload_expiry.
void ColdStorage::State::drop_reseal(const std::string& upload_id) noexcept {
  try {
    uploads_.abort(upload_id);
    const auto session = sessions_->find(upload_id);
    if (session && session->state == MultipartUploadState::aborted) sessions_->remove(upload_id);
  } catch (const std::exception&) {
  }
}

}  // namespace db4
