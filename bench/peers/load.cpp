#include "peers/load.hpp"

#include "harness/workload.hpp"

#include <stdexcept>

namespace db4::bench {

std::unique_ptr<Peer> open_peer(const PeerType& type, const PeerOptions& options, Report& report) {
  if (type.open == nullptr) {
    report.skip(type.name, type.absence);
    return nullptr;
  }
  try {
    return type.open(options);
  } catch (const std::runtime_error& error) {
    report.skip(type.name, error.what());
    return nullptr;
  }
}

void load(Peer& peer, const std::vector<std::string>& ids) {
  const Bodies bodies;
  std::vector<BatchItem> batch;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    batch.push_back({.id = ids[i], .body = std::string(bodies.at(i)), .content_type = "text/plain"});
    if (batch.size() < kBatch && i + 1 < ids.size()) continue;
    peer.put_batch(batch);
    batch.clear();
  }
}

std::string thread_count(unsigned threads) {
  return std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

}  // namespace db4::bench
