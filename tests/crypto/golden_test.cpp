// Files that an earlier db4 sealed stay readable: tests/golden/ holds one of each. With a seeded source in
// the place of the random one they are sealed the same, byte for byte. Run with
// --gtest_also_run_disabled_tests
// --gtest_filter='*WriteSealedGoldenFiles' to write those of a new format; old ones are never replaced.

#include "crypto/key_lifecycle.hpp"
#include "crypto_fixtures.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace db4::crypto {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(DB4_SOURCE_DIR) / "tests" / "golden";
constexpr std::string_view kText = R"({"name":"Ada","visits":[1,2,3]})";

std::string read_file(const std::string& name) {
  std::ifstream in(kGolden / name, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

Bytes make_message(Padding padding) {
  const SealKey key(kFirstId, counting_key());
  Bytes out(sealed_size(kText.size(), padding));
  seal_message(key, kContext, as_bytes(kText), padding, *seeded_random(1), out);
  return out;
}

Bytes make_stream() {
  const SealKey key(kFirstId, counting_key());
  StreamSealer sealer(key, kContext, *seeded_random(2), kMinSegmentShift);
  Bytes out(sealer.header().begin(), sealer.header().end());
  const Bytes plaintext = pattern(1'500);
  const StreamLayout layout = StreamLayout::of_plaintext(plaintext.size(), kMinSegmentShift);
  out.resize(layout.sealed_bytes());
  for (std::uint64_t i = 0; i < layout.segments(); ++i) {
    sealer.seal_segment(ByteView(plaintext).subspan(i * layout.segment_bytes(), layout.size_of(i)),
                        i + 1 == layout.segments(),
                        std::span(out).subspan(layout.sealed_offset(i), layout.size_of(i) + kTagBytes));
  }
  return out;
}

/// As Vault makes it.
const std::string kWrappedMaster = "vault:v1:" + std::string(80, 'A');

std::string make_ring(const std::string& wrapped_master = {}) {
  const auto random = seeded_random(3);
  KeyRing ring = make_key_ring(*random);
  ring.wrapped_master = wrapped_master;
  const RingKeys keys(KeyView(counting_key(100)), ring.id);
  ring.master_check = keys.check();
  const TimePoint now{std::chrono::seconds{1'700'000'000}};
  add_active_key(ring, now, std::chrono::hours{24}, keys, *random);
  add_active_key(ring, now, std::chrono::hours{24}, keys, *random);
  add_active_key(ring, now, std::chrono::hours{24}, keys, *random);
  schedule_destruction(ring.keys[0], now + std::chrono::hours{1}, /*forced=*/true);
  destroy(ring.keys[0]);
  ring.generation = 4;
  return encode_key_ring(ring, keys);
}

TEST(SealedGoldenTest, MessagesOfFormat1AreReadableAndSealedAsEver) {
  const SealKey key(kFirstId, counting_key());
  for (const auto& [name, padding] : {std::pair{"sealed_v1_message.bin", Padding::none},
                                      std::pair{"sealed_v1_padded.bin", Padding::padme}}) {
    const std::string sealed = read_file(name);
    Bytes out(sealed.size());
    out.resize(open_message(key, kContext, as_bytes(sealed), out));
    EXPECT_EQ(as_text(out), kText);
    EXPECT_EQ(as_text(make_message(padding)), sealed);
  }
}

TEST(SealedGoldenTest, StreamOfFormat1IsReadableAndSealedAsEver) {
  const SealKey key(kFirstId, counting_key());
  const std::string sealed = read_file("sealed_v1_stream.bin");
  const StreamOpener opener(key, kContext, as_bytes(sealed).first(kSealedHeaderBytes), sealed.size());
  Bytes out(opener.layout().plaintext_bytes());
  opener.read(0, out, [&](std::uint64_t at, std::span<std::byte> into) {
    std::ranges::copy(as_bytes(sealed).subspan(at, into.size()), into.begin());
  });
  EXPECT_EQ(out, pattern(1'500));
  EXPECT_EQ(as_text(make_stream()), sealed);
}

TEST(SealedGoldenTest, KeyRingOfFormat1IsReadableAndWrittenAsEver) {
  const std::string bytes = read_file("key_ring_v1.bin");
  const KeyRing ring = parse_key_ring(bytes);
  const RingKeys keys(*master_key_from_bytes(counting_key(100)).state(), ring.id, ring.passphrase);
  EXPECT_NO_THROW(check_key_ring(ring, bytes, keys));
  ASSERT_EQ(ring.keys.size(), 3);
  EXPECT_EQ(ring.keys[0].state, KeyState::destroyed);
  EXPECT_EQ(ring.keys[1].state, KeyState::decrypt_only);
  EXPECT_EQ(ring.keys[2].state, KeyState::active);
  EXPECT_NO_THROW(unwrap_key(ring.keys[2], ring.id, keys));
  EXPECT_EQ(make_ring(), bytes);
}

TEST(SealedGoldenTest, KeyRingOfAKeyServiceIsReadableAndWrittenAsEver) {
  const std::string bytes = read_file("key_ring_v1_service.bin");
  const KeyRing ring = parse_key_ring(bytes);
  EXPECT_EQ(ring.wrapped_master, kWrappedMaster);
  const RingKeys keys(KeyView(counting_key(100)), ring.id);
  EXPECT_NO_THROW(check_key_ring(ring, bytes, keys));
  ASSERT_EQ(ring.keys.size(), 3);
  EXPECT_NO_THROW(unwrap_key(ring.keys[2], ring.id, keys));
  EXPECT_EQ(make_ring(kWrappedMaster), bytes);
}

TEST(SealedGoldenTest, DISABLED_WriteSealedGoldenFiles) {
  const auto write = [](const std::string& name, std::string_view bytes) {
    if (std::filesystem::exists(kGolden / name)) return;  // old files are never replaced
    std::ofstream out(kGolden / name, std::ios::binary);
    out << bytes << std::flush;
    ASSERT_TRUE(out.good());
  };
  write("sealed_v1_message.bin", as_text(make_message(Padding::none)));
  write("sealed_v1_padded.bin", as_text(make_message(Padding::padme)));
  write("sealed_v1_stream.bin", as_text(make_stream()));
  write("key_ring_v1.bin", make_ring());
  write("key_ring_v1_service.bin", make_ring(kWrappedMaster));
}

}  // namespace
}  // namespace db4::crypto
