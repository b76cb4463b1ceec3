#include "cold/key_ring_copies.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "cold/object_names.hpp"

#include <db4/error.hpp>
#include <db4/key_store.hpp>

#include <algorithm>
#include <functional>
#include <vector>

namespace db4::cold {
namespace {

constexpr std::size_t kRingDigits = 32;
constexpr std::size_t kGenerationDigits = 16;
constexpr std::size_t kListPage = 100;

std::string name_of(const crypto::RingId& ring, std::uint64_t generation) {
  std::string number;
  put_big_endian(number, generation);
  return std::string(kKeyRingFolder) + to_hex(ring) + "." + to_hex(as_bytes(number));
}

/// Names begin with the ring and end with the generation.
bool is_of_same_ring(std::string_view name, std::string_view other) noexcept {
  return name.size() == other.size() &&
         name.substr(0, name.size() - kGenerationDigits) == other.substr(0, other.size() - kGenerationDigits);
}

std::vector<ObjectInfo> list_copies(ObjectStore& objects, const std::string& folder,
                                    const CallOptions& call) {
  std::vector<ObjectInfo> out;
  const std::string prefix = folder + std::string(kKeyRingFolder);
  for (std::string after;;) {
    const ObjectPage page = objects.list(prefix, after, kListPage, call);
    for (const ObjectInfo& info : page.objects) {
      if (is_key_ring_name(std::string_view(info.name).substr(folder.size()))) out.push_back(info);
    }
    if (!page.more || page.objects.empty()) return out;
    after = page.objects.back().name;
  }
}

}  // namespace

bool is_key_ring_name(std::string_view rest) noexcept {
  if (!rest.starts_with(kKeyRingFolder)) return false;
  rest.remove_prefix(kKeyRingFolder.size());
  return rest.size() == kRingDigits + 1 + kGenerationDigits &&
         is_hex(rest.substr(0, kRingDigits), kRingDigits) && rest[kRingDigits] == '.' &&
         is_hex(rest.substr(kRingDigits + 1), kGenerationDigits);
}

void KeyRingCopies::keep(const std::string& folder, const CallOptions& call) {
  if (owner_ == nullptr || owner_->generation() == kept_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  const crypto::KeyRingOwner::Snapshot ring = owner_->snapshot();
  if (ring.generation == kept_.load(std::memory_order_relaxed)) return;
  // A generation is one ring for ever: putting it twice, from two nodes, is putting the same bytes.
  const std::string name = folder + name_of(owner_->ring_id(), ring.generation);
  for (const ObjectInfo& copy : list_copies(objects_, folder, call)) {
    // A node that knows more was here: what we know is in its copy, and ours would bring back what it took
    // away.
    if (is_of_same_ring(copy.name, name) && copy.name >= name) {
      kept_.store(ring.generation, std::memory_order_release);
      return;
    }
  }
  if (!objects_.put(name, as_bytes(ring.bytes), {.call = call}).verified) {
    const auto arrived = objects_.get(name, kMaxKeyRingBytes, call);
    if (!arrived || as_text(*arrived) != ring.bytes) {
      throw Error(ErrorCode::unavailable, "the object store did not give back the copy of the key ring",
                  "check the cold tier's disk or provider; documents stay where they were");
    }
  }
  kept_.store(ring.generation, std::memory_order_release);
  left_beside_ = name;
  try {
    remove_older(folder, name, call);
    left_beside_.clear();
  } catch (const Error&) {
    // The ring is there, which is what writers wait for.
  }
}

void KeyRingCopies::clean_up(const std::string& folder, const CallOptions& call) {
  const std::lock_guard lock(mutex_);
  if (left_beside_.empty()) return;
  remove_older(folder, left_beside_, call);
  left_beside_.clear();
}

void KeyRingCopies::remove_older(const std::string& folder, const std::string& kept,
                                 const CallOptions& call) {
  std::vector<std::string> older;
  for (const ObjectInfo& copy : list_copies(objects_, folder, call)) {
    if (copy.name < kept && is_of_same_ring(copy.name, kept)) older.push_back(copy.name);
  }
  if (older.empty()) return;
  const std::vector<RemoveFailure> failures = objects_.remove_many(older, call);
  if (failures.empty()) return;
  throw Error(ErrorCode::unavailable,
              "an older copy of the key ring could not be deleted: " + failures.front().message,
              "it is tried again; keys that were destroyed are in it until then");
}

std::vector<std::string> find_key_rings(ObjectStore& objects, const std::string& folder,
                                        const CallOptions& call) {
  std::vector<ObjectInfo> copies = list_copies(objects, folder, call);
  // There is one of a ring, or two where a process died between putting one and deleting the other.
  std::ranges::sort(copies, std::ranges::greater{}, &ObjectInfo::name);
  copies.erase(
      std::unique(copies.begin(), copies.end(),
                  [](const ObjectInfo& a, const ObjectInfo& b) { return is_of_same_ring(a.name, b.name); }),
      copies.end());
  std::ranges::stable_sort(copies, std::ranges::greater{}, &ObjectInfo::modified);
  std::vector<std::string> out;
  for (const ObjectInfo& copy : copies) {
    if (const auto bytes = objects.get(copy.name, kMaxKeyRingBytes, call)) out.emplace_back(as_text(*bytes));
  }
  return out;
}

}  // namespace db4::cold
