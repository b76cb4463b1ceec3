#pragma once
// How a report looks, and the policy under which a browser shows it.

#include <string_view>

namespace db4::cli {

/// The content of the page's one <style>.
std::string_view report_style() noexcept;

/// Content-Security-Policy: this style (by its SHA-256), and nothing else. A test compares the two.
std::string_view report_policy() noexcept;

}  // namespace db4::cli
