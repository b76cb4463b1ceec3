#include "byte_reader.hpp"

#include <db4/error.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace db4::cli {
namespace {

constexpr std::size_t kPiece = 1 << 20;
/// How soon a stop is noticed while a pipe is silent.
constexpr int kLookForStopMs = 100;

[[noreturn]] void cannot_read(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, "cannot read " + name + ": " + why,
              "check its name and permissions");
}

}  // namespace

ByteReader::ByteReader(const std::string& file, std::stop_token stop)
    : name_(file == "-" ? "standard input" : file),
      stop_(std::move(stop)),
      descriptor_(file == "-" ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC)),
      buffer_(kPiece) {
  struct stat info {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0) cannot_read(name_, std::strerror(errno));
  regular_ = S_ISREG(info.st_mode);
  if (!S_ISDIR(info.st_mode)) return;
  if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
  cannot_read(name_, "it is a folder");
}

ByteReader::~ByteReader() {
  if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
}

std::string_view ByteReader::available() {
  if (begin_ == end_) fill();
  return {buffer_.data() + begin_, end_ - begin_};
}

std::string_view ByteReader::peek(std::size_t bytes) {
  while (end_ - begin_ < bytes && fill()) {
  }
  return {buffer_.data() + begin_, end_ - begin_};
}

void ByteReader::skip_byte_order_mark() {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (peek(kMark.size()).substr(0, kMark.size()) == kMark) consume(kMark.size());
}

bool ByteReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  for (;;) {
    if (!regular_) wait_for_input();
    const ssize_t count = ::read(descriptor_, buffer_.data() + end_, buffer_.size() - end_);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) {
      throw Error(ErrorCode::unavailable, "reading " + name_ + " failed: " + std::strerror(errno),
                  "check its disk, and run it again");
    }
    end_ += static_cast<std::size_t>(count);
    read_ += static_cast<std::uint64_t>(count);
    return count > 0;
  }
}

void ByteReader::wait_for_input() const {
  pollfd waited{.fd = descriptor_, .events = POLLIN, .revents = 0};
  do {
    if (stop_.stop_requested()) {
      throw Error(ErrorCode::cancelled, "interrupted while reading " + name_, "run it again");
    }
  } while (::poll(&waited, 1, kLookForStopMs) == 0);
}

void ByteReader::seek(std::uint64_t offset) {
  if (regular_) {
    if (::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0) {
      throw Error(ErrorCode::unavailable, "seeking in " + name_ + " failed: " + std::strerror(errno),
                  "check its disk");
    }
    begin_ = end_ = 0;
    read_ = offset;
    return;
  }
  while (this->offset() < offset) {
    const std::size_t some = std::min<std::uint64_t>(available().size(), offset - this->offset());
    if (some == 0) return;
    consume(some);
  }
}

}  // namespace db4::cli
