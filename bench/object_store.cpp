// Object stores over the network: the HTTP client against libcurl used directly, at a server that costs next
// to nothing; then the S3 object store against libcurl, rclone and aws at a real one, which
// DB4_TEST_S3_ENDPOINT and the like name (tests/support/servers/ceph.sh prints them).
#include "base/hash.hpp"
#include "harness/report.hpp"
#include "net/http_client.hpp"
#include "peers/loopback_sink.hpp"
#include "peers/raw_curl.hpp"

#include <db4/multipart.hpp>
#include <db4/storage.hpp>

#include <cstdlib>
#include <fstream>
#include <random>
#include <stdexcept>

namespace db4::bench {
namespace {

using namespace db4::literals;

constexpr std::uint64_t kBody = 8_MiB;
constexpr double kShare = 0.9;  ///< of what libcurl alone reaches

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

std::string random_bytes(std::size_t size) {
  std::string out(size, '\0');
  std::mt19937_64 random(17);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const std::uint64_t bits = random();
    std::memcpy(out.data() + i, &bits, 8);
  }
  return out;
}

std::string connections(unsigned count) {
  return std::to_string(count) + (count == 1 ? " connection" : " connections");
}

Aim at_least(double bound, const std::string& text) {
  return {.of = Aim::Of::ratio, .bound = bound, .text = text};
}

/// One for each thread.
class Curls {
 public:
  explicit Curls(unsigned threads) : all_(threads) {}
  RawCurl& of(unsigned thread) { return all_.at(thread); }

 private:
  std::vector<RawCurl> all_;
};

void at_the_sink(const Options& options, Report& report) {
  report.section("HTTP, 8 MiB bodies, at a server that forgets them",
                 "the same server in this process, kept connections, a thread each; bodies in memory",
                 "db4 can be stopped at any moment, and bounds answers, time and stalls");
  const LoopbackSink sink;
  const std::string body = random_bytes(kBody);
  for (const unsigned threads : {1U, 4U}) {
    net::HttpClient client({.max_connections = threads}, system_clock());
    Curls curls(threads);
    const std::string put_url = sink.endpoint() + "/put";
    report.row({.what = "upload, " + connections(threads),
                .unit = "bodies/s",
                .peer = "libcurl",
                .aim = at_least(kShare, "0.9 of libcurl")},
               alternate_rates(
                   options.rounds(), options.slice_seconds(), threads,
                   [&](unsigned, std::size_t) -> std::uint64_t {
                     const auto response =
                         client.send({.method = "PUT", .url = put_url, .body = as_bytes(body)});
                     return static_cast<std::uint64_t>(response.status);
                   },
                   [&](unsigned thread, std::size_t) -> std::uint64_t {
                     curls.of(thread).put(put_url, body);
                     return 1;
                   }));
    const std::string get_url = sink.endpoint() + "/" + std::to_string(kBody);
    report.row(
        {.what = "download, " + connections(threads),
         .unit = "bodies/s",
         .peer = "libcurl",
         .aim = at_least(kShare, "0.9 of libcurl")},
        alternate_rates(
            options.rounds(), options.slice_seconds(), threads,
            [&](unsigned, std::size_t) -> std::uint64_t {
              return client.send({.method = "GET", .url = get_url, .max_body = kBody}).body.size();
            },
            [&](unsigned thread, std::size_t) -> std::uint64_t { return curls.of(thread).get(get_url); }));
  }
}

/// The server that the environment names.
struct Server {
  S3Config config{.bucket = variable("DB4_TEST_S3_BUCKET"),
                  .endpoint = variable("DB4_TEST_S3_ENDPOINT"),
                  .region = variable("DB4_TEST_S3_REGION"),
                  .access_key = variable("DB4_TEST_S3_ACCESS_KEY"),
                  .secret_key = Secret(variable("DB4_TEST_S3_SECRET_KEY"))};
};

/// Requests as db4 sends them, signed in the same way, over libcurl used directly.
class SignedCurl {
 public:
  SignedCurl(const S3Config& config, unsigned threads)
      : config_(config),
        signer_(config.access_key, config.secret_key, config.region, "s3"),
        curls_(threads) {}

  void put(unsigned thread, const std::string& name, std::string_view body) {
    const std::string path = "/" + config_.bucket + "/" + name;
    curls_.of(thread).put(config_.endpoint + path, body,
                          headers("PUT", path, to_hex(sha256(as_bytes(body)))));
  }
  std::size_t get(unsigned thread, const std::string& name, const std::string& range = {}) {
    const std::string path = "/" + config_.bucket + "/" + name;
    auto signed_headers = headers("GET", path, to_hex(sha256({})));
    if (!range.empty()) signed_headers.emplace_back("Range", range);
    return curls_.of(thread).get(config_.endpoint + path, signed_headers);
  }

 private:
  std::vector<net::Header> headers(std::string_view method, const std::string& path,
                                   const std::string& hash) {
    const std::string date = net::amz_date(system_clock()->now());
    std::vector<net::Header> out = {{"Host", config_.endpoint.substr(config_.endpoint.find("://") + 3)},
                                    {"x-amz-date", date},
                                    {"x-amz-content-sha256", hash}};
    std::string authorization = signer_.authorization({method, path, "", out, hash}, date);
    out.emplace_back("Authorization", std::move(authorization));
    return out;
  }

  S3Config config_;
  net::SigV4Signer signer_;
  Curls curls_;
};

void whole_bodies(const Options& options, Report& report, const Server& server) {
  report.section("S3, 8 MiB bodies, at the server named in the environment",
                 "the same server, names, signatures; kept connections, a thread each; bodies in memory",
                 "db4 computes the MD5 of what it sends, and compares it with the etag");
  const std::string body = random_bytes(kBody);
  const double slice = options.pick(0.2, 1.0, 2.0);
  for (const unsigned threads : {1U, 4U}) {
    const auto store = make_s3_object_store(server.config);
    SignedCurl curl(server.config, threads);
    const auto name = [](unsigned thread) { return "bench/body-" + std::to_string(thread); };
    report.row({.what = "put, " + connections(threads),
                .unit = "bodies/s",
                .peer = "libcurl",
                .aim = at_least(kShare, "0.9 of libcurl")},
               alternate_rates(
                   options.rounds(), slice, threads,
                   [&](unsigned thread, std::size_t) -> std::uint64_t {
                     return store->put(name(thread), as_bytes(body)).verified ? 1 : 0;
                   },
                   [&](unsigned thread, std::size_t) -> std::uint64_t {
                     curl.put(thread, name(thread), body);
                     return 1;
                   }));
    report.row(
        {.what = "get, " + connections(threads),
         .unit = "bodies/s",
         .peer = "libcurl",
         .aim = at_least(kShare, "0.9 of libcurl")},
        alternate_rates(
            options.rounds(), slice, threads,
            [&](unsigned thread, std::size_t) -> std::uint64_t {
              return store->get(name(thread), kBody).value().size();
            },
            [&](unsigned thread, std::size_t) -> std::uint64_t { return curl.get(thread, name(thread)); }));
  }
}

/// A cold read of a store: one ranged get, found by a row, checked and unpacked.
void cold_reads(const Options& options, Report& report, const Server& server,
                const std::filesystem::path& dir) {
  report.section("Cold reads, documents of 64 KiB in segments, at the same server",
                 "ranges of the same size from the same objects, one connection, one thread",
                 "db4 looks up the row, checks and unpacks the record");
  TieredStoreConfig config{.hot = {.path = dir / "hot", .cache_size = 0, .durability = Durability::process},
                           .warm = {.max_size = 0},
                           .cold = {.type = ColdType::s3,
                                    .prefix = "bench/cold/",
                                    .compression = Compression::none,
                                    .bucket = server.config.bucket,
                                    .endpoint = server.config.endpoint,
                                    .region = server.config.region,
                                    .access_key = server.config.access_key,
                                    .secret_key = server.config.secret_key},
                           .tiering = {.interval = 0ms}};
  const auto clock = std::make_shared<SimulatedClock>(system_clock()->now());
  config.cold.request_timeout = 0ms;
  TieredStore store(config, {.clock = clock});
  const std::size_t documents = options.pick<std::size_t>(20, 100, 400);
  const std::string body = random_bytes(64_KiB);
  for (std::size_t i = 0; i < documents; ++i) store.write_bytes("docs", std::to_string(i), as_bytes(body));
  clock->advance(48h);
  store.run_tiering({.max_operations = documents});
  const ObjectPage page = make_s3_object_store(server.config)->list("bench/cold/", "", 1000);
  const ObjectInfo& segment = page.objects.at(0);
  SignedCurl curl(server.config, 1);
  report.row({.what = "cold read, 64 KiB",
              .unit = "reads/s",
              .peer = "raw ranged gets",
              .aim = at_least(1 / 1.1, "1.1 times the ranged get")},
             alternate_rates(
                 options.rounds(), options.pick(0.2, 0.5, 1.0), 1,
                 [&](unsigned, std::size_t i) -> std::uint64_t {
                   const auto document =
                       store.read("docs", std::to_string(i % documents), {.promote = false});
                   return document.value().bytes().size();
                 },
                 [&](unsigned, std::size_t i) -> std::uint64_t {
                   const std::uint64_t begin = (i * 70'001) % (segment.size - 66'000);
                   return curl.get(0, segment.name,
                                   "bytes=" + std::to_string(begin) + "-" + std::to_string(begin + 65'700));
                 }));
  store.close();
}

/// Runs a program of somebody else's, without what the environment says of AWS; whether it worked.
bool run_client(const std::string& command) {
  const std::string line =
      "env -u AWS_CA_BUNDLE -u AWS_PROFILE -u AWS_SESSION_TOKEN -u AWS_ENDPOINT_URL -u AWS_ENDPOINT_URL_S3 " +
      command + " >/dev/null 2>&1";
  return std::system(line.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

bool there(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null && " +
                      program +  // NOLINT(concurrency-mt-unsafe)
                      " --version >/dev/null 2>&1")
                         .c_str()) == 0;
}

struct Client {
  std::string name;
  std::string up;  ///< copies the file
};

/// As they are told to use four connections and parts of 8 MiB.
std::vector<Client> clients(const Server& server, const std::filesystem::path& dir) {
  const S3Config& config = server.config;
  const std::string object = config.bucket + "/bench/file";
  const std::string file = "'" + (dir / "file").string() + "'";
  const std::string rclone =
      "RCLONE_CONFIG=/dev/null RCLONE_S3_PROVIDER=Other RCLONE_S3_ENDPOINT=" + config.endpoint +
      " RCLONE_S3_REGION=" + config.region + " RCLONE_S3_ACCESS_KEY_ID=" + config.access_key +
      " RCLONE_S3_SECRET_ACCESS_KEY=" + std::string(config.secret_key.reveal()) +
      " RCLONE_S3_UPLOAD_CUTOFF=8M RCLONE_S3_CHUNK_SIZE=8M RCLONE_S3_UPLOAD_CONCURRENCY=4"
      " RCLONE_S3_NO_CHECK_BUCKET=true rclone --multi-thread-streams 4 --multi-thread-cutoff 8M -I copyto ";
  const std::filesystem::path aws_config = dir / "aws";
  std::ofstream(aws_config)
      << "[default]\ns3 =\n  max_concurrent_requests = 4\n  multipart_chunksize = 8MB\n";
  const std::string aws = "AWS_CONFIG_FILE='" + aws_config.string() +
                          "' AWS_DEFAULT_REGION=" + config.region +
                          " AWS_ACCESS_KEY_ID=" + config.access_key +
                          " AWS_SECRET_ACCESS_KEY=" + std::string(config.secret_key.reveal()) +
                          " aws --endpoint-url " + config.endpoint + " s3 cp --only-show-errors ";
  return {{"rclone", rclone + file + " :s3:" + object}, {"aws", aws + file + " s3://" + object}};
}

void against_clients(const Options& options, Report& report, const Server& server,
                     const std::filesystem::path& dir) {
  report.section(
      "A file in parts of 8 MiB over four connections, at the same server",
      "the same file, server and parts; written to and read from the same folder",
      "the others are programs, whose start counts; db4 verifies each part and remembers the session");
  const std::size_t size = options.pick<std::size_t>(16_MiB, 64_MiB, 256_MiB);
  std::ofstream(dir / "file", std::ios::binary) << random_bytes(size);
  const auto store = make_s3_object_store(server.config);
  MultipartUploader uploader(store, std::make_shared<InMemorySessionStore>());
  const int rounds = options.pick(1, 2, 5);
  for (const Client& client : clients(server, dir)) {
    if (!there(client.name)) {
      report.skip(client.name, "it is not installed, or does not run");
      continue;
    }
    if (!run_client(client.up)) {
      report.skip(client.name, "it fails at this server");
      continue;
    }
    const auto upload = [&](int) {
      return time_milliseconds([&] {
        uploader.upload("bench/file", ByteSource::file(dir / "file"), {.part_size = 8_MiB, .concurrency = 4});
      });
    };
    report.row({.what = "upload",
                .unit = "ms",
                .better = Better::less,
                .peer = client.name,
                .peer_in_process = false,
                .aim = at_least(1, "no slower than " + client.name)},
               alternate(rounds, Better::less, upload, [&](int) {
                 return time_milliseconds([&] {
                   if (!run_client(client.up)) throw std::runtime_error(client.name + " failed");
                 });
               }));
  }
}

void run(const Options& options, Report& report) {
  at_the_sink(options, report);
  const Server server;
  if (server.config.endpoint.empty()) {
    report.skip("an S3 server", "DB4_TEST_S3_ENDPOINT names none");
    return;
  }
  const Folder folder(options.dir());
  whole_bodies(options, report, server);
  cold_reads(options, report, server, folder.path());
  against_clients(options, report, server, folder.path());
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) {
  return db4::bench::run_program("object_store", argc, argv, db4::bench::run);
}
