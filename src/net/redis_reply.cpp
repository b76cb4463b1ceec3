#include "net/redis_reply.hpp"

#include <hiredis/hiredis.h>

#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace db4::net {
namespace {

/// Elements of one array; ours have a few hundred.
constexpr std::size_t kMaxElements = 1 << 20;
/// The reader's own buffer is kept up to this size between replies.
constexpr std::size_t kKeptBufferBytes = 256 << 10;

// hiredis 1 counts elements in another type.
using Count = std::conditional_t<(HIREDIS_MAJOR >= 1), std::size_t, int>;

/// Where a task's reply goes: into its parent's array, or on the heap where it has none.
RedisReply* place_of(const redisReadTask* task) {
  if (task->parent == nullptr) return new RedisReply;
  return &static_cast<RedisReply*>(task->parent->obj)->array[static_cast<std::size_t>(task->idx)];
}

// hiredis is written in C: nothing may be thrown through it. Null is "no memory" to it.
template <typename Fill>
void* filled(const redisReadTask* task, const Fill& fill) noexcept {
  RedisReply* reply = nullptr;
  try {
    reply = place_of(task);
    fill(*reply);
    return reply;
  } catch (const std::exception&) {
    if (task->parent == nullptr) delete reply;
    return nullptr;
  }
}

void* make_string(const redisReadTask* task, char* text, std::size_t size) {
  return filled(task, [&](RedisReply& reply) {
    reply.type = task->type == REDIS_REPLY_ERROR    ? RedisReply::Type::error
                 : task->type == REDIS_REPLY_STATUS ? RedisReply::Type::status
                                                    : RedisReply::Type::text;
    reply.text.assign(text, size);
  });
}
void* make_array(const redisReadTask* task, Count count) {
  return filled(task, [&](RedisReply& reply) {
    reply.type = RedisReply::Type::array;
    if (std::cmp_greater(count, kMaxElements)) throw std::bad_alloc();
    reply.array.resize(static_cast<std::size_t>(count));
  });
}
void* make_integer(const redisReadTask* task, long long value) {  // NOLINT(google-runtime-int): hiredis's
  return filled(task, [&](RedisReply& reply) {
    reply.type = RedisReply::Type::integer;
    reply.integer = value;
  });
}
void* make_nil(const redisReadTask* task) {
  return filled(task, [](RedisReply&) {});
}
void free_reply(void* reply) { delete static_cast<RedisReply*>(reply); }

redisReplyObjectFunctions* functions() {
  static redisReplyObjectFunctions table = [] {
    redisReplyObjectFunctions made{};
    made.createString = make_string;
    made.createArray = make_array;
    made.createInteger = make_integer;
    made.createNil = make_nil;
    made.freeObject = free_reply;
    return made;
  }();
  return &table;
}

redisReader* as_reader(void* reader) { return static_cast<redisReader*>(reader); }
void free_reader(void* reader) { ::redisReaderFree(as_reader(reader)); }

}  // namespace

void append_command(std::string& out, RedisWords words) {
  constexpr std::size_t kUsual = 8;
  const char* few_pointers[kUsual];
  std::size_t few_sizes[kUsual];
  std::vector<const char*> pointers;
  std::vector<std::size_t> sizes;
  const char** texts = few_pointers;
  std::size_t* lengths = few_sizes;
  if (words.size() > kUsual) {
    pointers.resize(words.size());
    sizes.resize(words.size());
    texts = pointers.data();
    lengths = sizes.data();
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    texts[i] = words[i].data() == nullptr ? "" : words[i].data();
    lengths[i] = words[i].size();
  }
  char* command = nullptr;
  const auto size = ::redisFormatCommandArgv(&command, static_cast<int>(words.size()), texts, lengths);
  if (size < 0 || command == nullptr) throw std::bad_alloc();
  const std::unique_ptr<char, void (*)(char*)> owner(command, &::redisFreeCommand);
  out.append(command, static_cast<std::size_t>(size));
}

ReplyReader::ReplyReader(std::size_t max_bytes)
    : reader_(::redisReaderCreateWithFunctions(functions()), &free_reader), max_bytes_(max_bytes) {
  if (reader_ == nullptr) throw std::bad_alloc();
  as_reader(reader_.get())->maxbuf = kKeptBufferBytes;
}

ReplyReader::~ReplyReader() = default;
ReplyReader::ReplyReader(ReplyReader&&) noexcept = default;

void ReplyReader::feed(std::string_view bytes) {
  fed_ += bytes.size();
  if (::redisReaderFeed(as_reader(reader_.get()), bytes.data(), bytes.size()) != REDIS_OK) {
    throw std::bad_alloc();
  }
}

bool ReplyReader::empty() const noexcept {
  const redisReader* const reader = as_reader(reader_.get());
  return reader->pos == reader->len;
}

std::optional<RedisReply> ReplyReader::next() {
  void* whole = nullptr;
  if (::redisReaderGetReply(as_reader(reader_.get()), &whole) != REDIS_OK) {
    throw Error(ErrorCode::unavailable,
                std::string("the answer is not Redis's protocol (") + as_reader(reader_.get())->errstr + ")",
                "check host and port");
  }
  if (whole == nullptr) {
    if (fed_ <= max_bytes_) return std::nullopt;
    throw Error(ErrorCode::too_large, "the answer is over " + std::to_string(max_bytes_) + " bytes",
                "ask for less");
  }
  const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(whole));
  fed_ = 0;
  return std::move(*reply);
}

}  // namespace db4::net
