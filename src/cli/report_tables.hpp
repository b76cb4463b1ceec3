#pragma once
// The tables of a report: the exact figures.

#include "report_charts.hpp"
#include "report_data.hpp"

#include <optional>
#include <string>

namespace db4::cli {

/// A month's bill at what is kept now.
struct Bill {
  double hot_storage = 0;
  double cold_storage = 0;
  std::optional<double> requests = {};  ///< at the rate of the samples; none where they cover less than a day
  double all_hot = 0;
  [[nodiscard]] double total() const { return hot_storage + cold_storage + requests.value_or(0); }
};

Bill bill_of(const ReportData& data, const Totals& totals);

/// Rows beyond these are counted, not listed.
inline constexpr std::size_t kListedCollections = 40;
inline constexpr std::size_t kListedDocuments = 10;

std::string stored_table(const ReportData& data);
/// Of the samples; of this process so far where there are none.
std::string reads_table(const ReportData& data, const Totals& totals);
std::string moves_table(const Totals& totals);
std::string bill_table(const ReportData& data, const Bill& bill);
std::string collections_table(const ReportData& data, const Timeline& timeline);
std::string busiest_table(const ReportData& data);
/// Of an encrypted store.
std::string encryption_table(const EncryptionStatus& encryption);
std::string settings_table(const TieredStoreConfig& config);

}  // namespace db4::cli
