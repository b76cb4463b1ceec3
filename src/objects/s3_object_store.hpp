#pragma once
// The calls of ObjectStore as requests of the S3 protocol ("Amazon S3 API Reference"): objects
// (s3_object_store.cpp), lists (s3_lists.cpp), uploads in parts (s3_multipart.cpp).

#include "base/hash.hpp"
#include "base/md5.hpp"
#include "objects/s3_client.hpp"

namespace db4::objects {

class S3Store final : public S3ObjectStore {
 public:
  S3Store(const S3Config& config, const Environment& environment, std::shared_ptr<Clock> clock)
      : client_(config, environment, std::move(clock)) {}

  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override;
  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes, const CallOptions& call) override;
  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions& call) override;
  std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override;
  bool remove(std::string_view name, const CallOptions& call) override;
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names,
                                         const CallOptions& call) override;
  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions& call) override;

  std::string begin_multipart(std::string_view name, std::uint64_t part_size,
                              const CallOptions& call) override;
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions& call) override;
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override;
  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call) override;
  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions& call) override;
  PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after, std::size_t limit,
                                   const CallOptions& call) override;
  [[nodiscard]] std::string part_digest(ByteView body) const override { return to_hex(md5(body)); }
  [[nodiscard]] std::string object_digest(std::span<const ObjectPart> parts) const override;

  [[nodiscard]] S3Stats stats() const override { return client_.stats(); }

 private:
  /// Sends, and throws unless it succeeded.
  S3Response require(const S3Request& request);
  /// Sends a body, and says whether the provider's etag is the digest of what was sent.
  PutResult send_body(S3Request& request);
  PutResult put_if_match(std::string_view name, ByteView body, const PutOptions& options);
  void remove_batch(std::span<const std::string> names, const CallOptions& call,
                    std::vector<RemoveFailure>& failures);
  void remove_alone(const std::string& name, const CallOptions& call, std::vector<RemoveFailure>& failures);

  S3Client client_;
  /// If-Match as the HTTP standard has it, in quotes, which Ceph does not understand: others may want them.
  std::atomic<bool> quoted_etags_{false};
};

}  // namespace db4::objects
