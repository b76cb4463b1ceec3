// What the catalogue keeps of encryption: how many copies each data key has sealed, and how far a
// re-encryption has come.
#include "catalog/catalog.hpp"
#include "catalog/meta.hpp"

namespace db4::catalog {
namespace {

constexpr std::string_view kReencryptionKey = "reencryption";
constexpr std::uint8_t kReencryptionFormat = 1;
constexpr std::uint8_t kClean = 1;
constexpr std::uint8_t kDone = 2;
constexpr std::uint8_t kNoPlain = 4;
constexpr std::uint8_t kCompact = 8;

}  // namespace

std::vector<SealedCopies> Catalog::sealed_copies() const { return read_sealed(*engine_); }
std::uint64_t Catalog::count_sealed_copies(std::uint64_t key) const { return count_sealed(*engine_, key); }

std::optional<Reencryption> Catalog::reencryption() const {
  const auto value = engine_->get(kMeta, kReencryptionKey);
  if (!value) return std::nullopt;
  Reader in(*value);
  const auto format = in.fixed<std::uint8_t>();
  const auto flags = in.fixed<std::uint8_t>();
  Reencryption state{.key = in.fixed<std::uint64_t>()};
  state.after = in.rest();
  // It only says where to begin: what cannot be read is begun anew.
  if (!in.ok() || format != kReencryptionFormat) return std::nullopt;
  state.clean = (flags & kClean) != 0;
  state.done = (flags & kDone) != 0;
  state.no_plain = (flags & kNoPlain) != 0;
  state.compact = (flags & kCompact) != 0;
  return state;
}

void Catalog::set_reencryption(const Reencryption& state) {
  std::string value;
  value.push_back(static_cast<char>(kReencryptionFormat));
  value.push_back(static_cast<char>((state.clean ? kClean : 0) | (state.done ? kDone : 0) |
                                    (state.no_plain ? kNoPlain : 0) | (state.compact ? kCompact : 0)));
  put_fixed(value, state.key);
  value.append(state.after);
  kv::Batch batch;
  batch.put(kMeta, std::string(kReencryptionKey), std::move(value));
  queue_.commit(batch, options_.durability);
}

bool Catalog::plain_arrived() const { return engine_->get(kMeta, kPlainArrivedKey).has_value(); }

void Catalog::forget_plain_arrived() {
  kv::Batch batch;
  batch.erase(kMeta, std::string(kPlainArrivedKey));
  queue_.commit(batch, options_.durability);
}

bool Catalog::commit_keys(kv::Batch& batch) { return queue_.commit(batch, Durability::disk).committed(); }

}  // namespace db4::catalog
