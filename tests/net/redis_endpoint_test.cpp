#include "net/redis_endpoint.hpp"

#include <db4/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RedisEndpoint parse(std::string_view text) { return parse_redis_endpoint(text, "warm.endpoint"); }

TEST(RedisEndpoint, ReadsServers) {
  const RedisEndpoint plain = parse("redis://cache.example");
  EXPECT_EQ(plain.host, "cache.example");
  EXPECT_EQ(plain.port, "6379");
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.database, 0U);
  EXPECT_EQ(plain.shown(), "redis://cache.example:6379");

  const RedisEndpoint full = parse("rediss://us%40er:p%3Ass%2F@[::1]:7000/12");
  EXPECT_TRUE(full.tls);
  EXPECT_EQ(full.username, "us@er");
  EXPECT_EQ(full.password.reveal(), "p:ss/");
  EXPECT_EQ(full.host, "::1");
  EXPECT_EQ(full.port, "7000");
  EXPECT_EQ(full.database, 12U);
  EXPECT_EQ(full.shown(), "rediss://[::1]:7000");

  EXPECT_EQ(parse("redis://:secret@h").password.reveal(), "secret");
  EXPECT_EQ(parse("redis://:secret@h").username, "");
  EXPECT_EQ(parse("redis://:a%3A@h").password.reveal(), "a:");
  EXPECT_EQ(parse("redis://h:1/").database, 0U);
}

TEST(RedisEndpoint, ReadsSockets) {
  EXPECT_EQ(parse("unix:///run/redis/redis.sock").socket_path, "/run/redis/redis.sock");
  EXPECT_EQ(parse("/run/redis/redis.sock").socket_path, "/run/redis/redis.sock");
  EXPECT_EQ(parse("/a path/redis.sock").socket_path, "/a path/redis.sock");
  const RedisEndpoint numbered = parse("unix:///run/redis.sock?db=3");
  EXPECT_EQ(numbered.database, 3U);
  EXPECT_EQ(numbered.shown(), "unix:///run/redis.sock");
}

TEST(RedisEndpoint, RefusesWhatIsNoneWithoutShowingThePassword) {
  for (const char* text : {"",
                           "localhost",
                           "http://h",
                           "redis://",
                           "redis://:6379",
                           "redis://h:0",
                           "redis://h:65536",
                           "redis://h:x",
                           "redis://h:",
                           "redis://h/x",
                           "redis://h/1/2",
                           "redis://h/-1",
                           "redis://h?x",
                           "redis://h#x",
                           "redis://::1",
                           "redis://[::1",
                           "redis://[::1]x",
                           "redis://us%4:hidden@h",
                           "redis://user:hidden@",
                           "redis://a b:hidden@h",
                           "unix://relative",
                           "unix:///",
                           "unix:///a?db=x",
                           "redis://h/99999999999"}) {
    try {
      (void)parse(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("warm.endpoint")) << text;
      EXPECT_THAT(error.what(), Not(HasSubstr("hidden"))) << text;
    }
  }
}

}  // namespace
}  // namespace db4::net
