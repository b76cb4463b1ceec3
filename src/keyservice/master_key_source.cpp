#include "base/base64.hpp"
#include "crypto/files.hpp"
#include "crypto/hkdf.hpp"
#include "keyservice/vault_settings.hpp"

#include <db4/error.hpp>
#include <db4/master_key_source.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

namespace db4 {
namespace {

constexpr std::size_t kMaxPassphraseBytes = 1'024;  // as master_key_from_passphrase has it

// The text is in no message: what somebody took for a source may be the key.
[[noreturn]] void throw_no_source(std::string problem) {
  throw Error(ErrorCode::invalid_argument, std::move(problem),
              "write file:PATH, env:NAME, fd:NUMBER, stdin, passphrase-file:PATH, passphrase-env:NAME, "
              "passphrase-fd:NUMBER, vault:KEY or vault:MOUNT/KEY");
}

bool is_hexadecimal(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Whether this is 256 bits in base64 or hexadecimal digits, and so hardly the name of anything.
bool looks_like_key(std::string_view text) {
  constexpr std::size_t kHexDigits = 2 * crypto::kKeyBytes;
  if (text.size() == kHexDigits && std::ranges::all_of(text, is_hexadecimal)) return true;
  std::optional<std::string> bytes = from_base64(text);
  if (!bytes) return false;
  const bool is_key = bytes->size() == crypto::kKeyBytes;
  wipe(*bytes);
  return is_key;
}

std::string variable_of(std::string_view name) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  const bool digit_first = !name.empty() && name.front() >= '0' && name.front() <= '9';
  if (name.empty() || digit_first || !std::ranges::all_of(name, legal)) {
    throw_no_source("what names the variable of the master key is no name of an environment variable");
  }
  return std::string(name);
}

int descriptor_of(std::string_view number) {
  int descriptor = -1;
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, descriptor);
  if (error != std::errc{} || stop != end || descriptor < 0) {
    throw_no_source("what names the descriptor of the master key is no number of one");
  }
  return descriptor;
}

std::string path_of(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    throw_no_source("what names the file of the master key is no path");
  }
  return std::string(path);
}

MasterKey passphrase_of(std::string_view text, const std::string& source) {
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
  }
  if (text.empty() || text.size() > kMaxPassphraseBytes) {
    throw Error(ErrorCode::invalid_argument, source + " holds no passphrase, or too long a one",
                "give 1 to 1,024 bytes");
  }
  return master_key_from_passphrase(Secret(text));
}

// Neither path nor variable is in a message: a passphrase may have been written in its place, and it cannot
// be told from a name.
MasterKey passphrase_from_descriptor(int descriptor, const std::string& source) {
  crypto::WipedArray<kMaxPassphraseBytes + 3> buffer;  // a line break, and one byte that is too many
  const std::ptrdiff_t size = crypto::read_up_to(descriptor, buffer);
  if (size < 0) crypto::throw_file_error(errno, "cannot read " + source);
  return passphrase_of(as_text(ByteView(buffer).first(static_cast<std::size_t>(size))), source);
}

MasterKey passphrase_from_file(const std::string& path) {
  const std::string source = "the file of the passphrase";
  const FileDescriptor file = crypto::open_private_file(path, source);
  return passphrase_from_descriptor(file.get(), source);
}

MasterKey passphrase_from_environment(const std::string& name) {
  const std::string source = "the environment variable of the passphrase";
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') {
    throw Error(ErrorCode::key_unavailable, source + " is not set", "set it, or name the right variable");
  }
  return passphrase_of(value, source);
}

}  // namespace

MasterKey master_key_from_source(const std::string& source) {
  if (source == "stdin") return master_key_from_descriptor(0);
  const std::size_t colon = source.find(':');
  if (colon == std::string::npos) throw_no_source("a text that does not say where the master key is");
  const std::string_view form = std::string_view(source).substr(0, colon);
  const std::string_view name = std::string_view(source).substr(colon + 1);
  if (looks_like_key(name) || keyservice::looks_like_vault_token(name)) {
    throw Error(ErrorCode::invalid_argument,
                "a text that should say where the master key is holds a key or token itself",
                "put the key into a file that only this user may read, and write file:PATH; others may have "
                "seen this one");
  }
  if (form == "file") return master_key_from_file(path_of(name));
  if (form == "env") return master_key_from_environment(variable_of(name));
  if (form == "fd") return master_key_from_descriptor(descriptor_of(name));
  if (form == "passphrase-file") return passphrase_from_file(path_of(name));
  if (form == "passphrase-env") return passphrase_from_environment(variable_of(name));
  if (form == "passphrase-fd") {
    return passphrase_from_descriptor(descriptor_of(name), "the descriptor of the passphrase");
  }
  if (form == "vault") {
    if (name.empty()) throw_no_source("what names Vault's key is no name");
    return master_key_from_service(
        make_vault_key_service(keyservice::vault_config_of(name, &keyservice::process_environment)));
  }
  throw_no_source("a text that does not say where the master key is");
}

}  // namespace db4
