#include "version.hpp"

#include <db4/version.hpp>

#include <nlohmann/json.hpp>

namespace db4::cli {
namespace {

constexpr std::size_t kLabelWidth = 13;

void add_line(std::string& text, std::string label, const std::string& value) {
  label.resize(kLabelWidth, ' ');
  text += "\n  " + label + value;
}

template <class Kind>
std::vector<std::string> names(const std::vector<Kind>& kinds) {
  std::vector<std::string> out;
  out.reserve(kinds.size());
  for (const Kind kind : kinds) out.emplace_back(to_string(kind));
  return out;
}

template <class Kind>
std::string listed(const std::vector<Kind>& kinds) {
  std::string out;
  for (const std::string& name : names(kinds)) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string described(const LibraryVersion& library) {
  std::string out = library.running.empty() ? library.compiled : library.running;
  if (out != library.compiled) out += ", built with " + library.compiled;
  return out + ", " + library.purpose;
}

std::string for_people(const BuildInfo& info) {
  std::string text = "db4 " + info.version;
  add_line(text, "build",
           (info.build_type.empty() ? "no build type" : info.build_type) + ", " + info.compiler + ", " +
               (info.shared ? "shared" : "static") + " library");
  add_line(text, "sanitizers", info.sanitizers.empty() ? "none" : info.sanitizers);
  add_line(text, "hot", listed(info.hot_types));
  add_line(text, "warm", listed(info.warm_types));
  add_line(text, "cold", listed(info.cold_types));
  add_line(text, "compression", listed(info.compressions));
  for (const LibraryVersion& library : info.libraries) add_line(text, library.name, described(library));
  add_line(text, "crc32c", info.crc32c_hardware ? "by the processor" : "by tables");
  return text;
}

std::string for_programs(const BuildInfo& info) {
  nlohmann::ordered_json libraries = nlohmann::ordered_json::array();
  for (const LibraryVersion& library : info.libraries) {
    libraries.push_back({{"name", library.name},
                         {"compiled", library.compiled},
                         {"running", library.running},
                         {"purpose", library.purpose}});
  }
  return nlohmann::ordered_json{{"version", info.version},
                                {"compiler", info.compiler},
                                {"build_type", info.build_type},
                                {"shared", info.shared},
                                {"sanitizers", info.sanitizers},
                                {"hot_types", names(info.hot_types)},
                                {"warm_types", names(info.warm_types)},
                                {"cold_types", names(info.cold_types)},
                                {"compressions", names(info.compressions)},
                                {"libraries", std::move(libraries)},
                                {"crc32c_hardware", info.crc32c_hardware}}
      .dump();
}

}  // namespace

std::string version_text(bool json) {
  const BuildInfo info = build_info();
  return json ? for_programs(info) : for_people(info);
}

}  // namespace db4::cli
