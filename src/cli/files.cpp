#include "files.hpp"

#include "byte_reader.hpp"
#include "text.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace db4::cli {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kWritePiece = 1 << 20;

}  // namespace

std::string read_whole(const std::string& file, const std::stop_token& stop) {
  ByteReader reader(file, stop);
  std::string whole;
  for (auto part = reader.available(); !part.empty(); part = reader.available()) {
    whole.append(part);
    reader.consume(part.size());
    if (whole.size() > kMaxBodyBytes) {
      throw Error(ErrorCode::too_large, reader.name() + " has more than " + describe_bytes(kMaxBodyBytes),
                  "store it in parts");
    }
  }
  return whole;
}

void write_whole(const std::string& file, std::string_view bytes) {
  OutputFile out(file);
  out.write(bytes);
  out.finish();
}

std::string base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) out += k <= count ? kLetters[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::optional<std::string> decode_base64(std::string_view letters) {
  if (letters.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(letters.size() / 4 * 3);
  const std::size_t padding = letters.empty() ? 0 : letters.size() - 1 - letters.find_last_not_of('=');
  if (padding > 2) return std::nullopt;
  letters.remove_suffix(padding);
  unsigned bits = 0;
  unsigned count = 0;
  for (const char letter : letters) {
    const std::size_t value = kLetters.find(letter);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<unsigned>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count));
    bits &= (1U << count) - 1;
  }
  // What is left over are the zeros that filled the last letter.
  if (bits != 0) return std::nullopt;
  return out;
}

std::string read_regular(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat info {};
  const bool regular = descriptor >= 0 && ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
  std::string whole;
  ssize_t count = regular ? 0 : -1;
  if (regular && static_cast<std::uint64_t>(info.st_size) <= kMaxBodyBytes) {
    // One byte more than it has, to see that it does not grow.
    whole.resize(static_cast<std::size_t>(info.st_size) + 1);
    std::size_t read = 0;
    while (read < whole.size() &&
           (count = ::read(descriptor, whole.data() + read, whole.size() - read)) > 0) {
      read += static_cast<std::size_t>(count);
    }
    whole.resize(read);
  }
  if (descriptor >= 0) ::close(descriptor);
  if (regular && static_cast<std::uint64_t>(info.st_size) > kMaxBodyBytes) {
    throw Error(ErrorCode::too_large, "it has more than " + describe_bytes(kMaxBodyBytes),
                "store it in parts");
  }
  if (count < 0)
    throw Error(ErrorCode::invalid_argument, "it cannot be read",
                "check that it is a file, and its permissions");
  return whole;
}

OutputFile::OutputFile(const std::filesystem::path& file) : file_(file) {
  std::error_code ignored;
  const std::filesystem::file_status present = std::filesystem::status(file, ignored);
  const bool exists = std::filesystem::exists(present);
  if (exists && !std::filesystem::is_regular_file(present)) {
    // A device or a pipe is written to, never replaced.
    descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail();
    return;
  }
  // What a link leads to is replaced, not the link; who may read it stays as it was.
  if (exists) file_ = std::filesystem::canonical(file, ignored);
  temporary_ = file_.string() + ".part";
  const mode_t mode = exists ? static_cast<mode_t>(present.permissions()) & 0777U : 0666U;
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (descriptor_ < 0 || (exists && ::fchmod(descriptor_, mode) != 0)) fail();
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail() const {
  throw Error(ErrorCode::permission_denied, "cannot write " + file_.string() + ": " + std::strerror(errno),
              "check its folder, space and permissions");
}

void OutputFile::write(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() >= kWritePiece) flush();
}

void OutputFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail();
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  buffer_.clear();
}

void OutputFile::finish() {
  flush();
  if (!temporary_.empty()) {
    if (::fsync(descriptor_) != 0 || ::rename(temporary_.c_str(), file_.c_str()) != 0) fail();
  }
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace db4::cli
