#include "base/base64.hpp"
#include "base/file_descriptor.hpp"
#include "crypto/files.hpp"
#include "crypto/master_key_state.hpp"

#include <db4/error.hpp>
#include <db4/master_key.hpp>
#include <db4/random.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ostream>
#include <string_view>

namespace db4 {
namespace {

using crypto::GuardedBytes;
using crypto::MasterKeyState;

constexpr std::size_t kMaxTextBytes = 256;  // 44 and some white space
constexpr std::size_t kMaxPassphraseBytes = 1'024;

MasterKey make_key(ByteView bytes) {
  return MasterKey(std::make_shared<const MasterKeyState>(GuardedBytes(
      crypto::kKeyBytes, [&](std::span<std::byte> out) { std::ranges::copy(bytes, out.begin()); })));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kWhite = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kWhite);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhite) + 1 - begin);
}

/// `source` says where the text is from, for the message; the text itself is in none.
MasterKey key_of_text(std::string_view text, const std::string& source) {
  std::optional<std::string> bytes = from_base64(trimmed(text));
  const bool right = bytes && bytes->size() == crypto::kKeyBytes;
  MasterKey key = right ? make_key(as_bytes(*bytes)) : MasterKey();
  if (bytes) wipe(*bytes);
  if (right) return key;
  throw Error(ErrorCode::invalid_argument, source + " holds no master key",
              "give 32 bytes in base64, 44 characters (openssl rand -base64 32 makes a new one)");
}

MasterKey key_of_descriptor(int descriptor, const std::string& source) {
  std::array<std::byte, kMaxTextBytes> buffer{};
  const std::ptrdiff_t size = crypto::read_up_to(descriptor, buffer);
  const int error = errno;
  try {
    if (size < 0) crypto::throw_file_error(error, "cannot read " + source);
    MasterKey key = key_of_text(as_text(ByteView(buffer).first(static_cast<std::size_t>(size))), source);
    crypto::wipe(buffer);
    return key;
  } catch (...) {
    crypto::wipe(buffer);
    throw;
  }
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const MasterKey& key) { return key.empty() ? out : out << "***"; }

MasterKey generate_master_key() {
  return MasterKey(std::make_shared<const MasterKeyState>(
      GuardedBytes(crypto::kKeyBytes, [](std::span<std::byte> out) { system_random()->fill(out); })));
}

MasterKey master_key_from_bytes(ByteView bytes) {
  if (bytes.size() != crypto::kKeyBytes) {
    throw Error(ErrorCode::invalid_argument, "a master key of " + std::to_string(bytes.size()) + " bytes",
                "give exactly 32 bytes");
  }
  return make_key(bytes);
}

MasterKey master_key_from_text(const Secret& text) { return key_of_text(text.reveal(), "the text given"); }

MasterKey master_key_from_file(const std::filesystem::path& path) {
  const std::string source = "the master key's file " + path.string();
  const FileDescriptor file = crypto::open_private_file(path.string(), source);
  return key_of_descriptor(file.get(), source);
}

MasterKey master_key_from_environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') {
    throw Error(ErrorCode::key_unavailable, "the environment variable " + name + " holds no master key",
                "set it to 32 bytes in base64, or name the right variable");
  }
  return key_of_text(value, "the environment variable " + name);
}

MasterKey master_key_from_descriptor(int descriptor) {
  return key_of_descriptor(descriptor,
                           descriptor == 0 ? "standard input" : "descriptor " + std::to_string(descriptor));
}

MasterKey master_key_from_passphrase(const Secret& passphrase, PassphraseCost cost) {
  const std::string_view text = passphrase.reveal();
  if (text.empty() || text.size() > kMaxPassphraseBytes) {
    throw Error(ErrorCode::invalid_argument, "a passphrase of no or too many bytes", "give 1 to 1,024 bytes");
  }
  if (!crypto::is_legal(cost)) {
    throw Error(ErrorCode::invalid_argument, "a cost of the passphrase that is out of range",
                "use 8 MiB to 4 GiB in whole KiB, and 1 to 64 passes");
  }
  return MasterKey(std::make_shared<const MasterKeyState>(
      GuardedBytes(text.size(),
                   [&](std::span<std::byte> out) { std::ranges::copy(as_bytes(text), out.begin()); }),
      cost));
}

MasterKey master_key_from_service(std::shared_ptr<KeyService> service) {
  if (service == nullptr) {
    throw Error(ErrorCode::invalid_argument, "a master key of no key service", "give a service");
  }
  return MasterKey(std::make_shared<const MasterKeyState>(std::move(service)));
}

Secret reveal_master_key(const MasterKey& key) {
  if (key.empty() || key.state()->kind() != crypto::MasterKeyKind::key) {
    throw Error(ErrorCode::invalid_argument,
                "there is no master key to be written, or it is a passphrase or a service's",
                "give a key; keep a passphrase as it is");
  }
  return Secret(to_base64(key.state()->bytes()));
}

void write_master_key_file(const MasterKey& key, const std::filesystem::path& path) {
  std::string text(reveal_master_key(key).reveal());
  text += '\n';
  try {
    crypto::create_private_file(path, as_bytes(text));
  } catch (...) {
    wipe(text);
    throw;
  }
  wipe(text);
}

}  // namespace db4
