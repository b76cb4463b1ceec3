#pragma once
// What programs do with peers again and again.

#include "harness/report.hpp"
#include "peers/peer.hpp"

#include <string>
#include <vector>

namespace db4::bench {

inline constexpr std::size_t kBatch = 1000;

/// Opens the peer, or says in the report why not and gives null.
std::unique_ptr<Peer> open_peer(const PeerType& type, const PeerOptions& options, Report& report);

/// Puts a body of Bodies for each id, in batches of kBatch.
void load(Peer& peer, const std::vector<std::string>& ids);

/// "1 thread", "8 threads".
std::string thread_count(unsigned threads);

}  // namespace db4::bench
