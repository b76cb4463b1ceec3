#include "harness/report.hpp"

#include "harness/page_text.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace db4::bench {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Figure& figure) {
  return {{"median", figure.median}, {"lowest", figure.lowest}, {"highest", figure.highest}};
}

constexpr const char* kColumns = "  %-34s %-32s %11s %11s %6s %7s  %s%s\n";

const char* name_of(Size size) {
  return size == Size::full ? "full" : size == Size::quick ? "quick" : "tiny";
}

}  // namespace

std::string format_figure(double value) {
  char buffer[64];
  const double magnitude = std::abs(value);
  const int digits = magnitude >= 100 || magnitude == 0 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3;
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  std::string text = buffer;
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::size_t first = text[0] == '-' ? 1 : 0;
  for (std::size_t at = point; at > first + 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string format_ratio(double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", value >= 100 ? 0 : value >= 10 ? 1 : 2, value);
  return buffer;
}

Report::Report(std::string program, const Options& options)
    : path_(options.json()), start_(std::chrono::steady_clock::now()) {
  json_ = {{"format", kJsonFormat},      {"program", std::move(program)}, {"size", name_of(options.size())},
           {"rounds", options.rounds()}, {"sections", Json::array()},     {"skipped", Json::array()}};
}

void Report::section(const std::string& title, const std::string& equal, const std::string& unequal) {
  json_["sections"].push_back(
      {{"title", title}, {"equal", equal}, {"unequal", unequal}, {"rows", Json::array()}});
  std::printf("\n%s\n  equal: %s\n", title.c_str(), equal.c_str());
  if (!unequal.empty()) std::printf("  not equal: %s\n", unequal.c_str());
  std::printf(kColumns, "", "against", "db4", "peer", "ratio", "by CPU", "spread of the ratio", "");
}

void Report::row(const RowHead& head, const Comparison& result) { add(head, result.ours, result); }

void Report::row(const RowHead& head, const Figure& value) { add(head, value, std::nullopt); }

void Report::add(const RowHead& head, const Figure& ours, const std::optional<Comparison>& result) {
  Json row{{"what", head.what},
           {"unit", head.unit},
           {"better", head.better == Better::more ? "more" : "less"},
           {"subject", head.subject},
           {"db4", to_json(ours)},
           {"peer", nullptr},
           {"ratio", nullptr},
           {"cpu_ratio", nullptr},
           {"aim", nullptr}};
  if (result) {
    row["peer"] = to_json(result->peers);
    row["peer"]["name"] = head.peer;
    row["ratio"] = to_json(result->ratio);
    if (head.peer_in_process && result->cpu_ratio.median > 0) row["cpu_ratio"] = to_json(result->cpu_ratio);
  }
  if (head.aim) {
    const bool by_ratio = head.aim->of == Aim::Of::ratio;
    const bool met =
        by_ratio ? result && result->ratio.median >= head.aim->bound : ours.median <= head.aim->bound;
    row["aim"] = {{"text", head.aim->text},
                  {"of", by_ratio ? "ratio" : "value"},
                  {"bound", head.aim->bound},
                  {"met", met}};
  }
  const RowText text = describe_row(row);
  const std::string aim = text.aim.empty() ? "" : "  aim: " + text.aim + (text.met ? ": met" : ": MISSED");
  std::printf(kColumns, text.what.c_str(), text.peer.empty() ? text.unit.c_str() : text.peer.c_str(),
              text.ours.c_str(), text.peers.c_str(), text.ratio.c_str(), text.cpu_ratio.c_str(),
              text.spread.c_str(), aim.c_str());
  std::fflush(stdout);
  if (json_["sections"].empty()) throw std::logic_error("a row before its section");
  json_["sections"].back()["rows"].push_back(std::move(row));
}

void Report::skip(const std::string& peer, const std::string& reason) {
  const Json entry{{"peer", peer}, {"reason", reason}};
  for (const Json& said : json_["skipped"]) {
    if (said == entry) return;
  }
  std::printf("  skipped: %s: %s\n", peer.c_str(), reason.c_str());
  json_["skipped"].push_back(entry);
}

void Report::finish() const {
  if (path_.empty()) return;
  Json out = json_;
  out["seconds"] = elapsed_seconds(start_);
  std::ofstream file(path_);
  file << out.dump(1) << "\n";
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path_.string());
}

int run_program(const char* name, int argc, char** argv, void (*body)(const Options&, Report&)) {
  try {
    const Options options(argc, argv);
    Report report(name, options);
    body(options, report);
    report.finish();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "db4_bench_%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace db4::bench
