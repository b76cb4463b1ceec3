#include "harness/page_text.hpp"

#include "harness/page.hpp"

#include <cstdio>
#include <set>

namespace db4::bench {

using Json = nlohmann::ordered_json;

RowText describe_row(const Json& row) {
  RowText text;
  const std::string subject = row.at("subject");
  text.what = row.at("what").get<std::string>() + (subject == "db4" ? "" : " (" + subject + ")");
  text.unit = row.at("unit");
  text.ours = format_figure(row.at("db4").at("median"));
  const auto spread = [](const Json& figure, std::string (*format)(double)) {
    return format(figure.at("lowest")) + " to " + format(figure.at("highest"));
  };
  if (const Json& peer = row.at("peer"); !peer.is_null()) {
    text.peer = peer.at("name");
    text.peers = format_figure(peer.at("median"));
    text.ratio_value = row.at("ratio").at("median");
    text.ratio = format_ratio(text.ratio_value);
    text.spread = spread(row.at("ratio"), format_ratio);
    if (const Json& cpu = row.at("cpu_ratio"); !cpu.is_null())
      text.cpu_ratio = format_ratio(cpu.at("median"));
  } else {
    text.spread = spread(row.at("db4"), format_figure);
  }
  if (const Json& aim = row.at("aim"); !aim.is_null()) {
    text.aim = aim.at("text");
    text.met = aim.at("met");
  }
  return text;
}

std::string describe_machine(const Json& results) {
  const Json& machine = results.at("machine");
  char text[512];
  std::snprintf(text, sizeof text, "%d cores (%s), %.0f GiB, %s; %s, %s; load %.1f at the end; db4 %s, %s",
                machine.at("cores").get<int>(), machine.at("processor").get<std::string>().c_str(),
                machine.at("memory_gib").get<double>(), machine.at("kernel").get<std::string>().c_str(),
                machine.at("compiler").get<std::string>().c_str(),
                machine.at("build").get<std::string>().c_str(), machine.at("load").get<double>(),
                machine.at("db4").get<std::string>().c_str(), machine.at("date").get<std::string>().c_str());
  return text;
}

std::vector<RowText> rows_with_aims(const Json& results) {
  std::vector<RowText> out;
  for (const Json& program : results.at("programs")) {
    for (const Json& section : program.at("sections")) {
      for (const Json& row : section.at("rows")) {
        if (!row.at("aim").is_null()) out.push_back(describe_row(row));
      }
    }
  }
  return out;
}

void for_each_skipped(const Json& results,
                      const std::function<void(const std::string&, const std::string&)>& visit) {
  std::set<std::pair<std::string, std::string>> said;
  for (const Json& program : results.at("programs")) {
    for (const Json& skipped : program.at("skipped")) {
      const std::string peer = skipped.at("peer");
      const std::string reason = skipped.at("reason");
      if (said.emplace(peer, reason).second) visit(peer, reason);
    }
  }
}

std::string to_summary(const Json& results) {
  std::string out = "Aims\n";
  for (const RowText& row : rows_with_aims(results)) {
    const std::string against = row.peer.empty() ? "" : " against " + row.peer;
    const std::string value =
        row.ratio.empty() ? row.ours + " " + row.unit : row.ratio + " (" + row.spread + ")";
    out += std::string(row.met ? "  met     " : "  MISSED  ") + row.what + against + ": " + value +
           "; aim: " + row.aim + "\n";
  }
  for_each_skipped(results, [&](const std::string& peer, const std::string& reason) {
    out += "  skipped " + peer + ": " + reason + "\n";
  });
  return out;
}

namespace {

std::string cell(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '|') out += '\\';
    out += letter;
  }
  return out.empty() ? " " : out;
}

std::string line(std::initializer_list<std::string> cells) {
  std::string out = "|";
  for (const std::string& text : cells) out += " " + cell(text) + " |";
  return out + "\n";
}

void add_section(std::string& out, const Json& section) {
  out += "### " + section.at("title").get<std::string>() + "\n\n";
  out += "Equal: " + section.at("equal").get<std::string>() + ".";
  const std::string unequal = section.at("unequal");
  if (!unequal.empty()) out += " Not equal: " + unequal + ".";
  out += "\n\n" + line({"", "against", "unit", "db4", "peer", "ratio", "by CPU", "spread"}) +
         "|---|---|---|--:|--:|--:|--:|--:|\n";
  for (const Json& row : section.at("rows")) {
    const RowText text = describe_row(row);
    const std::string ratio = text.ratio.empty() ? "" : "**" + text.ratio + "**";
    out += line({text.what, text.peer, text.unit, text.ours, text.peers, ratio, text.cpu_ratio, text.spread});
  }
  out += "\n";
}

}  // namespace

std::string to_markdown(const Json& results) {
  std::string out = "Measured on " + describe_machine(results) + ".\n\n";
  out += line({"aim", "", "against", "found", "by CPU", "spread", ""}) + "|---|---|---|--:|--:|--:|---|\n";
  for (const RowText& row : rows_with_aims(results)) {
    const std::string found = row.ratio.empty() ? row.ours + " " + row.unit : row.ratio;
    out +=
        line({row.aim, row.what, row.peer, found, row.cpu_ratio, row.spread, row.met ? "met" : "**missed**"});
  }
  out += "\n";
  for (const Json& program : results.at("programs")) {
    for (const Json& section : program.at("sections")) add_section(out, section);
  }
  for_each_skipped(results, [&](const std::string& peer, const std::string& reason) {
    out += "Left out: " + peer + ": " + reason + ".\n";
  });
  return out;
}

}  // namespace db4::bench
