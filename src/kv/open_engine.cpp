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
      return open_postgres_engine(options);
  }
  throw Error(ErrorCode::unsupported, "this build has no engine of that type",
              "choose memory, sqlite, rocksdb or postgres as the hot tier's type");
}

}  // namespace db4::kv
