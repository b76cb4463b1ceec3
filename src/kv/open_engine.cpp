#include "kv/engine.hpp"

namespace db4::kv {

std::unique_ptr<Engine> open_engine(HotType type, const EngineOptions& options) {
  switch (type) {
    case HotType::memory:
      return open_memory_engine(options);
    case HotType::sqlite:
      return open_sqlite_engine(options);
    case HotType::rocksdb:
      return open_rocksdb_engine(options);
    case HotType::postgres:
      break;
  }
  throw Error(ErrorCode::unsupported, "this build has no engine for PostgreSQL",
              "choose memory, sqlite or rocksdb as the hot tier's type");
}

}  // namespace db4::kv
