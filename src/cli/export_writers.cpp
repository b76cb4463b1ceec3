#include "export_writers.hpp"

#include "content_types.hpp"
#include "files.hpp"
#include "json_scan.hpp"
#include "text.hpp"

#include <db4/error.hpp>
#include <db4/json_check.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>

namespace db4::cli {
namespace {

namespace fs = std::filesystem;

/// Bytes of a name before its hash and extension.
constexpr std::size_t kMaxNameBytes = 180;

/// Lines to a file or standard output.
class Lines {
 public:
  explicit Lines(const std::string& output) {
    if (output != "-") file_.emplace(output);
  }
  void write(std::string_view line) {
    if (file_) {
      file_->write(line);
      file_->write("\n");
    } else if (!(std::cout << line << '\n')) {
      fail();
    }
  }
  void finish() {
    if (file_) {
      file_->finish();
    } else if (!std::cout.flush()) {
      fail();
    }
  }

 private:
  [[noreturn]] static void fail() {
    // It was said; nothing is to be tried again when the command ends.
    std::cout.clear();
    throw Error(ErrorCode::permission_denied, "cannot write to standard output",
                "check space there, and that its reader is still there");
  }
  std::optional<OutputFile> file_;
};

class EnvelopeWriter final : public ExportWriter {
 public:
  explicit EnvelopeWriter(const std::string& output) : lines_(output) { lines_.write(kExportMark); }
  void write(const Envelope& document, std::string_view body) override {
    lines_.write(encode_envelope(document, body));
  }
  void finish() override { lines_.finish(); }

 private:
  Lines lines_;
};

class PlainWriter final : public ExportWriter {
 public:
  PlainWriter(const std::string& output, std::string id_field)
      : lines_(output), id_field_(std::move(id_field)) {}
  void write(const Envelope& document, std::string_view body) override {
    const auto refuse = [&](const std::string& why) {
      throw Error(
          ErrorCode::invalid_argument,
          escape(document.collection) + "/" + escape(document.id) + " cannot stand as a plain line: " + why,
          "export without --plain, which takes every document");
    };
    if (document.content_type != "application/json" || find_json_fault(body)) refuse("it is no JSON");
    if (body.find_first_of("\r\n") != std::string_view::npos) refuse("its body has more than one line");
    std::string_view id;
    JsonMembers members(body);
    while (members.next()) {
      if (members.name_is(id_field_)) id = members.value();
    }
    if (id != document.id && decode_json_string(id) != document.id) {
      refuse("its member '" + id_field_ + "' is not its id");
    }
    lines_.write(body);
  }
  void finish() override { lines_.finish(); }

 private:
  Lines lines_;
  std::string id_field_;
};

/// What stands for a byte in a name: itself, or %2F and the like.
std::string encode_byte(char c, bool first) {
  constexpr std::string_view kUnsafe = "/\\%:*?\"<>|";
  const auto byte = static_cast<unsigned char>(c);
  const bool unsafe =
      byte < 0x20 || byte == 0x7F || kUnsafe.find(c) != std::string_view::npos || (first && c == '.');
  if (!unsafe) return std::string(1, c);
  std::array<char, 4> text{};
  std::snprintf(text.data(), text.size(), "%%%02X", byte);
  return text.data();
}

std::string encode_name(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins_character = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (out.size() >= kMaxNameBytes && begins_character) {
      return out + "~" + hash_digits(text);
    }
    out += encode_byte(text[i], i == 0);
  }
  return out;
}

class FolderWriter final : public ExportWriter {
 public:
  explicit FolderWriter(const fs::path& folder) : folder_(prepare(folder)), index_(folder_ / kFolderIndex) {
    index_.write(kFolderMark);
    index_.write("\n");
  }
  ~FolderWriter() override {
    if (finished_) return;
    std::error_code ignored;
    fs::remove_all(folder_ / kDocuments, ignored);
    fs::remove(folder_ / kUnfinishedExport, ignored);
  }
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;

  void write(const Envelope& document, std::string_view body) override {
    note(document, new_file(document, body));
  }

  [[nodiscard]] bool takes_files() const override { return true; }
  void write_file(const Envelope& document, const Fill& fill) override {
    const fs::path file = new_file(document, {});
    const auto content_type = fill(folder_ / file);
    if (content_type) {
      note({.collection = document.collection, .id = document.id, .content_type = *content_type}, file);
    } else if (std::error_code problem; !fs::remove(folder_ / file, problem) && problem) {
      errno = problem.value();
      fail(folder_ / file);
    }
  }

  void finish() override {
    // The files first: an index must not outlive what it names.
    const int descriptor = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0 || ::syncfs(descriptor) != 0) fail(folder_);
    ::close(descriptor);
    index_.finish();
    finished_ = true;
    std::error_code problem;
    if (!fs::remove(folder_ / kUnfinishedExport, problem) && problem) {
      errno = problem.value();
      fail(folder_ / kUnfinishedExport);
    }
  }

 private:
  static constexpr const char* kDocuments = "documents";

  [[noreturn]] static void fail(const fs::path& path) {
    throw Error(ErrorCode::permission_denied,
                "cannot write " + escape(path.string()) + ": " + std::strerror(errno),
                "check space and permissions there");
  }

  static void create_folder(const fs::path& path) {
    std::error_code problem;
    fs::create_directories(path, problem);
    if (!problem) return;
    errno = problem.value();
    fail(path);
  }

  /// An empty folder that says that an export is being written into it. What an export that was killed left
  /// there is removed: only what an export makes, and only behind its mark.
  static fs::path prepare(const fs::path& folder) {
    std::error_code problem;
    if (is_unfinished_export(folder)) {
      fs::remove_all(folder / kDocuments, problem);
      fs::remove(folder / kFolderIndex, problem);
      fs::remove(folder / (std::string(kFolderIndex) + ".part"), problem);
      fs::remove(folder / kUnfinishedExport, problem);
    }
    if (fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder, problem))) {
      throw Error(ErrorCode::conflict, escape(folder.string()) + " is no empty folder",
                  "name one that does not exist yet, or is empty");
    }
    create_folder(folder);
    if (!write_new(folder / kUnfinishedExport, kUnfinishedExportText)) fail(folder / kUnfinishedExport);
    return folder;
  }

  /// A file for the document, which holds `body` now; its path in the folder.
  fs::path new_file(const Envelope& document, std::string_view body) {
    const fs::path folder = fs::path(kDocuments) / encode_name(document.collection);
    create_folder(folder_ / folder);
    const std::string name = file_name_of(document.id, document.content_type);
    const std::size_t dot = name.rfind('.');
    // Of two ids whose files would have one name the second gets a number.
    for (int number = 1;; ++number) {
      std::string numbered = name;
      if (number > 1) numbered.insert(std::min(dot, name.size()), "~" + std::to_string(number));
      if (write_new(folder_ / folder / numbered, body)) return folder / numbered;
    }
  }

  void note(const Envelope& document, const fs::path& file) {
    index_.write(encode_index_entry(document, file.string()));
    index_.write("\n");
  }

  /// False where there is a file of this name.
  static bool write_new(const fs::path& file, std::string_view body) {
    const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EEXIST) return false;
    if (descriptor < 0) fail(file);
    ssize_t count = 0;
    while (!body.empty() &&
           ((count = ::write(descriptor, body.data(), body.size())) >= 0 || errno == EINTR)) {
      body.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    }
    if (::close(descriptor) != 0 || !body.empty()) fail(file);
    return true;
  }

  fs::path folder_;
  OutputFile index_;
  bool finished_ = false;
};

}  // namespace

std::string file_name_of(std::string_view id, std::string_view content_type) {
  std::string name = encode_name(id);
  const std::string_view extension = extension_of(content_type);
  const bool has_it = name.size() > extension.size() &&
                      std::string_view(name).substr(name.size() - extension.size()) == extension;
  return has_it ? name : name.append(extension);
}

std::unique_ptr<ExportWriter> make_envelope_writer(const std::string& output) {
  return std::make_unique<EnvelopeWriter>(output);
}

std::unique_ptr<ExportWriter> make_plain_writer(const std::string& output, const std::string& id_field) {
  return std::make_unique<PlainWriter>(output, id_field);
}

std::unique_ptr<ExportWriter> make_folder_writer(const fs::path& folder) {
  return std::make_unique<FolderWriter>(folder);
}

}  // namespace db4::cli
