#include "files.hpp"

#include "text.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace db4::cli {
namespace {

std::string read_all(std::istream& in, const std::string& name) {
  std::string whole;
  std::array<char, 1 << 16> part{};
  while (in.read(part.data(), part.size()) || in.gcount() > 0) {
    whole.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (whole.size() > kMaxBodyBytes) {
      throw Error(ErrorCode::too_large, name + " has more than " + describe_bytes(kMaxBodyBytes),
                  "store it in parts");
    }
  }
  if (in.bad())
    throw Error(ErrorCode::invalid_argument, "cannot read " + name,
                "check that it is a file, and its permissions");
  return whole;
}

}  // namespace

std::string read_whole(const std::string& file) {
  if (file == "-") return read_all(std::cin, "standard input");
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    throw Error(ErrorCode::invalid_argument, "cannot read " + file, "check its name and permissions");
  }
  return read_all(in, file);
}

void write_whole(const std::string& file, std::string_view bytes) {
  const std::string temporary = file + ".part";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  std::error_code problem;
  if (out) std::filesystem::rename(temporary, file, problem);
  if (out && !problem) return;
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  throw Error(ErrorCode::permission_denied, "cannot write " + file,
              "check its folder, space and permissions");
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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

}  // namespace db4::cli
