#include "envelope.hpp"

#include "files.hpp"
#include "json_scan.hpp"

#include <db4/json_check.hpp>

#include <nlohmann/json.hpp>

#include <fstream>

namespace db4::cli {
namespace {

constexpr std::string_view kJson = "application/json";

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out.push_back(out.empty() ? '{' : ',');
  append_json_string(out, name);
  out.push_back(':');
  append_json_string(out, text);
}

std::string encode_names(const Envelope& envelope) {
  std::string out;
  append_member(out, "collection", envelope.collection);
  append_member(out, "id", envelope.id);
  append_member(out, "content_type", envelope.content_type);
  return out;
}

/// Whether a body can stand in a line as the value it is, and is found there again byte for byte.
bool stands_as_it_is(std::string_view body) {
  constexpr std::string_view kSpace = " \t";
  return !body.empty() && body.find_first_of("\r\n") == std::string_view::npos &&
         kSpace.find(body.front()) == std::string_view::npos &&
         kSpace.find(body.back()) == std::string_view::npos && !find_json_fault(body);
}

/// What an envelope's line holds, as it is written there.
struct Members {
  std::string_view collection;
  std::string_view id;
  std::string_view content_type;
  std::string_view body;
  std::string_view body_text;
  std::string_view body_base64;
  std::string_view file;
};

/// False where the line is no object.
bool find_members(std::string_view line, Members& found) {
  JsonMembers members(line);
  while (members.next()) {
    if (members.name_is("collection")) found.collection = members.value();
    if (members.name_is("id")) found.id = members.value();
    if (members.name_is("content_type")) found.content_type = members.value();
    if (members.name_is("body")) found.body = members.value();
    if (members.name_is("body_text")) found.body_text = members.value();
    if (members.name_is("body_base64")) found.body_base64 = members.value();
    if (members.name_is("file")) found.file = members.value();
  }
  return members.complete();
}

/// The body that the members hold; nullopt where they hold none, or a broken one.
std::optional<std::string> decode_body(const Members& found) {
  if (!found.body.empty()) return std::string(found.body);
  if (!found.body_text.empty()) return decode_json_string(found.body_text);
  const auto letters = decode_json_string(found.body_base64);
  return letters ? decode_base64(*letters) : std::nullopt;
}

}  // namespace

bool has_mark(std::string_view line, std::string_view mark) {
  const std::string_view start = mark.substr(0, mark.size() - 2);  // without the version
  return line.substr(0, start.size()) == start;
}

bool is_unfinished_export(const std::filesystem::path& folder) {
  std::ifstream in(folder / kUnfinishedExport, std::ios::binary);
  std::string text(kUnfinishedExportText.size() + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text == kUnfinishedExportText;
}

std::string encode_envelope(const Envelope& envelope, std::string_view body) {
  std::string out = encode_names(envelope);
  if (stands_as_it_is(body)) {
    out += ",\"body\":";
    out.append(body).push_back('}');
    return out;
  }
  const std::size_t names = out.size();
  if (is_utf8(body)) append_member(out, "body_text", body);
  // Text of control characters grows sixfold when it is escaped.
  if (out.size() == names || out.size() - names > body.size() * 4 / 3 + 32) {
    out.resize(names);
    append_member(out, "body_base64", base64(body));
  }
  out.push_back('}');
  return out;
}

std::string encode_index_entry(const Envelope& envelope, std::string_view file) {
  std::string out = encode_names(envelope);
  append_member(out, "file", file);
  out.push_back('}');
  return out;
}

void decode_envelope(Record& record, std::string* file) {
  Members found;
  if (!find_members(record.body, found)) {
    record.problem = describe_json_fault(record.body, record.byte).value_or("it is no JSON object");
    return;
  }
  auto collection = decode_json_string(found.collection);
  auto id = decode_json_string(found.id);
  auto content_type = decode_json_string(found.content_type);
  auto body = file == nullptr ? decode_body(found) : decode_json_string(found.file);
  if (!collection || !id || !content_type || !body) {
    record.problem = "it is no line of an export: " +
                     std::string(!collection     ? "collection"
                                 : !id           ? "id"
                                 : !content_type ? "content_type"
                                                 : (file == nullptr ? "its body" : "file")) +
                     " is missing, or no text";
    return;
  }
  record.collection = std::move(collection);
  record.id = std::move(id);
  // What stands as JSON is checked to be it; other bodies are kept as they were, whatever their type says.
  const bool checked = *content_type == kJson && file == nullptr && !found.body.empty();
  record.content_type = checked ? std::string() : std::move(*content_type);
  (file == nullptr ? record.body : *file) = std::move(*body);
}

bool EnvelopeSource::next(Record& record) {
  while (lines_->next(record)) {
    if (record.problem.empty() && has_mark(record.body, kExportMark)) {
      if (record.body == kExportMark) continue;
      record.problem = "the export is of a newer db4: " + record.body.substr(0, 100);
      record.last_readable = true;
    }
    if (record.problem.empty()) decode_envelope(record, nullptr);
    return true;
  }
  return false;
}

}  // namespace db4::cli
