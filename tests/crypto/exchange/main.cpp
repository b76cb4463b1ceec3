// db4's side of tests/crypto/independent.py: `seal FOLDER` seals what items.json lists, with random content
// and keys of its own; `check FOLDER` opens what is in there, and ends with 1 where anything is not what it
// should be.

#include "crypto/key_source.hpp"
#include "crypto/sealed_stream.hpp"

#include <db4/encryption.hpp>
#include <db4/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

namespace db4::crypto {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, ByteView bytes) {
  std::ofstream out(path, std::ios::binary);
  out << as_text(bytes) << std::flush;
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

/// The names live as long as this.
struct Item {
  explicit Item(const nlohmann::json& json)
      : file(json.at("file")),
        store_id(json.at("store_id")),
        collection(json.at("collection").is_null() ? "" : json.at("collection")),
        id(json.at("id").is_null() ? "" : json.at("id")),
        size(json.at("size")),
        stream(json.at("kind") == "stream"),
        padding(json.at("padded").get<bool>() ? Padding::padme : Padding::none) {
    context.store_id = store_id;
    if (!json.at("collection").is_null()) context.collection = collection;
    if (!json.at("id").is_null()) context.id = id;
    context.version = json.at("version");
    context.codec = json.at("codec");
  }
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
  ~Item() = default;

  std::string file;
  std::string store_id;
  std::string collection;
  std::string id;
  std::size_t size = 0;
  bool stream = false;
  Padding padding = Padding::none;
  SealContext context = {};
};

Bytes seal_stream(EncryptionManager& manager, const Item& item, ByteView plaintext) {
  StreamSealer sealer(*manager.keys().for_sealing(), item.context, *system_random(), kMinSegmentShift);
  const StreamLayout layout = StreamLayout::of_plaintext(plaintext.size(), kMinSegmentShift);
  Bytes out(layout.sealed_bytes());
  std::ranges::copy(sealer.header(), out.begin());
  for (std::uint64_t i = 0; i < layout.segments(); ++i) {
    sealer.seal_segment(plaintext.subspan(i * layout.segment_bytes(), layout.size_of(i)),
                        i + 1 == layout.segments(),
                        std::span(out).subspan(layout.sealed_offset(i), layout.size_of(i) + kTagBytes));
  }
  return out;
}

Bytes open_stream(EncryptionManager& manager, const Item& item, ByteView sealed) {
  const KeyId id = parse_sealed_header(sealed).key_id;
  const StreamOpener opener(*manager.keys().for_opening(id), item.context, sealed.first(kSealedHeaderBytes),
                            sealed.size());
  Bytes out;
  for (std::uint64_t i = 0; i < opener.layout().segments(); ++i) {
    Bytes segment(opener.layout().size_of(i));
    opener.open_segment(i, sealed.subspan(opener.layout().sealed_offset(i), segment.size() + kTagBytes),
                        segment);
    std::ranges::copy(segment, std::back_inserter(out));
  }
  return out;
}

EncryptionManager& initialized(EncryptionManager& manager) {
  manager.initialize();
  return manager;
}

void seal(const fs::path& folder, const nlohmann::json& items) {
  const MasterKey master = generate_master_key();
  write_master_key_file(master, folder / "master");
  EncryptionManager made(
      {.master_key = master, .key_store = std::make_shared<FileKeyStore>(folder / "ring")});
  EncryptionManager& manager = initialized(made);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i == items.size() / 2) manager.rotate_key();
    const Item item(items[i]);
    Bytes plaintext(item.size);
    system_random()->fill(plaintext);
    write_file(folder / (item.file + ".plain"), plaintext);
    write_file(folder / (item.file + ".sealed"), item.stream
                                                     ? seal_stream(manager, item, plaintext)
                                                     : manager.seal(plaintext, item.context, item.padding));
  }
}

void check(const fs::path& folder, const nlohmann::json& items) {
  EncryptionManager made({.master_key = master_key_from_file(folder / "master"),
                          .key_store = std::make_shared<FileKeyStore>(folder / "ring"),
                          .create_key_ring = false});
  EncryptionManager& manager = initialized(made);
  for (const nlohmann::json& listed : items) {
    const Item item(listed);
    const std::string sealed = read_file(folder / (item.file + ".sealed"));
    const Bytes opened = item.stream ? open_stream(manager, item, as_bytes(sealed))
                                     : manager.open(as_bytes(sealed), item.context);
    if (as_text(opened) != read_file(folder / (item.file + ".plain"))) {
      throw std::runtime_error("item " + item.file + " opens to something else");
    }
  }
}

}  // namespace
}  // namespace db4::crypto

int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: db4_crypto_exchange seal|check FOLDER");
  const std::filesystem::path folder = argv[2];
  const nlohmann::json items = nlohmann::json::parse(db4::crypto::read_file(folder / "items.json"));
  if (std::string_view(argv[1]) == "seal") {
    db4::crypto::seal(folder, items);
  } else {
    db4::crypto::check(folder, items);
  }
  return 0;
} catch (const std::exception& failure) {
  std::cerr << failure.what() << "\n";
  return 1;
}
