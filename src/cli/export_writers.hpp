#pragma once
// Where exported documents go: lines, or a folder of files.

#include "envelope.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace db4::cli {

/// Takes documents in their order. What is not finished leaves nothing behind. Every call throws
/// permission_denied where it cannot be written. One thread.
class ExportWriter {
 public:
  virtual ~ExportWriter() = default;
  virtual void write(const Envelope& document, std::string_view body) = 0;
  /// Makes the file at a path, and gives the document's type; nullopt where the document is gone.
  using Fill = std::function<std::optional<std::string>(const std::filesystem::path& file)>;
  /// Whether a document of any size can be written, by fill().
  [[nodiscard]] virtual bool takes_files() const { return false; }
  /// Only where takes_files(). The type in `document` is what the file's name goes by.
  virtual void write_file(const Envelope& /*document*/, const Fill& /*fill*/) {}
  /// All of it is there now.
  virtual void finish() = 0;
};

/// Lines in the form that gives every document back, to a file, or to standard output ("-").
std::unique_ptr<ExportWriter> make_envelope_writer(const std::string& output);
/// The bodies themselves, as lines. write() throws invalid_argument for one that could not be imported from
/// them as it is: no JSON, more than a line, or without its id in the member `id_field`.
std::unique_ptr<ExportWriter> make_plain_writer(const std::string& output, const std::string& id_field);
/// A file for each document under `folder`/documents, and an index. Throws conflict where the folder has
/// something in it other than what an export that was killed left there, which is removed.
std::unique_ptr<ExportWriter> make_folder_writer(const std::filesystem::path& folder);

/// A name for a file that holds the document: what is unsafe in a name is percent-encoded, what is too long
/// is cut and ends with a hash, and it has the extension of its type.
std::string file_name_of(std::string_view id, std::string_view content_type);

}  // namespace db4::cli
