#include "objects/s3_xml.hpp"

#include "objects/object_name.hpp"

#include <db4/error.hpp>

#include <pugixml.hpp>

#include <charconv>
#include <sstream>

namespace db4::objects {
namespace {

/// Without the prefix of a namespace.
std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child(const pugi::xml_node& node, std::string_view name) {
  return node.find_child([&](const pugi::xml_node& each) { return local_name(each) == name; });
}

std::string text(const pugi::xml_node& node, std::string_view name) { return child(node, name).text().get(); }

std::uint64_t number(const pugi::xml_node& node, std::string_view name) {
  const std::string digits = text(node, name);
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

bool yes(const pugi::xml_node& node, std::string_view name) { return text(node, name) == "true"; }

/// A document, and its root. Names are not trimmed: blanks at their ends are theirs.
class Document {
 public:
  explicit Document(ByteView body) {
    std::string_view xml = as_text(body);
    // Blanks may come first, while a provider works on the rest.
    while (!xml.empty() && (xml.front() == ' ' || xml.front() == '\r' || xml.front() == '\n'))
      xml.remove_prefix(1);
    const auto parsed =
        document_.load_buffer(xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata_single);
    if (parsed) root_ = document_.document_element();
  }
  [[nodiscard]] const pugi::xml_node& root() const { return root_; }
  [[nodiscard]] bool is(std::string_view name) const { return root_ && local_name(root_) == name; }

 private:
  pugi::xml_document document_;
  pugi::xml_node root_;
};

[[noreturn]] void unexpected(std::string_view wanted) {
  throw Error(ErrorCode::unavailable, "the answer is no " + std::string(wanted) + " of the S3 protocol",
              "repeat it; if it stays, check that cold.endpoint is the provider's S3 API");
}

/// Throws unless it is what was asked for.
void require(const Document& document, std::string_view name) {
  if (!document.is(name)) unexpected(name);
}

/// What is sent back in a later request. Throws corrupt.
std::string token(const pugi::xml_node& node, std::string_view name) {
  std::string out = text(node, name);
  if (!has_control_characters(out)) return out;
  throw Error(ErrorCode::corrupt, "the S3 provider's " + std::string(name) + " has control characters",
              "check that cold.endpoint is the provider's S3 API");
}

/// The name of an object. Throws corrupt: what no put makes is not taken further.
std::string object_name(std::string name) {
  if (is_object_name(name)) return name;
  throw Error(ErrorCode::corrupt,
              "the S3 provider tells of an object whose name is no UTF-8 of at most 1,024 bytes without "
              "control characters",
              "remove it by other means, or give db4 a prefix of its own in the bucket (cold.prefix)");
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// As encoding-type=url has it: of a query, where '+' is a blank.
std::string url_decoded(std::string_view encoded) {
  std::string out;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%' && i + 2 < encoded.size() && hex_digit(encoded[i + 1]) >= 0 &&
        hex_digit(encoded[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(encoded[i + 1]) * 16 + hex_digit(encoded[i + 2]));
      i += 2;
    } else {
      out += encoded[i] == '+' ? ' ' : encoded[i];
    }
  }
  return out;
}

/// Reads names of a listing, which are encoded where the provider did as it was asked.
class Names {
 public:
  explicit Names(const pugi::xml_node& root) : encoded_(text(root, "EncodingType") == "url") {}
  [[nodiscard]] std::string operator()(const pugi::xml_node& node) const {
    std::string name = text(node, "Key");
    return object_name(encoded_ ? url_decoded(name) : std::move(name));
  }

 private:
  bool encoded_;
};

std::string written(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "", pugi::format_raw);
  return out.str();
}

}  // namespace

std::optional<S3ErrorBody> parse_s3_error(ByteView body) {
  const Document document(body);
  if (!document.is("Error")) return std::nullopt;
  const pugi::xml_node& root = document.root();
  S3ErrorBody out{text(root, "Code"), text(root, "Message"), text(root, "Region"), text(root, "Endpoint")};
  if (out.code.empty()) return std::nullopt;
  return out;
}

S3Listing parse_s3_listing(ByteView body) {
  const Document document(body);
  require(document, "ListBucketResult");
  const Names name(document.root());
  S3Listing out;
  out.page.more = yes(document.root(), "IsTruncated");
  out.continuation = token(document.root(), "NextContinuationToken");
  for (const pugi::xml_node& node : document.root().children()) {
    if (local_name(node) != "Contents") continue;
    out.page.objects.push_back({name(node), number(node, "Size"), parse_iso_time(text(node, "LastModified")),
                                unquoted(text(node, "ETag"))});
  }
  return out;
}

std::vector<S3DeleteFailure> parse_s3_delete_result(ByteView body) {
  const Document document(body);
  require(document, "DeleteResult");
  std::vector<S3DeleteFailure> out;
  for (const pugi::xml_node& node : document.root().children()) {
    if (local_name(node) != "Error" || text(node, "Code") == "NoSuchKey") continue;
    out.push_back({object_name(text(node, "Key")), {text(node, "Code"), text(node, "Message"), {}, {}}});
  }
  return out;
}

std::string parse_s3_upload_id(ByteView body) {
  const Document document(body);
  require(document, "InitiateMultipartUploadResult");
  std::string id = token(document.root(), "UploadId");
  if (id.empty()) unexpected("InitiateMultipartUploadResult");
  return id;
}

std::string parse_s3_completion(ByteView body) {
  const Document document(body);
  require(document, "CompleteMultipartUploadResult");
  return unquoted(text(document.root(), "ETag"));
}

ObjectPartPage parse_s3_parts(ByteView body) {
  const Document document(body);
  require(document, "ListPartsResult");
  ObjectPartPage page;
  page.more = yes(document.root(), "IsTruncated");
  for (const pugi::xml_node& node : document.root().children()) {
    if (local_name(node) != "Part") continue;
    page.parts.push_back({static_cast<std::uint32_t>(number(node, "PartNumber")), number(node, "Size"),
                          unquoted(text(node, "ETag"))});
  }
  return page;
}

PendingUploadPage parse_s3_uploads(ByteView body) {
  const Document document(body);
  require(document, "ListMultipartUploadsResult");
  const Names name(document.root());
  PendingUploadPage page;
  page.more = yes(document.root(), "IsTruncated");
  for (const pugi::xml_node& node : document.root().children()) {
    if (local_name(node) != "Upload") continue;
    page.uploads.push_back({name(node), token(node, "UploadId"), parse_iso_time(text(node, "Initiated"))});
  }
  return page;
}

bool fits_xml(std::string_view name) noexcept {
  if (has_control_characters(name)) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    // U+FFFE and U+FFFF are characters of UTF-8 and none of XML.
    if (byte == 0xEF && name.substr(i).size() >= 3 && name[i + 1] == '\xBF' &&
        static_cast<unsigned char>(name[i + 2]) >= 0xBE) {
      return false;
    }
  }
  return true;
}

std::string s3_delete_request(std::span<const std::string> names) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("Delete");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  root.append_child("Quiet").text() = "true";
  for (const std::string& name : names) root.append_child("Object").append_child("Key").text() = name.c_str();
  return written(document);
}

std::string s3_complete_request(std::span<const ObjectPart> parts) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (const ObjectPart& part : parts) {
    pugi::xml_node node = root.append_child("Part");
    node.append_child("PartNumber").text() = part.number;
    node.append_child("ETag").text() = ("\"" + part.etag + "\"").c_str();
  }
  return written(document);
}

std::string unquoted(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  if (has_control_characters(etag)) {
    throw Error(ErrorCode::corrupt, "the S3 provider gives an etag with control characters",
                "check that cold.endpoint is the provider's S3 API");
  }
  return std::string(etag);
}

TimePoint parse_iso_time(std::string_view text) noexcept {
  using namespace std::chrono;
  const auto field = [&](std::size_t from, std::size_t length) {
    int value = 0;
    if (text.size() >= from + length) std::from_chars(text.data() + from, text.data() + from + length, value);
    return value;
  };
  const year_month_day date(year(field(0, 4)), month(static_cast<unsigned>(field(5, 2))),
                            day(static_cast<unsigned>(field(8, 2))));
  if (!date.ok() || text.size() < 19) return TimePoint{};
  int fraction = 0;
  if (text.size() > 20 && text[19] == '.') fraction = field(20, std::min<std::size_t>(3, text.size() - 20));
  return sys_days(date) + hours(field(11, 2)) + minutes(field(14, 2)) + seconds(field(17, 2)) +
         milliseconds(fraction);
}

}  // namespace db4::objects
