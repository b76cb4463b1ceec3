#include "report_command.hpp"

#include "files.hpp"
#include "report_page.hpp"
#include "text.hpp"

#include <iostream>

namespace db4::cli {

std::string report_name(const std::filesystem::path& folder) {
  const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

std::size_t write_report(const ReportRequest& request, const ReportData& data) {
  const std::string page = report_html(data);
  if (request.output == "-") {
    std::cout << page;
  } else {
    write_whole(request.output.string(), page);
  }
  return page.size();
}

int run_report(const ReportRequest& request, const Ask& ask) {
  ReportData data = gather_report(ask);
  data.name = request.name;
  data.config = request.config;
  const std::size_t bytes = write_report(request, data);
  if (request.output == "-") return 0;
  if (request.json) {
    std::cout << nlohmann::json{{"output", request.output.string()},
                                {"bytes", bytes},
                                {"samples", data.samples.size()}}
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << "Wrote " << request.output.string() << " (" << describe_bytes(bytes) << ", "
              << describe_count(data.samples.size(), "sample") << "): open it in a browser\n";
  }
  return 0;
}

}  // namespace db4::cli
