#pragma once
// `db4 report`: a store's figures as one page for a browser.

#include "report_data.hpp"

#include <filesystem>
#include <string>

namespace db4::cli {

struct ReportRequest {
  std::filesystem::path output = "report.html";  ///< "-": standard output
  std::string name = {};                         ///< of the store, for people
  TieredStoreConfig config = {};                 ///< its settings
  bool json = false;
};

/// Asks the store, writes the page and says so. Throws what `ask` throws; permission_denied where the page
/// cannot be written.
int run_report(const ReportRequest& request, const Ask& ask);

/// Writes the page alone; returns its size in bytes.
std::size_t write_report(const ReportRequest& request, const ReportData& data);

/// What a store in this folder is called in its report: the folder's own name.
std::string report_name(const std::filesystem::path& folder);

}  // namespace db4::cli
