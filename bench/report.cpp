// Joins what the benchmarks wrote, prints the aims, and writes the results for programs and for people.
//
//     db4_bench_report [--json FILE] [--html FILE] [--markdown FILE] RESULTS.json...
#include "harness/report.hpp"

#include "harness/page.hpp"

#include <db4/version.hpp>

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <stdexcept>
#include <thread>

namespace db4::bench {
namespace {

using Json = nlohmann::ordered_json;

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

Json describe_this_machine() {
  struct sysinfo memory {};
  sysinfo(&memory);
  utsname kernel{};
  uname(&kernel);
  const std::string release = kernel.release;
  double load = 0;
  if (getloadavg(&load, 1) != 1) load = 0;
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%d", &utc);
  const BuildInfo build = build_info();
  Json libraries = Json::object();
  for (const LibraryVersion& library : build.libraries) libraries[library.name] = library.compiled;
  return {{"cores", std::thread::hardware_concurrency()},
          {"processor", processor_name()},
          {"memory_gib", static_cast<double>(memory.totalram) * memory.mem_unit / (1ULL << 30)},
          {"kernel",
           std::string(kernel.sysname) + " " + release.substr(0, release.find('.', release.find('.') + 1))},
          {"load", load},
          {"date", date},
          {"db4", build.version},
          {"compiler", build.compiler},
          {"build", build.build_type},
          {"libraries", libraries}};
}

Json read_results(const std::string& path) {
  std::ifstream file(path);
  Json results = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!results.is_object() || results.value("format", 0) != kJsonFormat) {
    throw std::runtime_error(path + " holds no results of these benchmarks");
  }
  return results;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

int run(int argc, char** argv) {
  std::map<std::string, std::string> outputs;
  Json joined{{"format", kJsonFormat},
              {"size", ""},
              {"seconds", 0.0},
              {"machine", describe_this_machine()},
              {"programs", Json::array()}};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json" || word == "--html" || word == "--markdown") {
      if (++i == argc) throw std::runtime_error(word + " needs a file");
      outputs[word] = argv[i];
      continue;
    }
    Json results = read_results(word);
    joined["size"] = results.at("size");
    joined["seconds"] = joined["seconds"].get<double>() + results.at("seconds").get<double>();
    joined["programs"].push_back(std::move(results));
  }
  std::printf("%s", to_summary(joined).c_str());
  for (const auto& [kind, path] : outputs) {
    write(path, kind == "--json"   ? joined.dump(1) + "\n"
                : kind == "--html" ? to_html(joined)
                                   : to_markdown(joined));
  }
  return 0;
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) {
  try {
    return db4::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "db4_bench_report: %s\n", error.what());
    return 1;
  }
}
