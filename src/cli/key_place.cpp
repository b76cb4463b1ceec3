#include "key_place.hpp"

#include "files.hpp"

#include <db4/error.hpp>
#include <db4/master_key.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace db4::cli {
namespace {

constexpr std::string_view kFile = "file:";
constexpr std::string_view kPassphraseFile = "passphrase-file:";
constexpr std::array<std::string_view, 7> kForms{
    kFile, "env:", "fd:", kPassphraseFile, "passphrase-env:", "passphrase-fd:", "vault:"};

/// Whether it is 256 bits in base 64 or in hexadecimal digits, and so hardly the name of anything.
bool looks_like_key(std::string_view text) {
  constexpr std::size_t kKeyBytes = 32;
  constexpr std::string_view kHex = "0123456789abcdefABCDEF";
  if (text.size() == 2 * kKeyBytes && text.find_first_not_of(kHex) == std::string_view::npos) return true;
  const auto bytes = decode_base64(text);
  return bytes && bytes->size() == kKeyBytes;
}

}  // namespace

const char* place_forms() {
  return "file:PATH, env:NAME, fd:NUMBER, stdin, passphrase-file:PATH, passphrase-env:NAME, "
         "passphrase-fd:NUMBER or vault:KEY";
}

void check_place(const std::string& place) {
  if (place == "stdin") return;
  for (const std::string_view form : kForms) {
    if (!place.starts_with(form) || place.size() == form.size()) continue;
    if (!looks_like_key(std::string_view(place).substr(form.size()))) return;
  }
  throw Error(ErrorCode::invalid_argument, "it does not say where the master key is",
              std::string("write ") + place_forms() + "; never a key itself, which others could see there");
}

std::string place_from(const std::string& place, const std::filesystem::path& folder) {
  for (const std::string_view form : {kFile, kPassphraseFile}) {
    if (!place.starts_with(form)) continue;
    const std::filesystem::path path = std::filesystem::absolute(folder) / place.substr(form.size());
    return std::string(form) + path.lexically_normal().string();
  }
  return place;
}

std::string default_place(const std::filesystem::path& folder) {
  std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  if (!whole.has_filename()) {
    throw Error(ErrorCode::invalid_argument,
                "there is no place beside " + whole.string() + " for a master key",
                "say where it is to be by --master-key file:PATH --create");
  }
  return std::string(kFile) + whole.string() + ".master-key";
}

void make_master_key(const std::string& place) {
  if (!place.starts_with(kFile)) {
    throw Error(ErrorCode::invalid_argument, "a new master key is made in a file alone",
                "name one, file:PATH; what else keeps keys makes them itself");
  }
  write_master_key_file(generate_master_key(), file_of(place));
}

std::filesystem::path file_of(const std::string& place) {
  for (const std::string_view form : {kFile, kPassphraseFile}) {
    if (place.starts_with(form)) return place.substr(form.size());
  }
  return {};
}

}  // namespace db4::cli
