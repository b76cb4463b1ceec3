#pragma once
// The warm cache on disk, over any engine.

#include "kv/engine.hpp"

#include <db4/warm_cache.hpp>

namespace db4::warm {

using EngineOpener = std::function<std::unique_ptr<kv::Engine>(const kv::EngineOptions&)>;

/// What is put into it.
enum class WarmContent { plain, sealed };

/// make_disk_warm_cache over the engine that `open` opens.
std::shared_ptr<WarmCache> make_engine_warm_cache(const std::filesystem::path& path, std::uint64_t max_bytes,
                                                  EngineOpener open,
                                                  WarmContent content = WarmContent::plain);

}  // namespace db4::warm
