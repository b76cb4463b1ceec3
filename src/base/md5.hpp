#pragma once
// MD5 (RFC 1321), by OpenSSL: object stores name what they hold by it. It guards against accidents alone.

#include <db4/types.hpp>

#include <array>
#include <memory>

namespace db4 {

using Md5Digest = std::array<std::byte, 16>;

/// A digest of what comes in pieces. For one thread at a time. Throws unsupported where OpenSSL offers no
/// MD5.
class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(const Md5&) = delete;
  Md5& operator=(const Md5&) = delete;

  void restart();
  void update(ByteView piece);
  /// Of all that came since the start; restart() before the next.
  Md5Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Md5Digest md5(ByteView data);

}  // namespace db4
