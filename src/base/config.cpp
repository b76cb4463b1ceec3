#include <db4/config.hpp>

namespace db4 {

std::string_view to_string(HotType type) noexcept {
  switch (type) {
    case HotType::memory:
      return "memory";
    case HotType::sqlite:
      return "sqlite";
    case HotType::rocksdb:
      return "rocksdb";
    case HotType::postgres:
      return "postgres";
  }
  return "unknown";
}

std::string_view to_string(WarmType type) noexcept {
  switch (type) {
    case WarmType::memory:
      return "memory";
    case WarmType::disk:
      return "disk";
    case WarmType::redis:
      return "redis";
  }
  return "unknown";
}

std::string_view to_string(ColdType type) noexcept {
  switch (type) {
    case ColdType::memory:
      return "memory";
    case ColdType::filesystem:
      return "filesystem";
    case ColdType::s3:
      return "s3";
  }
  return "unknown";
}

std::string_view to_string(S3Addressing addressing) noexcept {
  switch (addressing) {
    case S3Addressing::automatic:
      return "automatic";
    case S3Addressing::path:
      return "path";
    case S3Addressing::virtual_host:
      return "virtual_host";
  }
  return "unknown";
}

std::string_view to_string(Compression compression) noexcept {
  switch (compression) {
    case Compression::none:
      return "none";
    case Compression::gzip:
      return "gzip";
    case Compression::zstd:
      return "zstd";
  }
  return "unknown";
}

std::string_view to_string(Durability durability) noexcept {
  switch (durability) {
    case Durability::none:
      return "none";
    case Durability::process:
      return "process";
    case Durability::disk:
      return "disk";
  }
  return "unknown";
}

std::string_view to_string(BroadcastType type) noexcept {
  switch (type) {
    case BroadcastType::none:
      return "none";
    case BroadcastType::redis:
      return "redis";
    case BroadcastType::postgres:
      return "postgres";
  }
  return "unknown";
}

}  // namespace db4
