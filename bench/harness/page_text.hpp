#pragma once
// What the page, the Markdown and the summary say alike.

#include "harness/report.hpp"

#include <functional>
#include <string>
#include <vector>

namespace db4::bench {

/// One row of the joined JSON, in words.
struct RowText {
  std::string what;  ///< with what of ours was measured, where that is not plain db4
  std::string peer;  ///< empty: none
  std::string unit;
  std::string ours;
  std::string peers;
  std::string ratio;
  std::string cpu_ratio;  ///< by processor time; empty
  std::string spread;     ///< of the ratio, or of the figure where there is no ratio
  std::string aim;        ///< "1.5 times RocksDB"; empty
  bool met = true;
  double ratio_value = 0;  ///< 0: none
};

RowText describe_row(const nlohmann::ordered_json& row);

/// "2 cores of X, 24 GB, Linux 6.1; g++ 12.2.0, RelWithDebInfo; load 1.2 before and 3.4 after".
std::string describe_machine(const nlohmann::ordered_json& results);

/// Every row of every program that has an aim.
std::vector<RowText> rows_with_aims(const nlohmann::ordered_json& results);

/// Calls `visit` with every skipped peer once.
void for_each_skipped(const nlohmann::ordered_json& results,
                      const std::function<void(const std::string& peer, const std::string& reason)>& visit);

}  // namespace db4::bench
