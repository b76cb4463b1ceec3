#include "content_types.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace db4::cli {
namespace {

/// The first extension of a type is the one that files of it get.
constexpr std::array<std::pair<std::string_view, std::string_view>, 32> kTypes{{
    {".json", "application/json"},
    {".jsonl", "application/jsonl"},
    {".xml", "application/xml"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
    {".gz", "application/gzip"},
    {".tar", "application/x-tar"},
    {".wasm", "application/wasm"},
    {".parquet", "application/vnd.apache.parquet"},
    {".txt", "text/plain"},
    {".log", "text/plain"},
    {".md", "text/markdown"},
    {".html", "text/html"},
    {".htm", "text/html"},
    {".css", "text/css"},
    {".csv", "text/csv"},
    {".js", "text/javascript"},
    {".yaml", "application/yaml"},
    {".yml", "application/yaml"},
    {".toml", "application/toml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".svg", "image/svg+xml"},
    {".mp3", "audio/mpeg"},
    {".wav", "audio/wav"},
    {".mp4", "video/mp4"},
    {".webm", "video/webm"},
    {".woff2", "font/woff2"},
    {".bin", "application/octet-stream"},
}};

}  // namespace

std::string content_type_of(std::string_view file_name) {
  const std::size_t dot = file_name.rfind('.');
  std::string extension(dot == std::string_view::npos ? "" : file_name.substr(dot));
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto* const found =
      std::ranges::find(kTypes, std::string_view(extension), [](const auto& entry) { return entry.first; });
  return std::string(found == kTypes.end() ? "application/octet-stream" : found->second);
}

std::string_view extension_of(std::string_view content_type) {
  const auto* const found =
      std::ranges::find(kTypes, content_type, [](const auto& entry) { return entry.second; });
  return found == kTypes.end() || content_type == "application/octet-stream" ? std::string_view()
                                                                             : found->first;
}

}  // namespace db4::cli
