#include "objects/examination.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace db4 {

std::string_view to_string(Soundness soundness) noexcept {
  switch (soundness) {
    case Soundness::sound:
      return "sound";
    case Soundness::noted:
      return "noted";
    case Soundness::unsound:
      return "unsound";
    case Soundness::skipped:
      break;
  }
  return "skipped";
}

bool DoctorReport::sound() const noexcept {
  return std::ranges::none_of(findings, [](const auto& f) { return f.verdict == Soundness::unsound; });
}

DoctorReport examine(ObjectStore& store, const DoctorOptions& options, const std::shared_ptr<Clock>& clock,
                     const std::shared_ptr<RandomSource>& random) {
  return objects::Examination(store, options, clock, *random).run();
}

}  // namespace db4

namespace db4::objects {
namespace {

constexpr std::size_t kSmallBytes = 2000;
constexpr std::uint64_t kMostRead = 1 << 20;
/// S3 refuses what is signed a quarter of an hour off; ages are compared with days and weeks.
constexpr std::chrono::seconds kClockNoted{5};
constexpr std::chrono::minutes kClockUnsound{15};
constexpr const char* kElsewhere = "keep documents in another place, and tell whoever runs this one";

std::string hex(std::uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out.push_back(kDigits[value >> shift & 15]);
  return out;
}

}  // namespace

Examination::Examination(ObjectStore& store, const DoctorOptions& options, std::shared_ptr<Clock> clock,
                         RandomSource& random)
    : store_(store),
      options_(options),
      clock_(std::move(clock)),
      random_(random),
      prefix_(options.prefix + "doctor." + hex(random.next_u64()) + "/") {}

DoctorReport Examination::run() {
  try {
    if (file("write and read", &Examination::write_and_read)) {
      file("replace", &Examination::replace);
      file("ranges", &Examination::ranges);
      file("what is missing", &Examination::missing);
      file("names", &Examination::strange_names);
      file("put only if absent", &Examination::only_if_absent);
      file("put if it matches", &Examination::if_match);
      file("list", &Examination::list);
      file("list in pages", &Examination::list_pages);
      file("remove", &Examination::remove);
      file("proof of what arrived", &Examination::proof);
      file("clock", &Examination::time);
      try_uploads();
    }
  } catch (const Error&) {
    clean_up();
    throw;
  }
  clean_up();
  return std::move(report_);
}

bool Examination::file(const char* name, Check check) {
  DoctorFinding finding{.check = name};
  try {
    Outcome outcome = (this->*check)();
    finding.verdict = outcome.verdict;
    finding.found = std::move(outcome.found);
    finding.meaning = std::move(outcome.meaning);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    finding.verdict = Soundness::unsound;
    finding.found = std::string("it failed: ") + error.problem();
    finding.meaning = error.advice();
  }
  report_.findings.push_back(finding);
  return finding.verdict != Soundness::unsound;
}

void Examination::skip(const char* name, const std::string& why) {
  report_.findings.push_back({.check = name, .verdict = Soundness::skipped, .found = why, .meaning = {}});
}

void Examination::clean_up() {
  // Without the caller's stop: what was made goes, also after Ctrl-C.
  for (const Upload& upload : uploads_) {
    try {
      store_.abort_multipart(upload.name, upload.id);
    } catch (const Error&) {
      report_.left_over.push_back(upload.name + " (an upload in parts)");
    }
  }
  for (const std::string& name : made_) {
    try {
      store_.remove(name);
      if (!store_.head(name)) continue;
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): it is told as left over
    }
    report_.left_over.push_back(name);
  }
}

std::string Examination::name(std::string_view what) {
  return *made_.insert(prefix_ + std::string(what)).first;
}

PutResult Examination::put(const std::string& name, std::string_view body, const PutOptions& condition) {
  PutOptions options = condition;
  options.call = call();
  return store_.put(name, as_bytes(body), options);
}

std::string Examination::bytes(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random_.next_u64();
    std::memcpy(out.data() + at, &bits, std::min(sizeof bits, size - at));
  }
  return out;
}

bool Examination::holds(const std::string& name, std::string_view body) {
  const auto found = store_.get(name, kMostRead, call());
  return found && as_text(*found) == body;
}

bool Examination::refuses(const std::string& name, const PutOptions& condition) {
  try {
    put(name, "not to be stored", condition);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::conflict) return true;
    throw;
  }
  return false;
}

Examination::Outcome Examination::write_and_read() {
  const std::string body = bytes(kSmallBytes);
  const std::string object = name("written");
  put(object, body);
  if (!holds(object, body)) {
    return {Soundness::unsound, "what was put is not what is read, or not yet", kElsewhere};
  }
  const auto info = store_.head(object, call());
  if (!info || info->size != body.size()) {
    return {Soundness::unsound, "it tells another size than was put", kElsewhere};
  }
  const std::string empty = name("empty");
  put(empty, "");
  if (!holds(empty, "")) return {Soundness::unsound, "an empty object is not kept", kElsewhere};
  return {Soundness::sound, "byte for byte, at once", "nothing"};
}

Examination::Outcome Examination::replace() {
  const std::string object = name("replaced");
  const std::string before = bytes(kSmallBytes);
  const std::string after = bytes(kSmallBytes / 2);
  const std::string etag = put(object, before).etag;
  const std::string new_etag = put(object, after).etag;
  if (!holds(object, after)) {
    return {Soundness::noted, "an object that was replaced is read as it was before",
            "db4 gives no name twice, so it never replaces one"};
  }
  if (!etag.empty() && etag == new_etag) {
    return {Soundness::noted, "the etag stays when the bytes change", "db4 does not depend on it"};
  }
  return {Soundness::sound, "the new bytes are read at once", "db4 gives no name twice anyway"};
}

Examination::Outcome Examination::ranges() {
  const std::string object = name("ranged");
  const std::string body = bytes(kSmallBytes);
  put(object, body);
  struct Range {
    std::uint64_t offset;
    std::uint64_t length;
  };
  for (const Range range : {Range{0, 1}, Range{100, 1000}, Range{1999, 1}, Range{1900, 500}}) {
    const auto found = store_.get_range(object, range.offset, range.length, call());
    if (!found || as_text(*found) != std::string_view(body).substr(range.offset, range.length)) {
      return {Soundness::unsound,
              "bytes " + std::to_string(range.offset) + " to " + std::to_string(range.offset + range.length) +
                  " of " + std::to_string(body.size()) + " are not those",
              kElsewhere};
    }
  }
  return {Soundness::sound, "ranges are exact", "a document in a segment is read alone"};
}

Examination::Outcome Examination::missing() {
  const std::string object = name("never written");
  if (store_.get(object, kMostRead, call()) || store_.head(object, call()) ||
      store_.get_range(object, 0, 1, call())) {
    return {Soundness::unsound, "something is read that was never written", kElsewhere};
  }
  store_.remove(object, call());
  return {Soundness::sound, "it is told to be missing, and removing it is no error", "nothing"};
}

Examination::Outcome Examination::strange_names() {
  const std::array<std::string, 6> names{"a b+c%2F&=?#", "\xC3\xA9\xF0\x9F\xA6\x86", "..",
                                         "dots/../up",   "twice//slashed",           "Upper"};
  for (const std::string& strange : names) {
    const std::string object = name("names/" + strange);
    const std::string body = bytes(100);
    try {
      put(object, body);
      if (holds(object, body)) continue;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled) throw;
    }
    made_.erase(object);  // what stands under another name is not found under this one
    return {Soundness::noted, "the name \"" + strange + "\" cannot be used",
            "keep to letters, digits, '-', '_' and '/' in cold.prefix, and leave cold.readable_names off"};
  }
  if (store_.head(name("names/upper"), call())) {
    return {Soundness::noted, "\"Upper\" and \"upper\" are one name to it",
            "nothing: db4's own names are of lower-case digits"};
  }
  return {Soundness::sound, "any name is a name", "nothing"};
}

Examination::Outcome Examination::only_if_absent() {
  const std::string object = name("conditional");
  const std::string body = bytes(kSmallBytes);
  constexpr const char* kIndependent = "db4 gives no name twice, and does not depend on it";
  try {
    put(object, body, {.only_if_absent = true});
    if (!refuses(object, {.only_if_absent = true})) {
      return {Soundness::noted, "the condition is ignored: what was there is written over", kIndependent};
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    return {Soundness::noted, "it knows no such condition", kIndependent};
  }
  if (!holds(object, body)) {
    return {Soundness::unsound, "a put that was refused has changed the object", kElsewhere};
  }
  return {Soundness::sound, "what is there is kept", kIndependent};
}

Examination::Outcome Examination::if_match() {
  const std::string object = name("matched");
  constexpr const char* kIndependent = "db4 keeps versions in its catalogue, and does not depend on it";
  const std::string etag = put(object, bytes(kSmallBytes)).etag;
  if (etag.empty()) return {Soundness::noted, "objects have no etag", kIndependent};
  const std::string body = bytes(kSmallBytes);
  try {
    put(object, body, {.if_match = etag});
    if (!refuses(object, {.if_match = etag}) || !refuses(name("match of nothing"), {.if_match = etag})) {
      return {Soundness::noted, "the condition is ignored: another version is written over", kIndependent};
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported && error.code() != ErrorCode::conflict) throw;
    return {Soundness::noted, "it knows no such condition, or not the etag that it gave", kIndependent};
  }
  if (!holds(object, body)) {
    return {Soundness::unsound, "a put that was refused has changed the object", kElsewhere};
  }
  return {Soundness::sound, "another version is refused", kIndependent};
}

Examination::Outcome Examination::list() {
  constexpr const char* kUses = "`db4 rebuild` and `db4 gc --list` list: they would miss objects";
  const std::string folder = prefix_ + "listed/";
  for (const char* letter : {"b", "a", "c"}) put(name(std::string("listed/") + letter), "x");
  put(name("listed-beside"), "x");
  const ObjectPage page = store_.list(folder, "", 1000, call());
  std::vector<std::string> names;
  for (const ObjectInfo& info : page.objects) names.push_back(info.name);
  const std::vector<std::string> wanted{folder + "a", folder + "b", folder + "c"};
  if (names != wanted || page.more) {
    std::ranges::sort(names);
    return {Soundness::unsound,
            names == wanted ? "names are not in byte order"
                            : "what was just put is not listed, or something else is",
            kUses};
  }
  if (page.objects.front().size != 1) return {Soundness::unsound, "a size in the list is wrong", kUses};
  store_.remove(folder + "b", call());
  if (store_.list(folder, "", 1000, call()).objects.size() != 2) {
    return {Soundness::noted, "what was just removed is still listed",
            "`db4 gc --list` would remove it again, which is no error"};
  }
  return {Soundness::sound, "what was put or removed shows at once, in byte order", "nothing"};
}

Examination::Outcome Examination::list_pages() {
  const std::string folder = prefix_ + "paged/";
  const std::vector<std::string> letters{"1", "2", "3", "4", "5"};
  for (const std::string& letter : letters) put(name("paged/" + letter), "x");
  std::vector<std::string> names;
  for (std::string after;;) {
    const ObjectPage page = store_.list(folder, after, 2, call());
    for (const ObjectInfo& info : page.objects) names.push_back(info.name.substr(folder.size()));
    if (!page.more || page.objects.empty() || names.size() > letters.size()) break;
    after = page.objects.back().name;
  }
  if (names != letters) {
    return {Soundness::unsound, "pages skip objects, or repeat them",
            "`db4 rebuild` would miss documents: keep another backup of the hot folder"};
  }
  return {Soundness::sound, "pages follow each other without a gap", "nothing"};
}

Examination::Outcome Examination::remove() {
  std::vector<std::string> names;
  for (const char* which : {"removed/1", "removed/2", "removed/3"}) put(names.emplace_back(name(which)), "x");
  store_.remove(names[0], call());
  const std::vector<std::string> others{names[1], names[2], name("removed/never there")};
  const std::vector<RemoveFailure> failures = store_.remove_many(others, call());
  if (!failures.empty()) {
    return {Soundness::noted, "several at once cannot be removed: " + failures.front().message,
            "garbage stays, and costs, until it can"};
  }
  for (const std::string& object : names) {
    if (!store_.head(object, call())) continue;
    return {Soundness::noted, "what was removed is still there", "garbage stays, and costs"};
  }
  return {Soundness::sound, "what was removed is gone at once", "nothing"};
}

Examination::Outcome Examination::proof() {
  const std::string object = name("proved");
  const std::string body = bytes(kSmallBytes);
  const bool verified = put(object, body).verified;
  if (!holds(object, body)) {
    return {Soundness::unsound,
            verified ? "it says that it has proved what it does not hold" : "it holds other bytes",
            kElsewhere};
  }
  if (verified) return {Soundness::sound, "the digest of what arrived comes back", "nothing is read back"};
  return {Soundness::noted, "no digest of what arrived comes back",
          "every object is read back before a document's row names it"};
}

Examination::Outcome Examination::time() {
  const std::string object = name("timed");
  const TimePoint before = clock_->now();
  put(object, "x");
  const TimePoint after = clock_->now();
  const auto info = store_.head(object, call());
  if (!info) return {Soundness::unsound, "what was put is not there", kElsewhere};
  if (info->modified == TimePoint{}) {
    return {Soundness::noted, "it does not tell when an object was written",
            "`db4 gc --list` would take every object for old: do not use it"};
  }
  using std::chrono::duration_cast;
  using std::chrono::seconds;
  // Times may be of whole seconds.
  const auto early = duration_cast<seconds>(before - info->modified);
  const auto late = duration_cast<seconds>(info->modified - after);
  const seconds off = std::max({early, late, seconds{0}});
  const std::string found = "it is " + std::to_string(off.count()) + " s " +
                            (early > late ? "behind" : "ahead of") + " this machine";
  if (off >= kClockUnsound) return {Soundness::unsound, found, "set the clocks right: signatures fail"};
  if (off > kClockNoted) {
    return {Soundness::noted, found, "ages are compared with days: set the clocks right all the same"};
  }
  return {Soundness::sound, "within " + std::to_string(kClockNoted.count()) + " s of this machine's",
          "nothing"};
}

}  // namespace db4::objects
