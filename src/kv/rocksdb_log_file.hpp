#pragma once
// A file system for RocksDB whose write-ahead log grows ahead of its writes.

#include <rocksdb/file_system.h>

#include <memory>

namespace db4::kv {

/// The default file system, but for log files: those are extended by zeros, some hundred KiB at a time,
/// before they are written. A sync of a file that grew must also commit the file system's journal; one of
/// bytes that were there before need not, and takes a third of the time or less (measured on ext4; SQLite's
/// log, which is overwritten in place, has the same advantage). Costs a second writing of the log; so large
/// appends, which gain little, are left as they are.
///
/// A crash leaves zeros behind the last record. RocksDB's log reader passes over zeros without calling them
/// damage, and a log that is closed is cut to its length.
std::shared_ptr<rocksdb::FileSystem> make_log_extending_file_system();

}  // namespace db4::kv
