#pragma once
// What a report shows, asked of a store in the operations of <db4/operations.hpp>: of one that this process
// holds, or of another's through its live socket.

#include <db4/config.hpp>
#include <db4/operations.hpp>
#include <db4/reencryption.hpp>
#include <db4/stats.hpp>
#include <db4/tiered_store.hpp>

#include <functional>
#include <string>
#include <vector>

namespace db4::cli {

/// Asks an operation: run_operation on a store, or LiveClient::run.
using Ask = std::function<OperationReply(std::string_view)>;

struct ReportData {
  std::string name = {};  ///< of the store, for people
  TimePoint at{};         ///< when it was asked, by the store's clock
  std::string store_id = {};
  std::string backends = {};  ///< "rocksdb, disk and filesystem"
  StoreStats stats = {};      ///< tiers, moves and cost alone
  EncryptionStatus encryption = {};
  std::vector<CollectionInfo> collections = {};  ///< largest first
  std::vector<StatsSample> samples = {};         ///< oldest first
  std::vector<BusyDocument> busiest = {};
  TieredStoreConfig config = {};  ///< the settings the report names
};

/// Asks for all of it but name and config. Throws what `ask` throws; unsupported for a reply it does not
/// understand.
ReportData gather_report(const Ask& ask);

}  // namespace db4::cli
