#include "catalog/access.hpp"

#include "base/encoding.hpp"

#include <algorithm>

namespace db4::catalog {
namespace {
constexpr std::uint8_t kAccessFormat = 1;
}

std::string encode_access(const AccessFigures& figures) {
  std::string out;
  out.push_back(static_cast<char>(kAccessFormat));
  put_varint(out, figures.count);
  put_fixed(out, static_cast<std::int64_t>(figures.last_access.time_since_epoch().count()));
  put_fixed(out, figures.buckets.index);
  put_varint(out, figures.buckets.current);
  put_varint(out, figures.buckets.previous);
  return out;
}

AccessFigures decode_access(std::string_view value) noexcept {
  Reader in(value);
  if (in.fixed<std::uint8_t>() != kAccessFormat) return {};
  AccessFigures figures;
  figures.count = in.varint();
  figures.last_access = TimePoint{std::chrono::microseconds{in.fixed<std::int64_t>()}};
  figures.buckets.index = in.fixed<std::int64_t>();
  figures.buckets.current = static_cast<std::uint32_t>(in.varint());
  figures.buckets.previous = static_cast<std::uint32_t>(in.varint());
  return in.done() ? figures : AccessFigures{};
}

AccessFigures merge_figures(const AccessFigures& a, const AccessFigures& b) noexcept {
  return {.count = a.count + b.count,
          .last_access = std::max(a.last_access, b.last_access),
          .buckets = merge_buckets(a.buckets, b.buckets)};
}

}  // namespace db4::catalog
