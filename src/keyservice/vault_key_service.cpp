#include "base/base64.hpp"
#include "crypto/files.hpp"
#include "crypto/hkdf.hpp"
#include "keyservice/vault_answer.hpp"
#include "keyservice/vault_settings.hpp"
#include "net/http_client.hpp"

#include <db4/error.hpp>
#include <db4/vault_key_service.hpp>
#include <db4/version.hpp>

#include <algorithm>
#include <cerrno>

namespace db4 {
namespace keyservice {
namespace {

constexpr std::size_t kMaxTokenFileBytes = 8'192;
constexpr std::uint32_t kMaxDoublings = 20;
constexpr std::size_t kMaxConnections = 4;  // a ring is opened now and then

net::HttpClientOptions http_options(const VaultConfig& config) {
  return {.ca_file = config.ca_file.string(),
          .connect_timeout = config.connect_timeout,
          .attempt_timeout = config.attempt_timeout,
          .stall_timeout = config.attempt_timeout,
          .max_connections = kMaxConnections,
          .user_agent = "db4/" + std::string(version())};
}

/// What a text in a key ring must be to be asked about: the ring may be anybody's.
void check_wrapped(std::string_view wrapped) {
  const auto legal = [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\\'; };
  if (!wrapped.empty() && wrapped.size() <= kMaxWrappedKeyBytes && std::ranges::all_of(wrapped, legal))
    return;
  throw Error(ErrorCode::key_unavailable, "what the key ring carries was not wrapped by Vault",
              "use the key service that the ring was made with");
}

/// A request's body, {"member":"text"}, wiped when it goes.
class Body {
 public:
  Body(std::string_view member, std::string_view text) {
    text_.reserve(member.size() + text.size() + 8);
    text_.append("{\"").append(member).append("\":\"").append(text).append("\"}");
  }
  ~Body() { wipe(text_); }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  [[nodiscard]] ByteView view() const { return as_bytes(text_); }

 private:
  std::string text_;
};

class VaultKeyService final : public KeyService {
 public:
  VaultKeyService(VaultConfig config, std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random)
      : config_(std::move(config)),
        address_(parse_vault_address(config_.url, "the address of Vault")),
        context_{address_.origin, config_.mount, config_.key, config_.vault_namespace},
        clock_(std::move(clock)),
        random_(std::move(random)),
        http_(http_options(config_), clock_) {}

  std::string wrap(ByteView key) override {
    const Secret text(to_base64(key));
    return wrapped_by(VaultOperation::encrypt, "plaintext", text.reveal());
  }

  Secret unwrap(std::string_view wrapped) override {
    check_wrapped(wrapped);
    const Secret text = ask(VaultOperation::decrypt, "ciphertext", wrapped, "plaintext");
    auto key = from_base64(text.reveal());
    if (!key) throw not_vault(context_, VaultOperation::decrypt, 200);
    return {std::move(*key)};
  }

  std::string rewrap(std::string_view wrapped) override {
    check_wrapped(wrapped);
    return wrapped_by(VaultOperation::rewrap, "ciphertext", wrapped);
  }

 private:
  std::string wrapped_by(VaultOperation operation, std::string_view member, std::string_view text) {
    const Secret made = ask(operation, member, text, "ciphertext");
    if (made.empty() || made.reveal().size() > kMaxWrappedKeyBytes) throw not_vault(context_, operation, 200);
    return std::string(made.reveal());
  }

  /// Asks until there is an answer, or asking again is of no use.
  Secret ask(VaultOperation operation, std::string_view member, std::string_view text,
             std::string_view wanted) {
    const Body body(member, text);
    const Secret token = find_token();
    const MonotonicTime deadline = clock_->monotonic() + config_.timeout;
    for (std::uint32_t attempt = 1;; ++attempt) {
      std::chrono::seconds asked_to_wait{0};
      try {
        net::HttpResponse response = send(operation, body, token, deadline);
        if (response.status >= 200 && response.status < 300) {
          auto found = response.over_limit ? std::nullopt : take_member(response.body, wanted);
          if (!found) throw not_vault(context_, operation, response.status);
          return std::move(*found);
        }
        asked_to_wait = retry_after(response);
        std::vector<std::string_view> hidden = {token.reveal()};
        if (operation == VaultOperation::encrypt) hidden.push_back(text);
        throw refusal(context_, operation, response, hidden);
      } catch (const Error& error) {
        pause_or_throw(error, attempt, asked_to_wait, deadline);
      }
    }
  }

  /// One request, and another one where a standby says who is active.
  net::HttpResponse send(VaultOperation operation, const Body& body, const Secret& token,
                         MonotonicTime deadline) {
    const std::string path =
        "/v1/" + config_.mount + "/" + std::string(to_string(operation)) + "/" + config_.key;
    net::HttpResponse response =
        send_to(address_.origin, address_.path + path, operation, body, token, deadline);
    if (response.status != 307 && response.status != 308) return response;
    return send_to(active_node(response, path), path, operation, body, token, deadline);
  }

  net::HttpResponse send_to(const std::string& origin, const std::string& path, VaultOperation operation,
                            const Body& body, const Secret& token, MonotonicTime deadline) {
    net::HttpRequest request{.method = "POST",
                             .url = origin + path,
                             .headers = {{"Content-Type", "application/json"},
                                         {"X-Vault-Request", "true"},
                                         {"X-Vault-Token", std::string(token.reveal())}},
                             .body = body.view(),
                             .max_body = kMaxVaultAnswerBytes,
                             .deadline = deadline};
    if (!config_.vault_namespace.empty())
      request.headers.emplace_back("X-Vault-Namespace", config_.vault_namespace);
    const auto forget_token = [&] { wipe(request.headers[2].second); };
    try {
      net::HttpResponse response = http_.send(request);
      forget_token();
      return response;
    } catch (const net::HttpError& error) {
      forget_token();
      throw no_answer(operation, error);
    } catch (const Error& error) {
      forget_token();
      if (error.code() != ErrorCode::deadline_exceeded) throw;
      throw Error(
          ErrorCode::unavailable,
          "Vault at " + origin + " gave no answer within " + std::to_string(config_.timeout.count()) + " ms",
          "check that Vault is up, then repeat");
    }
  }

  /// Where a redirect leads: to another node, and nowhere else. The token goes there too.
  [[nodiscard]] std::string active_node(const net::HttpResponse& response, const std::string& path) const {
    std::string_view location = response.header("location");
    if (location.ends_with(path)) {
      location.remove_suffix(path.size());
      try {
        const VaultAddress to = parse_vault_address(location, "the address of Vault's active node");
        if (to.path.empty() && (to.https || !address_.https)) return to.origin;
      } catch (const Error&) {
        // Whatever it is, it is not followed.
      }
    }
    throw Error(
        ErrorCode::invalid_argument,
        "Vault at " + context_.origin + " is a standby that names no active node which could be asked safely",
        "give the address of the active node, and set api_addr of Vault's nodes to https addresses");
  }

  void pause_or_throw(const Error& error, std::uint32_t attempt, std::chrono::seconds asked_to_wait,
                      MonotonicTime deadline) {
    const auto give_up = [&] {
      const std::string times = attempt == 1 ? "" : " (tried " + std::to_string(attempt) + " times)";
      throw Error(error.code(), error.problem() + times, error.advice());
    };
    if (error.code() != ErrorCode::unavailable || attempt >= config_.max_attempts) give_up();
    const MonotonicTime pause = draw_pause(attempt, asked_to_wait);
    if (deadline - clock_->monotonic() <= pause) give_up();
    clock_->sleep_for(pause);
  }

  /// Drawn between nothing and a bound that doubles, so that nodes which failed together do not come back
  /// together.
  MonotonicTime draw_pause(std::uint32_t attempt, std::chrono::seconds asked_to_wait) {
    const MonotonicTime longest = config_.retry_max_delay;
    const MonotonicTime bound =
        std::min(longest, MonotonicTime{config_.retry_base_delay} *
                              (std::int64_t{1} << std::min(attempt - 1, kMaxDoublings)));
    const auto drawn =
        static_cast<std::int64_t>(random_->next_u64() % (static_cast<std::uint64_t>(bound.count()) + 1));
    return std::min(longest, std::max(MonotonicTime{drawn}, MonotonicTime{asked_to_wait}));
  }

  [[nodiscard]] Secret find_token() const {
    if (config_.token_file.empty())
      return checked_token(config_.token.reveal(), "the setting of Vault's token");
    const std::string source = "the file of Vault's token " + config_.token_file.string();
    const FileDescriptor file = crypto::open_private_file(config_.token_file.string(), source);
    crypto::WipedArray<kMaxTokenFileBytes> buffer;
    const std::ptrdiff_t size = crypto::read_up_to(file.get(), buffer);
    if (size < 0) crypto::throw_file_error(errno, "cannot read " + source);
    return checked_token(as_text(ByteView(buffer).first(static_cast<std::size_t>(size))), source);
  }

  const VaultConfig config_;
  const VaultAddress address_;
  const VaultContext context_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  net::HttpClient http_;
};

}  // namespace
}  // namespace keyservice

std::shared_ptr<KeyService> make_vault_key_service(VaultConfig config, std::shared_ptr<Clock> clock,
                                                   std::shared_ptr<RandomSource> random) {
  keyservice::check_vault_config(config);
  return std::make_shared<keyservice::VaultKeyService>(std::move(config), std::move(clock),
                                                       std::move(random));
}

}  // namespace db4
