#pragma once
// The few things that keys ask of files.

#include "base/file_descriptor.hpp"

#include <db4/types.hpp>

#include <filesystem>
#include <string>

namespace db4::crypto {

/// open() with O_CLOEXEC, repeated where a signal interrupts it; not open() where it failed (errno says why).
FileDescriptor open_file(const std::string& path, int flags, unsigned mode = 0);

/// Up to out.size() bytes, to the end of the file; how many, or -1 (errno says why).
std::ptrdiff_t read_up_to(int descriptor, std::span<std::byte> out);

/// Opens a file that holds a secret. Throws key_unavailable where there is none, permission_denied where it
/// is open to others, another user's or no file, else as throw_file_error. `source` names it in messages.
FileDescriptor open_private_file(const std::string& path, const std::string& source);

/// Writes and syncs all of it. Throws what throw_file_error does.
void write_and_sync(int descriptor, ByteView bytes, const std::string& path);

/// So that a name in this folder outlives a power cut. Throws what throw_file_error does.
void sync_folder_of(const std::filesystem::path& path);

/// A new file that only this user may read, synced with its folder. Throws conflict where it exists, and what
/// throw_file_error does; then no part of it is left.
void create_private_file(const std::filesystem::path& path, ByteView bytes);

/// Throws what `error` (an errno) means: permission_denied, resource_exhausted, read_only, unavailable.
[[noreturn]] void throw_file_error(int error, std::string problem);

}  // namespace db4::crypto
