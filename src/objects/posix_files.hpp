#pragma once
// Files by descriptor, and what errno means to a caller.

#include "base/file_descriptor.hpp"

#include <db4/types.hpp>

#include <string>
#include <string_view>

namespace db4::objects {

/// openat with O_CLOEXEC, repeated where a signal interrupts it; not open() where it failed (errno says why).
FileDescriptor open_at(int folder, const std::string& path, int flags, unsigned mode = 0);

/// Whether all of it was written (errno says why not).
bool write_all(int fd, ByteView bytes);

/// Reads up to `out.size()` bytes from `offset`; how many came (fewer at the end of the file), or -1.
std::ptrdiff_t read_all(int fd, std::span<std::byte> out, std::uint64_t offset);

/// Throws the Error that `error` (an errno) means: `action` says what was tried ("put \"a/b\""), `root` is
/// the folder that the advice names.
[[noreturn]] void throw_file_error(int error, std::string_view action, const std::string& root);

}  // namespace db4::objects
