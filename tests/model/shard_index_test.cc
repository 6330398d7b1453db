#include "model/shard_index.h"

#include <gmock/gmock.h>

#include "support.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(ShardIndex, ReadsTheWeightMap) {
  const auto index = parse_shard_index(
      R"({"metadata":{"total_size":8},"weight_map":{"b":"model-2.safetensors","a":"model-1.safetensors"}})", "i");
  ASSERT_TRUE(index) << message_of(index);
  EXPECT_THAT(*index, ElementsAre(Pair("a", "model-1.safetensors"), Pair("b", "model-2.safetensors")));
}

TEST(ShardIndex, NeedsAWeightMap) {
  for (const char* text : {"{}", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":null})"})
    EXPECT_THAT(message_of(parse_shard_index(text, "i")), HasSubstr("i: weight_map: expected")) << text;
  for (const char* text : {"", "x", "{", "[]", "3", "{\"weight_map\":{\"a\":\"x.safetensors\",}}"})
    EXPECT_THAT(message_of(parse_shard_index(text, "i")), HasSubstr("JSON")) << text;
  EXPECT_THAT(message_of(parse_shard_index(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})", "i")),
              HasSubstr("a: expected each key once"));
}

TEST(ShardIndex, KeepsShardsInTheDirectory) {
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..", ".", "", ".safetensors",
                           "..\\\\x.safetensors", "C:x.safetensors", ".hidden.safetensors", "x\\u0000.safetensors",
                           "x\\n.safetensors", "x.bin", "x.safetensors/"})
    EXPECT_THAT(message_of(parse_shard_index(std::string(R"({"weight_map":{"a":")") + name + "\"}}", "i")),
                HasSubstr("weight_map.a: expected the name of a .safetensors file"))
        << name;
  EXPECT_THAT(message_of(parse_shard_index(R"({"weight_map":{"a":3}})", "i")), HasSubstr("found number"));
  const std::string longer(300, 'x');
  EXPECT_THAT(message_of(parse_shard_index(R"({"weight_map":{"a":")" + longer + ".safetensors\"}}", "i")),
              HasSubstr("weight_map.a"));
}

}  // namespace
}  // namespace assay
