#pragma once
// Access figures as they are stored, apart from the rows. Byte table: docs/formats/row.md.

#include <db4/access_tracker.hpp>

#include <string>

namespace db4::catalog {

std::string encode_access(const AccessFigures& figures);
/// What cannot be read counts as nothing seen: figures are advice, not data.
AccessFigures decode_access(std::string_view value) noexcept;

/// Both together.
AccessFigures merge_figures(const AccessFigures& a, const AccessFigures& b) noexcept;

}  // namespace db4::catalog
