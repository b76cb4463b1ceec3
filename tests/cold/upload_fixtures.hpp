#pragma once
// What the tests of uploads share.

#include <db4/error.hpp>
#include <db4/multipart.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

namespace db4::testing {

/// Bytes that differ everywhere.
inline Bytes content_of(std::size_t size, std::uint64_t seed = 1) {
  Bytes bytes(size);
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t bits = random();
    std::memcpy(bytes.data() + i, &bits, std::min<std::size_t>(8, size - i));
  }
  return bytes;
}

/// What the call throws; fails where it throws nothing.
inline Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::internal, "nothing was thrown", ""};
}

/// A source that says when it was modified.
class DatedSource final : public ByteSource::Reader {
 public:
  DatedSource(Bytes bytes, TimePoint modified) : bytes_(std::move(bytes)), modified_(modified) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  std::optional<TimePoint> modified() const override { return modified_; }

 private:
  const Bytes bytes_;
  const TimePoint modified_;
};

}  // namespace db4::testing
