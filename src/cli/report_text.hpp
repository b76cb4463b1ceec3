#pragma once
// Text of a report: what is not ours made harmless, figures made readable.

#include <db4/types.hpp>

#include <string>
#include <string_view>

namespace db4::cli {

/// Text of the page itself, or of an attribute in double quotes: &, <, >, " and ' become entities.
/// Characters that would not be seen, or would turn the text around them (control characters, marks of
/// direction), are shown as \x1b or \u202e, and bytes that are no UTF-8 as U+FFFD.
std::string html(std::string_view text);

/// A name for a table: isolated in its direction and, where it has more than `most` characters, cut, with
/// the whole of it in a title.
std::string name_html(std::string_view name, std::size_t most = 48);

/// "72.4 %"; a share that is no number (nothing over nothing) is a dash.
std::string share_text(double share);
/// "$1,234", "$12.30", "$0.0043": never more digits than say something.
std::string dollars_text(double dollars);
/// "340 ns", "1.2 µs".
std::string latency_text(double nanoseconds);
/// "5 minutes", "3.5 hours", "30 days".
std::string span_text(std::chrono::microseconds span);
/// The time by strftime's `pattern`, in UTC.
std::string time_text(TimePoint when, const char* pattern);

}  // namespace db4::cli
