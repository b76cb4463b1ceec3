// Large documents of an encrypted store: sealed as they are uploaded, read in ranges, resumed, refused where
// anything about them is not as it was.
#include "cold/sealed_large_fixtures.hpp"
#include "sealing/framed_record.hpp"

namespace db4::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(SealedLargeTest, GiveBackEverySizeAroundFramesAndParts) {
  int number = 0;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kFrame - 1, kFrame, kFrame + 1,
                                 std::size_t{kPart}, std::size_t{3'000'017}}) {
    const std::string id = "v" + std::to_string(number++);
    const Bytes content = content_of(size);
    write(content, {.content_type = "video/mp4"}, id);
    EXPECT_TRUE(read({}, id) == content) << size;
    const auto document = store_->read("videos", id, {.promote = false});
    ASSERT_TRUE(document);
    EXPECT_TRUE(std::ranges::equal(document->bytes(), content));
    EXPECT_EQ(document->meta().content_type, "video/mp4");
  }
}

TEST_F(SealedLargeTest, RangesAreThePartsOfTheWhole) {
  write(content_);
  const std::size_t size = content_.size();
  for (const auto& [offset, length] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 1},
                                                                                       {kFrame - 1, 2},
                                                                                       {kFrame, kFrame},
                                                                                       {size - 1, 1},
                                                                                       {size, 0},
                                                                                       {1'234'567, 987'654},
                                                                                       {size - 5, 100}}) {
    const auto begin = content_.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto expected = static_cast<std::ptrdiff_t>(std::min(length, size - offset));
    EXPECT_TRUE(read({.offset = offset, .length = length}) == Bytes(begin, begin + expected)) << offset;
  }
}

TEST_F(SealedLargeTest, NothingOfTheContentIsStoredInTheOpen) {
  const std::string canary = "canary: sixty-four bytes that nobody but the owner shall ever see";
  Bytes content = content_;
  for (std::size_t at = 100; at + canary.size() < content.size(); at += 90'001) {
    std::ranges::copy(as_bytes(canary), content.begin() + static_cast<std::ptrdiff_t>(at));
  }
  break_off(content, "up");
  store_->close();
  EXPECT_FALSE(hot_has(canary.substr(0, 16))) << "an unfinished session";
  open();
  cold().resume_upload("up", ByteSource::bytes(content));
  EXPECT_TRUE(read() == content);
  const Bytes stored = bytes_of(object());
  EXPECT_EQ(as_text(stored).find(canary.substr(0, 16)), std::string_view::npos);
  EXPECT_EQ(as_text(stored).find("videos"), std::string_view::npos) << "whose it is";
  store_->close();
  EXPECT_FALSE(hot_has(canary.substr(0, 16)));
  // The same search finds it where nothing is sealed.
  const TemporaryFolder other;
  const auto plain_objects = objects::make_memory_object_store();
  TieredStore plain(
      {.hot = {.type = kDiskEngine, .path = other.path() / "hot"}, .tiering = {.interval = 0ms}},
      Components{.object_store = plain_objects});
  plain.cold_storage().write_large("videos", "v", ByteSource::bytes(content));
  const auto listed = plain_objects->list("", "", 1).objects.at(0);
  EXPECT_NE(as_text(plain_objects->get(listed.name, 1ULL << 30).value()).find(canary),
            std::string_view::npos);
}

TEST_F(SealedLargeTest, TheSameSourceGivesOtherBytesEachTime) {
  write(content_);
  const Bytes one = bytes_of(object());
  EXPECT_TRUE(store_->remove("videos", "v"));
  clock_->advance(24h);
  cold().collect_garbage();
  write(content_);
  const Bytes two = bytes_of(object());
  ASSERT_EQ(one.size(), two.size());
  std::size_t same = 0;
  for (std::size_t i = 4'096; i < one.size(); ++i) same += one[i] == two[i] ? 1 : 0;
  EXPECT_LT(same, one.size() / 64);
}

TEST_F(SealedLargeTest, NoByteIsDeliveredBeforeItWasChecked) {
  const Bytes large = content_of(20'000'000, 3);  // three pieces
  cold().write_large("videos", "v", ByteSource::bytes(large), {});
  const ObjectInfo info = object();
  const Bytes whole = bytes_of(info);
  const std::size_t stride = kFrame + 88;
  const std::size_t header = whole.size() - large.size() - (large.size() + kFrame - 1) / kFrame * 88;
  for (std::size_t frame = 0; header + frame * stride < whole.size(); ++frame) {
    const std::size_t size = std::min(stride, whole.size() - header - frame * stride);
    Bytes damaged = whole;
    // Somewhere else in each: in what sealing adds, in the content, in the tag.
    damaged[header + frame * stride + (frame * 40'503) % size] ^= static_cast<std::byte>(1U << (frame % 8));
    memory_->put(info.name, damaged);
    Bytes out;
    const Error error = error_of([&] {
      cold().read_large("videos", "v",
                        [&](ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); });
    });
    EXPECT_TRUE(error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported) << frame;
    EXPECT_LE(out.size(), frame * kFrame);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), large.begin())) << frame;
  }
  // Another frame than the damaged one is read all the same.
  const Bytes tail = read({.offset = 0, .length = 100});
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), large.begin()));
}

TEST_F(SealedLargeTest, AnObjectThatIsCutShortExtendedOrAnotherOneIsDamage) {
  write(content_);
  const ObjectInfo info = object();
  const Bytes whole = bytes_of(info);
  const auto refusal = [&](const Bytes& bytes) {
    memory_->put(info.name, bytes);
    std::size_t delivered = 0;
    const Error error = error_of(
        [&] { cold().read_large("videos", "v", [&](ByteView piece) { delivered += piece.size(); }); });
    EXPECT_EQ(delivered, 0U);
    return error.code();
  };
  Bytes bytes = whole;
  bytes.pop_back();
  EXPECT_EQ(refusal(bytes), ErrorCode::corrupt);
  bytes.resize(whole.size() - kFrame - 88);
  EXPECT_EQ(refusal(bytes), ErrorCode::corrupt);
  bytes.resize(2'000);
  EXPECT_EQ(refusal(bytes), ErrorCode::corrupt);
  bytes = whole;
  EXPECT_EQ(read_again(info, bytes), content_);
}

TEST_F(SealedLargeTest, EveryFlippedBitOfTheHeaderIsDamage) {
  write(ByteView(content_).first(1));
  const ObjectInfo info = object();
  const Bytes whole = bytes_of(info);
  const std::size_t header = whole.size() - 1 - 88;
  for (std::size_t bit = 0; bit < header * 8; ++bit) {
    Bytes damaged = whole;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    memory_->put(info.name, damaged);
    EXPECT_EQ(error_of([&] { read(); }).code(), ErrorCode::corrupt) << "bit " << bit;
  }
}

TEST_F(SealedLargeTest, AFrameOfAnotherUploadOfTheSameVersionIsDamage) {
  break_off(content_, "one");
  break_off(content_, "two");
  cold().resume_upload("one", ByteSource::bytes(content_));
  const Bytes one = bytes_of(object());
  EXPECT_EQ(cold().resume_upload("two", ByteSource::bytes(content_)).version, 2U);
  clock_->advance(24h);
  cold().collect_garbage();
  const ObjectInfo info = object();
  const Bytes two = bytes_of(info);
  ASSERT_EQ(one.size(), two.size()) << "their records name the same version";
  const std::size_t header = one.size() - content_.size() - 12 * 88;
  for (std::size_t frame = 0; frame < 12; ++frame) {
    const std::size_t at = header + frame * (kFrame + 88);
    const std::size_t size = std::min<std::size_t>(kFrame + 88, one.size() - at);
    Bytes mixed = two;
    std::ranges::copy(ByteView(one).subspan(at, size), mixed.begin() + static_cast<std::ptrdiff_t>(at));
    memory_->put(info.name, mixed);
    EXPECT_EQ(error_of([&] { read(); }).code(), ErrorCode::corrupt) << frame;
  }
  EXPECT_EQ(read_again(info, two), content_);

  // All of it: each opens as the document in that version, and only the catalogue knows which it is.
  memory_->put(info.name, one);
  const Error whole = error_of([&] { read(); });
  EXPECT_EQ(whole.code(), ErrorCode::corrupt);
  EXPECT_THAT(whole.what(), HasSubstr("another upload"));
  EXPECT_EQ(error_of([&] { (void)store_->read("videos", "v"); }).code(), ErrorCode::corrupt);
  EXPECT_EQ(read_again(info, two), content_);
}

/// Whoever may write to the object store, and has no key, cannot pass off a document of their own.
TEST_F(SealedLargeTest, APlainObjectInASealedOnesPlaceIsDamage) {
  write(content_);
  const ObjectInfo info = object();
  const codec::RecordHeader header{
      .collection = "videos", .id = "v", .version = 1, .content_type = "video/mp4"};
  std::uint64_t size = info.size;  // of content, so that the object is as long as the catalogue says
  while (codec::FramedLayout(header, size).record_length() > info.size) --size;
  const sealing::FramedRecord forged{codec::FramedLayout(header, size)};
  ASSERT_EQ(forged.layout().record_length(), info.size);
  Bytes bytes(info.size);
  forged.encode(0, bytes,
                [](std::uint64_t, std::span<std::byte> frame) { std::ranges::fill(frame, std::byte{7}); });
  memory_->put(info.name, bytes);
  ASSERT_TRUE(begins_plain(object()));
  const Error error = error_of([&] { read(); });
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("plain"));
  EXPECT_EQ(error_of([&] { (void)store_->read("videos", "v"); }).code(), ErrorCode::corrupt);
}

TEST_F(SealedLargeTest, ResumesInAStoreThatWasOpenedAnew) {
  break_off(content_, "up");
  open();
  const std::uint64_t before = faulty_->count(ObjectOperation::put_part);
  const UploadResult result = cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_EQ(faulty_->count(ObjectOperation::put_part) - before, result.parts - 3) << "what arrived counts";
  EXPECT_TRUE(read() == content_);
  expect_nothing_left();
}

TEST_F(SealedLargeTest, ResumesAfterAKillAtAnyRequest) {
  for (const auto& [operation, n] :
       std::vector<std::pair<ObjectOperation, int>>{{ObjectOperation::begin_multipart, 1},
                                                    {ObjectOperation::put_part, 1},
                                                    {ObjectOperation::put_part, 5},
                                                    {ObjectOperation::complete_multipart, 1}}) {
    const std::string id = std::string(to_string(operation)) + std::to_string(n);
    die_at(operation, n);
    EXPECT_THROW(write(content_, {.concurrency = 1, .upload_id = id}), std::runtime_error);
    open_after_death();
    cold().resume_upload(id, ByteSource::bytes(content_));
    EXPECT_TRUE(read() == content_) << id;
    expect_nothing_left();
  }
}

/// The process was killed when the part had arrived and was not noted: by its digest, the same bytes again.
TEST_F(SealedLargeTest, APartThatArrivedUnnotedIsNotSentAgain) {
  faulty_->fail_nth(ObjectOperation::put_part, 4, FaultPoint::after);
  error_of([&] { write(content_, {.concurrency = 1, .upload_id = "up"}); });
  open();
  const std::uint64_t before = faulty_->count(ObjectOperation::put_part);
  const UploadResult result = cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_EQ(faulty_->count(ObjectOperation::put_part) - before, result.parts - 4);
  EXPECT_TRUE(read() == content_);
}

TEST_F(SealedLargeTest, RefusesToResumeAChangedSource) {
  break_off(content_, "up");
  Bytes other = content_;
  other[kPart + 7] ^= std::byte{1};
  const Error error = error_of([&] { cold().resume_upload("up", ByteSource::bytes(other)); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("the bytes of part"));
  EXPECT_FALSE(cold().read_large("videos", "v", [](ByteView) {}));
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_TRUE(read() == content_);
}

TEST_F(SealedLargeTest, AnUploadKeepsTheKeyItWasBegunWith) {
  const std::string old = manager_->active_key_id();
  break_off(content_, "up");
  manager_->rotate_key();
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_TRUE(read() == content_);
  EXPECT_EQ(key_id(), old);
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.failed, 0U) << result.first_error;
  EXPECT_EQ(key_id(), manager_->active_key_id());
  EXPECT_TRUE(read() == content_);
}

TEST_F(SealedLargeTest, AKeyThatAnUnfinishedUploadNeedsIsNotDestroyed) {
  const std::string old = manager_->active_key_id();
  break_off(content_, "up");
  manager_->rotate_key();
  EXPECT_EQ(store_->reencrypt().failed, 0U);
  EXPECT_EQ(error_of([&] { manager_->schedule_destruction(old); }).code(), ErrorCode::invalid_argument);
  const auto uses = store_->encryption_status().uses;
  const auto use = std::ranges::find(uses, old, &KeyUse::key_id);
  ASSERT_NE(use, uses.end());
  EXPECT_EQ(use->copies, 1U);
  EXPECT_TRUE(cold().abort_upload("up"));
  EXPECT_NO_THROW(manager_->schedule_destruction(old));
}

TEST_F(SealedLargeTest, AnUploadWhoseKeyIsGoneSaysWhatToDo) {
  const std::string old = manager_->active_key_id();
  break_off(content_, "up");
  manager_->rotate_key();
  manager_->schedule_destruction(old, {.force = true});
  Error error = error_of([&] { cold().resume_upload("up", ByteSource::bytes(content_)); });
  EXPECT_EQ(error.code(), ErrorCode::key_unavailable);
  EXPECT_EQ(error.upload_id(), "up");
  EXPECT_THAT(error.what(), HasSubstr("abort this upload"));
  manager_->cancel_destruction(old);
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_TRUE(read() == content_);

  break_off(content_, "up2");
  manager_->rotate_key();
  const std::string second = manager_->list_keys().at(1).id;
  manager_->schedule_destruction(second, {.force = true});
  clock_->advance(2h);
  manager_->process_expirations();
  error = error_of([&] { cold().resume_upload("up2", ByteSource::bytes(content_)); });
  EXPECT_EQ(error.code(), ErrorCode::key_destroyed);
  EXPECT_THAT(error.what(), HasSubstr("abort this upload"));
  EXPECT_TRUE(cold().abort_upload("up2"));
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
}

TEST_F(SealedLargeTest, ADocumentWhoseKeyIsDestroyedIsReadByNobody) {
  write(content_);
  const std::string old = manager_->active_key_id();
  manager_->rotate_key();
  EXPECT_EQ(error_of([&] { manager_->schedule_destruction(old); }).code(), ErrorCode::invalid_argument);
  manager_->schedule_destruction(old, {.force = true});
  clock_->advance(2h);
  manager_->process_expirations();
  std::size_t delivered = 0;
  EXPECT_EQ(error_of([&] {
              cold().read_large("videos", "v", [&](ByteView piece) { delivered += piece.size(); });
            }).code(),
            ErrorCode::key_destroyed);
  EXPECT_EQ(delivered, 0U);
}

TEST_F(SealedLargeTest, AnUploadThatWasBegunPlainEndsPlainAndIsSealedLater) {
  hot_ = "begun plain";
  open(How::plain);
  break_off(content_, "up");
  open(How::sealed);
  ASSERT_EQ(store_->reencrypt().failed, 0U);  // goes over the whole store, which has nothing yet
  EXPECT_FALSE(store_->encryption_status().plain_left);
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_EQ(key_id(), "");
  EXPECT_TRUE(begins_plain(object()));
  EXPECT_TRUE(store_->encryption_status().plain_left) << "and the store knows";
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.failed, 0U) << result.first_error;
  EXPECT_EQ(result.documents, 1U);
  EXPECT_FALSE(result.more);
  EXPECT_EQ(result.first_error, "");
  EXPECT_EQ(key_id(), manager_->active_key_id());
  EXPECT_FALSE(store_->encryption_status().plain_left);
  EXPECT_TRUE(read() == content_);
  expect_nothing_left();
  EXPECT_FALSE(begins_plain(object()));
}

TEST_F(SealedLargeTest, AnUploadThatWasBegunSealedEndsSealedAndIsMadePlainLater) {
  break_off(content_, "up");
  open(How::no_longer_sealed);
  EXPECT_EQ(store_->reencrypt().failed, 0U);
  open(How::no_longer_sealed);  // its keys are still known
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_NE(key_id(), "");
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.failed, 0U) << result.first_error;
  EXPECT_EQ(key_id(), "");
  EXPECT_TRUE(read() == content_);
  expect_nothing_left();
  EXPECT_TRUE(begins_plain(object()));
}

}  // namespace
}  // namespace db4::testing
