#pragma once
// What Vault answers, and what each refusal means: https://developer.hashicorp.com/vault/api-docs and
// /vault/api-docs/secret/transit.

#include "net/http_client.hpp"

#include <db4/error.hpp>
#include <db4/secret.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace db4::keyservice {

enum class VaultOperation { encrypt, decrypt, rewrap };
/// As paths have it.
std::string_view to_string(VaultOperation operation) noexcept;

/// Of whom and for what it is asked: for messages.
struct VaultContext {
  std::string origin;
  std::string mount;
  std::string key;
  std::string vault_namespace;
};

/// Longest answer that is read: Vault's are shorter than 1 KiB.
inline constexpr std::uint64_t kMaxVaultAnswerBytes = std::uint64_t{64} << 10U;

/// The text at data.`member` of a successful answer, without leaving copies of it behind; nullopt where there
/// is none, or none without escapes, which Vault never needs. The answer is wiped.
std::optional<Secret> take_member(Bytes& answer, std::string_view member);

/// What "errors" says; nullopt where the answer is not Vault's.
std::optional<std::string> errors_in(ByteView answer);

/// Whether asking again may help.
bool may_pass(int status, std::string_view errors);

/// How long Vault asks to wait; 0 where it does not say.
std::chrono::seconds retry_after(const net::HttpResponse& response);

/// What a refusal means. `hidden` are texts that a message must not hold, whatever was answered.
Error refusal(const VaultContext& context, VaultOperation operation, const net::HttpResponse& response,
              const std::vector<std::string_view>& hidden);
/// What an answer means that is no answer of Vault.
Error not_vault(const VaultContext& context, VaultOperation operation, int status);
/// What no answer means.
Error no_answer(VaultOperation operation, const net::HttpError& error);

}  // namespace db4::keyservice
