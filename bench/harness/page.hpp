#pragma once
// The results for people: one HTML page, and tables in Markdown. Both are made of the joined JSON alone.

#include <nlohmann/json.hpp>

#include <string>

namespace db4::bench {

/// One self-contained page: no script, no network, light or dark as the reader's device is, narrow or wide.
std::string to_html(const nlohmann::ordered_json& results);

/// The machine, the aims, and every table, for docs/benchmarks.md.
std::string to_markdown(const nlohmann::ordered_json& results);

/// The aims for a terminal, and what was left out.
std::string to_summary(const nlohmann::ordered_json& results);

}  // namespace db4::bench
