#pragma once
// The report as one HTML page that needs nothing else: no network, no script, no file beside it.

#include "report_data.hpp"

#include <string>

namespace db4::cli {

/// Pure. Names in the data may be anything. Some 300 KiB at most, however much there is to tell: see
/// docs/report.md for what is left out then.
std::string report_html(const ReportData& data);

}  // namespace db4::cli
