// The doctor: what it finds of stores that do as they should, and of some that do not.
#include "objects/object_stores.hpp"
#include "support/temporary_folder.hpp"

#include <db4/doctor.hpp>
#include <db4/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace db4 {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string told(const DoctorReport& report) {
  std::string out;
  for (const DoctorFinding& finding : report.findings) {
    out += std::string(to_string(finding.verdict)) + " " + finding.check + ": " + finding.found + "\n";
  }
  return out;
}

DoctorFinding finding_of(const DoctorReport& report, std::string_view check) {
  const auto found = std::ranges::find(report.findings, check, &DoctorFinding::check);
  if (found != report.findings.end()) return *found;
  ADD_FAILURE() << "nothing was found of " << check << ":\n" << told(report);
  return {};
}

bool is_empty(ObjectStore& store, std::string_view prefix = "") {
  return store.list(prefix, "", 10).objects.empty() && store.list_multipart(prefix, {}, 10).uploads.empty();
}

/// A layer that a test spoils in one way.
class Spoilt : public ObjectStoreLayer {
 public:
  Spoilt() : ObjectStoreLayer(objects::make_memory_object_store()) {}
  using ObjectStoreLayer::begin_multipart, ObjectStoreLayer::complete_multipart, ObjectStoreLayer::get,
      ObjectStoreLayer::head, ObjectStoreLayer::list, ObjectStoreLayer::put, ObjectStoreLayer::remove;
  /// What is there behind its back.
  ObjectStore& truth() { return under(); }
};

TEST(DoctorTest, StoresThatDoAsTheyShouldAreSoundAndLeftAsTheyWere) {
  const testing::TemporaryFolder folder;
  for (const auto& store :
       {objects::make_memory_object_store(), objects::make_filesystem_object_store(folder.path())}) {
    store->put("of somebody else", as_bytes("x"));
    const DoctorReport report = examine(*store, {.prefix = "data/"});
    EXPECT_TRUE(report.sound()) << told(report);
    EXPECT_THAT(report.left_over, IsEmpty());
    EXPECT_GE(report.findings.size(), 16U);
    for (const DoctorFinding& finding : report.findings) {
      EXPECT_TRUE(finding.verdict == Soundness::sound || finding.check == "proof of what arrived")
          << told(report);
      EXPECT_FALSE(finding.found.empty() || finding.meaning.empty()) << finding.check;
    }
    EXPECT_TRUE(is_empty(*store, "data/"));
    EXPECT_EQ(store->list("", "", 10).objects.size(), 1U);
  }
}

TEST(DoctorTest, EverythingIsMadeUnderThePrefix) {
  class Watched final : public Spoilt {
   public:
    PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
      EXPECT_THAT(std::string(name), StartsWith("mine/doctor."));
      return Spoilt::put(name, body, options);
    }
    std::string begin_multipart(std::string_view name, std::uint64_t size, const CallOptions& call) override {
      EXPECT_THAT(std::string(name), StartsWith("mine/doctor."));
      return Spoilt::begin_multipart(name, size, call);
    }
  } store;
  examine(store, {.prefix = "mine/"});
}

TEST(DoctorTest, IgnoredConditionsAreNoticed) {
  class Ignores final : public Spoilt {
   public:
    PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
      return Spoilt::put(name, body, {.call = options.call});
    }
  } store;
  const DoctorReport report = examine(store);
  for (const char* check : {"put only if absent", "put if it matches"}) {
    const DoctorFinding finding = finding_of(report, check);
    EXPECT_EQ(finding.verdict, Soundness::noted) << told(report);
    EXPECT_THAT(finding.found, HasSubstr("ignored"));
    EXPECT_THAT(finding.meaning, HasSubstr("does not depend on it"));
  }
  EXPECT_TRUE(report.sound()) << "db4 depends on no condition:\n" << told(report);
}

TEST(DoctorTest, ConditionsThatAreUnknownAreNoticed) {
  class Refuses final : public Spoilt {
   public:
    PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
      if (options.only_if_absent || !options.if_match.empty())
        throw Error(ErrorCode::unsupported, "no conditions here", "do without");
      return Spoilt::put(name, body, options);
    }
  } store;
  const DoctorReport report = examine(store);
  EXPECT_THAT(finding_of(report, "put only if absent").found, HasSubstr("no such condition"));
  EXPECT_EQ(finding_of(report, "put if it matches").verdict, Soundness::noted);
}

TEST(DoctorTest, ListsThatLieAreUnsound) {
  class Late final : public Spoilt {
   public:
    ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                    const CallOptions& call) override {
      ObjectPage page = Spoilt::list(prefix, after, limit, call);
      if (!page.objects.empty()) page.objects.pop_back();
      return page;
    }
  } late;
  EXPECT_EQ(finding_of(examine(late), "list").verdict, Soundness::unsound);
  class Backwards final : public Spoilt {
   public:
    ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                    const CallOptions& call) override {
      ObjectPage page = Spoilt::list(prefix, after, limit, call);
      std::ranges::reverse(page.objects);
      return page;
    }
  } backwards;
  EXPECT_THAT(finding_of(examine(backwards), "list").found, HasSubstr("not in byte order"));
  class Hasty final : public Spoilt {
   public:
    ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                    const CallOptions& call) override {
      ObjectPage page = Spoilt::list(prefix, after, limit, call);
      page.more = false;
      return page;
    }
  } hasty;
  const DoctorReport report = examine(hasty);
  EXPECT_EQ(finding_of(report, "list").verdict, Soundness::sound);
  EXPECT_EQ(finding_of(report, "list in pages").verdict, Soundness::unsound);
  EXPECT_FALSE(report.sound());
}

TEST(DoctorTest, WrongReceiptsThatAreAcceptedAreNoticed) {
  class Trusts : public Spoilt {
   public:
    explicit Trusts(bool swears) : swears_(swears) {}
    PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                                 std::span<const ObjectPart> parts, const CallOptions& call) override {
      std::vector<ObjectPart> right(parts.begin(), parts.end());
      const auto arrived = list_parts(name, upload_id, 0, 1000, call);
      for (const ObjectPart& there : arrived->parts) {
        if (there.number <= right.size()) right[there.number - 1] = there;
      }
      PutResult result = Spoilt::complete_multipart(name, upload_id, right, call);
      result.verified = swears_;
      return result;
    }

   private:
    bool swears_;
  };
  Trusts trusts(false);
  const DoctorFinding finding = finding_of(examine(trusts), "wrong receipts of parts");
  EXPECT_EQ(finding.verdict, Soundness::noted);
  EXPECT_THAT(finding.meaning, HasSubstr("read back"));
  Trusts swears(true);
  EXPECT_EQ(finding_of(examine(swears), "wrong receipts of parts").verdict, Soundness::unsound);
}

TEST(DoctorTest, AStoreThatSwearsToWhatItDoesNotHoldIsUnsound) {
  class Garbles final : public Spoilt {
   public:
    PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
      Bytes other(body.begin(), body.end());
      if (other.size() == 2000) other[1234] ^= std::byte{1};
      PutResult result = Spoilt::put(name, other, options);
      result.verified = true;
      return result;
    }
  } store;
  const DoctorReport report = examine(store);
  EXPECT_FALSE(report.sound());
  EXPECT_EQ(report.findings.size(), 1U) << "nothing else is worth trying:\n" << told(report);
  EXPECT_TRUE(is_empty(store.truth()));
}

TEST(DoctorTest, ClocksThatDifferAreNoticed) {
  class Shifted final : public Spoilt {
   public:
    std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override {
      auto info = Spoilt::head(name, call);
      if (info) info->modified += by;
      return info;
    }
    std::chrono::seconds by{};
  } store;
  const auto clock_finding = [&](std::chrono::seconds by) {
    store.by = by;
    return finding_of(examine(store, {.uploads = false}), "clock");
  };
  EXPECT_EQ(clock_finding(std::chrono::seconds{0}).verdict, Soundness::sound);
  EXPECT_EQ(clock_finding(std::chrono::minutes{2}).verdict, Soundness::noted);
  EXPECT_EQ(clock_finding(std::chrono::hours{-1}).verdict, Soundness::unsound);
  EXPECT_THAT(clock_finding(std::chrono::hours{-1}).found, HasSubstr("behind"));
  EXPECT_THAT(clock_finding(std::chrono::hours{1}).found, HasSubstr("ahead"));
}

TEST(DoctorTest, AStoreWithoutUploadsInPartsIsNoticed) {
  class Without final : public Spoilt {
   public:
    std::string begin_multipart(std::string_view, std::uint64_t, const CallOptions&) override {
      throw Error(ErrorCode::unsupported, "no parts here", "do without");
    }
  } store;
  const DoctorReport report = examine(store);
  EXPECT_EQ(finding_of(report, "uploads in parts").verdict, Soundness::noted);
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(finding_of(examine(store, {.uploads = false}), "uploads in parts").verdict, Soundness::skipped);
}

TEST(DoctorTest, AStoreThatIsAwayIsAFindingNotAnError) {
  class Away final : public Spoilt {
   public:
    PutResult put(std::string_view, ByteView, const PutOptions&) override {
      throw Error(ErrorCode::unavailable, "nobody is there", "try later");
    }
  } store;
  const DoctorReport report = examine(store);
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_THAT(report.findings[0].found, HasSubstr("nobody is there"));
  EXPECT_EQ(report.findings[0].meaning, "try later");
  EXPECT_FALSE(report.sound());
}

TEST(DoctorTest, WhatCannotBeRemovedIsNamed) {
  class Keeps final : public Spoilt {
   public:
    bool remove(std::string_view name, const CallOptions& call) override {
      if (name.ends_with("/timed"))
        throw Error(ErrorCode::permission_denied, "it stays", "ask for the right");
      return Spoilt::remove(name, call);
    }
  } store;
  const DoctorReport report = examine(store);
  ASSERT_EQ(report.left_over.size(), 1U);
  EXPECT_THAT(report.left_over[0], HasSubstr("/timed"));
}

TEST(DoctorTest, AStopEndsItAndLeavesNothing) {
  class Stops final : public Spoilt {
   public:
    ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                    const CallOptions& call) override {
      source.request_stop();
      if (call.stop.stop_requested()) throw Error(ErrorCode::cancelled, "stopped", "run it again");
      return Spoilt::list(prefix, after, limit, call);
    }
    std::stop_source source;
  } store;
  try {
    examine(store, {.stop = store.source.get_token()});
    FAIL() << "it was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
  EXPECT_TRUE(is_empty(store.truth()));
}

}  // namespace
}  // namespace db4
