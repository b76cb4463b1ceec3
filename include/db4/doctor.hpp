#pragma once
// What an object store really does, tried out, and how a store's encryption stands: `db4 doctor`.
//
//     for (const auto& finding : db4::examine(config).findings)
//       std::cout << finding.check << ": " << finding.found << "; " << finding.meaning << "\n";

#include <db4/clock.hpp>
#include <db4/object_store.hpp>
#include <db4/random.hpp>
#include <db4/tiered_store.hpp>

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace db4 {

/// How a finding bears on a store of documents.
enum class Soundness : std::uint8_t {
  sound,    ///< as it should be
  noted,    ///< weaker than it could be; db4 does something about it, or does not depend on it
  unsound,  ///< db4 depends on it: do not keep documents there
  skipped,  ///< not tried
};
DB4_API std::string_view to_string(Soundness soundness) noexcept;

/// One thing that was tried.
struct DoctorFinding {
  std::string check = {};  ///< a few words, the same in every report
  Soundness verdict = Soundness::skipped;
  std::string found = {};    ///< what the object store did
  std::string meaning = {};  ///< what db4 does about it, or what to do
};

/// How an object store is examined.
struct DoctorOptions {
  /// Put before every name that is made.
  std::string prefix = {};
  /// Also uploads in parts, which sends some two parts of the least size (10 MiB at S3) up and down.
  bool uploads = true;
  std::stop_token stop = {};
};

/// What came of it.
struct DB4_API DoctorReport {
  std::vector<DoctorFinding> findings = {};
  /// Names of objects that were made and could not be removed.
  std::vector<std::string> left_over = {};

  /// Whether documents are safe there: nothing is unsound.
  [[nodiscard]] bool sound() const noexcept;
};

/// Tries an object store out: some forty small requests under names of their own, `prefix` and then
/// "doctor.<random>/", all of which are removed again, also after a failure. Whatever the store does is a
/// finding; throws cancelled alone. `clock`: whose time is compared with the store's.
DB4_API DoctorReport examine(ObjectStore& store, const DoctorOptions& options = {},
                             const std::shared_ptr<Clock>& clock = system_clock(),
                             const std::shared_ptr<RandomSource>& random = system_random());

/// The same for the cold tier that a configuration names, with cold.prefix before the one of the options, and
/// through the layers that db4 puts over it. The store itself is not opened: another process may hold it.
/// Throws as opening the cold tier does.
DB4_API DoctorReport examine(const TieredStoreConfig& config, const DoctorOptions& options = {},
                             const Components& components = {});

/// What there is to say about the encryption of an open store: keys that are due or needed, documents that
/// are plain or under older keys. No findings of a store that is not encrypted. Changes nothing; any thread.
DB4_API DoctorReport examine_encryption(TieredStore& store);

/// The file that sealing.master_key names, if it names one: who may read it, and whether it lies with the
/// data. It is not read. Throws nothing of its own.
DB4_API DoctorReport examine_master_key(const TieredStoreConfig& config);

}  // namespace db4
