#pragma once
// ColdBreaker: keeps one run from asking a cold tier that is away again and again.

#include <db4/error.hpp>

#include <exception>
#include <string>

namespace db4::tiering {

/// Opens after kMaxFailures requests in a row that failed (each of them with its retries behind it), or one
/// that took all the time it was given. Then the run leaves documents where they are; the next run tries
/// again. Not thread-safe.
class ColdBreaker {
 public:
  static constexpr int kMaxFailures = 3;

  void succeeded() noexcept { failures_ = 0; }
  /// What does not come from the object store is not counted.
  void failed(const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      count(error);
    } catch (const std::exception&) {
      // Out of memory, say: no word of the object store.
    }
  }
  [[nodiscard]] bool open() const noexcept { return !reason_.empty(); }
  /// Why it opened; empty: it did not.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  void count(const Error& error) {
    switch (error.code()) {
      case ErrorCode::unavailable:
      case ErrorCode::deadline_exceeded:
      case ErrorCode::resource_exhausted:
      case ErrorCode::permission_denied:
      case ErrorCode::read_only:
        break;
      default:
        return;
    }
    ++failures_;
    if (failures_ < kMaxFailures && error.code() != ErrorCode::deadline_exceeded) return;
    reason_ = failures_ == 1 ? "the cold tier did not answer: "
                             : "the cold tier failed " + std::to_string(failures_) + " times in a row: ";
    reason_ += error.what();
  }

  int failures_ = 0;
  std::string reason_;
};

}  // namespace db4::tiering
