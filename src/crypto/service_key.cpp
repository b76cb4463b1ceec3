#include "crypto/service_key.hpp"

#include <db4/error.hpp>

namespace db4::crypto {
namespace {

void check_wrapped(const std::string& wrapped) {
  if (!wrapped.empty() && wrapped.size() <= kMaxWrappedKeyBytes) return;
  throw Error(ErrorCode::key_unavailable,
              "the key service made a text of " + std::to_string(wrapped.size()) + " bytes of the ring's key",
              "use a key of the service that makes 1 to 4,096 bytes of 32");
}

}  // namespace

std::shared_ptr<const RingKeys> unwrap_service_key(KeyService& service, const std::string& wrapped,
                                                   const RingId& ring) {
  const Secret key = service.unwrap(wrapped);
  const ByteView bytes = as_bytes(key.reveal());
  if (bytes.size() != kKeyBytes) {
    throw Error(ErrorCode::key_unavailable,
                "the key service gave " + std::to_string(bytes.size()) + " bytes for the ring's key of 32",
                "check that this is the service, and the key of it, that the ring was made with");
  }
  return std::make_shared<const RingKeys>(bytes.first<kKeyBytes>(), ring);
}

ServiceKey make_service_key(KeyService& service, const RingId& ring, RandomSource& random) {
  const GuardedBytes key(kKeyBytes, [&](std::span<std::byte> out) { random.fill(out); });
  ServiceKey made{.wrapped = service.wrap(key.view()),
                  .keys = std::make_shared<const RingKeys>(key.key(), ring)};
  check_wrapped(made.wrapped);
  if (unwrap_service_key(service, made.wrapped, ring)->check() != made.keys->check()) {
    throw Error(ErrorCode::key_unavailable, "the key service does not give back the key that it wrapped",
                "check the service; nothing was written");
  }
  return made;
}

ServiceKey rewrap_service_key(KeyService& service, const std::string& wrapped, const RingId& ring) {
  ServiceKey made{.wrapped = service.rewrap(wrapped), .keys = {}};
  check_wrapped(made.wrapped);
  made.keys = unwrap_service_key(service, made.wrapped, ring);
  return made;
}

}  // namespace db4::crypto
