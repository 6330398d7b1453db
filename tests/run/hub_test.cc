// The cache and the downloads, against a server of the test's own that also fails in every way a network can.
#include "harness/hub/hub.h"

#include <atomic>
#include <cstdlib>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "checksum.h"
#include "http_server.h"
#include "temporary.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kCommit(40, 'c');
const std::string kToken = "hf_secret";

std::string sha256(const std::string& bytes) { return sha256_hex(std::as_bytes(std::span(bytes))); }

/// A repository, its hub, and the host that serves its large files.
class Hub : public testing::Test {
 protected:
  struct Stored {
    std::string bytes;
    bool large = false;
  };

  void SetUp() override {
    ::setenv("no_proxy", "127.0.0.1,localhost", 1);
    for (int i = 0; i < 5000; ++i) weights_ += "weights " + std::to_string(i) + "\n";
    files_["config.json"] = {R"({"model_type": "gemma4"})"};
    files_["tokenizer.json"] = {"{}"};
    files_["README.md"] = {"not needed"};
    files_["model.safetensors"] = {weights_, true};
    options_.cache = folder_ / "hub";
    options_.endpoint = hub_.url();
    options_.token = kToken;
    options_.pause = std::chrono::milliseconds(1);
    options_.stall_seconds = 5;
  }

  std::string checksum(const Stored& file) {
    if (file.large) return sha256(file.bytes);
    put(folder_ / "hashed", file.bytes);
    return checksum_of(folder_ / "hashed", std::string(40, '0')).value();
  }

  static HttpAnswer part_of(const HttpAsked& asked, const std::string& bytes) {
    const std::string range = asked.header("range");
    if (range.empty()) return {.body = bytes};
    const std::size_t from = std::stoul(range.substr(range.find('=') + 1));
    if (from >= bytes.size()) return {.status = 416};
    return {.status = 206,
            .headers = {{"Content-Range", "bytes " + std::to_string(from) + "-" + std::to_string(bytes.size() - 1) +
                                              "/" + std::to_string(bytes.size())}},
            .body = bytes.substr(from)};
  }

  HttpAnswer hub_answer(const HttpAsked& asked) {
    if (const auto failing = fail_with_.find(asked.path); failing != fail_with_.end() && failing->second.second-- > 0)
      return {.status = failing->second.first};
    if (asked.path == "/api/models/org/name/revision/main?blobs=true") return {.body = listing()};
    const std::string resolve = "/org/name/resolve/" + kCommit + "/";
    if (!asked.path.starts_with(resolve)) return {.status = 404};
    const auto file = files_.find(asked.path.substr(resolve.size()));
    if (file == files_.end()) return {.status = 404};
    if (!file->second.large) return with_etag(part_of(asked, file->second.bytes), "ETag", checksum(file->second));
    return with_etag({.status = 302, .headers = {{"Location", storage_.url() + "/blob/" + file->first}}},
                     "X-Linked-Etag", checksum(file->second));
  }

  static HttpAnswer with_etag(HttpAnswer answer, const std::string& name, const std::string& value) {
    answer.headers.emplace_back(name, '"' + value + '"');
    return answer;
  }

  std::string listing() {
    std::string out;
    for (const auto& [name, file] : files_) {
      out += (out.empty() ? "" : ",") + (R"({"rfilename": ")" + name + '"');
      if (promise_checksums_) {
        out += R"(, "size": )" + std::to_string(file.bytes.size());
        const std::string sum = lie_about_.contains(name) ? std::string(file.large ? 64 : 40, '0') : checksum(file);
        out += file.large
                   ? R"(, "lfs": {"size": )" + std::to_string(file.bytes.size()) + R"(, "sha256": ")" + sum + "\"}"
                   : R"(, "blobId": ")" + sum + '"';
      }
      out += "}";
    }
    return R"({"sha": ")" + kCommit + R"(", "siblings": [)" + out + "]}";
  }

  Result<fs::path> get(HubNeed need = HubNeed::checkpoint) {
    return hub_snapshot(*HubId::parse("org/name"), options_, need);
  }
  fs::path repo() const { return options_.cache / "models--org--name"; }
  fs::path part() const { return repo() / "blobs" / (sha256(weights_) + ".incomplete"); }

  Temporary folder_;
  std::string weights_;
  std::map<std::string, Stored> files_;
  bool promise_checksums_ = true;
  std::set<std::string> lie_about_;
  std::map<std::string, std::pair<int, int>> fail_with_;  ///< path -> status, how often
  HubOptions options_;
  std::function<HttpAnswer(const HttpAsked&)> storage_answer_ = [this](const HttpAsked& asked) {
    return part_of(asked, weights_);
  };
  HttpServer storage_{[this](const HttpAsked& asked) { return storage_answer_(asked); }};
  HttpServer hub_{[this](const HttpAsked& asked) { return hub_answer(asked); }};
};

TEST_F(Hub, MakesTheLayoutOfHuggingfaceHub) {
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(*snapshot, repo() / "snapshots" / kCommit);
  EXPECT_EQ(bytes_of(repo() / "refs" / "main"), kCommit);
  EXPECT_EQ(bytes_of(*snapshot / "model.safetensors"), weights_);
  EXPECT_EQ(fs::read_symlink(*snapshot / "model.safetensors"), "../../blobs/" + sha256(weights_));
  // printf '{}' | git hash-object --stdin
  EXPECT_EQ(fs::read_symlink(*snapshot / "tokenizer.json"), "../../blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b");
  EXPECT_FALSE(fs::exists(*snapshot / "README.md")) << "nobody needs it";
  for (const auto& entry : fs::directory_iterator(repo() / "blobs"))
    EXPECT_EQ(entry.path().extension(), "") << "nothing is left beside the blobs";
}

TEST_F(Hub, AsksNobodyForWhatItHas) {
  ASSERT_TRUE(get());
  const std::size_t before = hub_.asked().size();
  options_.offline = true;
  ASSERT_TRUE(get());
  options_.offline = false;
  ASSERT_TRUE(get());
  EXPECT_EQ(hub_.asked().size(), before);
}

TEST_F(Hub, FetchesAConfigAlone) {
  const auto snapshot = get(HubNeed::config);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_TRUE(fs::exists(*snapshot / "config.json"));
  EXPECT_FALSE(fs::exists(*snapshot / "model.safetensors"));
  ASSERT_TRUE(get()) << "the rest comes when it is needed";
  EXPECT_TRUE(fs::exists(*snapshot / "model.safetensors"));
}

TEST_F(Hub, FetchesTheShardsThatTheIndexNames) {
  files_["model.safetensors.index.json"] = {
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}})"};
  files_["model-1.safetensors"] = {"one", false};
  files_["model-2.safetensors"] = {"two", false};
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(bytes_of(*snapshot / "model-1.safetensors") + bytes_of(*snapshot / "model-2.safetensors"), "onetwo");
  EXPECT_FALSE(fs::exists(*snapshot / "model.safetensors")) << "the index does not name it";
  fs::remove(*snapshot / "model-2.safetensors");
  options_.offline = true;
  EXPECT_THAT(get().error().message(), HasSubstr("model-2.safetensors"));
}

TEST_F(Hub, AnIndexThatNamesAFileElsewhereIsRefused) {
  files_["model.safetensors.index.json"] = {R"({"weight_map": {"a": "../../x.safetensors"}})"};
  EXPECT_FALSE(get());
}

TEST_F(Hub, TheTokenStaysWithItsHost) {
  ASSERT_TRUE(get());
  for (const HttpAsked& asked : hub_.asked())
    EXPECT_EQ(asked.header("authorization"), "Bearer " + kToken) << asked.path;
  ASSERT_FALSE(storage_.asked().empty());
  for (const HttpAsked& asked : storage_.asked()) {
    EXPECT_EQ(asked.header("authorization"), "") << asked.path;
    for (const auto& [name, value] : asked.headers) EXPECT_THAT(value, Not(HasSubstr(kToken))) << name;
  }
}

TEST_F(Hub, GoesOnWhereAConnectionWasCut) {
  int times = 0;
  storage_answer_ = [&](const HttpAsked& asked) {
    HttpAnswer answer = part_of(asked, weights_);
    if (++times <= 3) answer.cut = 10000;
    return answer;
  };
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(bytes_of(*snapshot / "model.safetensors"), weights_);
  const auto asked = storage_.asked();
  ASSERT_EQ(asked.size(), 4U);
  EXPECT_EQ(asked[0].header("range"), "");
  EXPECT_EQ(asked[1].header("range"), "bytes=10000-");
  EXPECT_EQ(asked[3].header("range"), "bytes=30000-");
}

TEST_F(Hub, AnotherRunGoesOnWhereOneGaveUp) {
  storage_answer_ = [&](const HttpAsked& asked) {
    if (!asked.header("range").empty()) return HttpAnswer{.status = 503};
    HttpAnswer answer = part_of(asked, weights_);
    answer.cut = 12345;
    return answer;
  };
  const auto failed = get();
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), AllOf(HasSubstr("model.safetensors"), HasSubstr("503")));
  EXPECT_EQ(fs::file_size(part()), 12345U);
  EXPECT_FALSE(fs::exists(repo() / "snapshots" / kCommit / "model.safetensors"));
  options_.offline = true;
  EXPECT_FALSE(get()) << "half a model is none";
  options_.offline = false;
  storage_answer_ = [&](const HttpAsked& asked) { return part_of(asked, weights_); };
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(bytes_of(*snapshot / "model.safetensors"), weights_);
  EXPECT_EQ(storage_.asked().back().header("range"), "bytes=12345-");
}

TEST_F(Hub, BeginsAgainWhereAServerKnowsNoRanges) {
  int times = 0;
  storage_answer_ = [&](const HttpAsked&) { return HttpAnswer{.body = weights_, .cut = ++times == 1 ? 5000 : -1}; };
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(bytes_of(*snapshot / "model.safetensors"), weights_);
}

TEST_F(Hub, AnotherRangeThanTheOneAskedForIsNotAppended) {
  int times = 0;
  storage_answer_ = [&](const HttpAsked& asked) {
    HttpAnswer answer = part_of(asked, weights_);
    if (++times == 1) answer.cut = 5000;
    if (times == 2) {
      answer.headers = {{"Content-Range", "bytes 100-199/200"}};
      answer.body = weights_.substr(100);
    }
    return answer;
  };
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(bytes_of(*snapshot / "model.safetensors"), weights_);
}

TEST_F(Hub, WhatIsLeftOfAnotherFileIsFetchedAgain) {
  put(part(), std::string(7000, 'x'));
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(bytes_of(*snapshot / "model.safetensors"), weights_);
  ASSERT_EQ(storage_.asked().size(), 2U);
  EXPECT_EQ(storage_.asked()[0].header("range"), "bytes=7000-");
  EXPECT_EQ(storage_.asked()[1].header("range"), "");
}

TEST_F(Hub, AnIncompleteFileThatIsTooLongIsFetchedAgain) {
  put(part(), weights_ + "more");
  ASSERT_TRUE(get());
  EXPECT_EQ(bytes_of(repo() / "snapshots" / kCommit / "model.safetensors"), weights_);
}

TEST_F(Hub, AWrongChecksumNeverGetsAName) {
  for (const std::string name : {"model.safetensors", "config.json"}) {
    lie_about_ = {name};
    const auto got = get();
    ASSERT_FALSE(got) << name;
    EXPECT_THAT(got.error().message(), AllOf(HasSubstr(name), HasSubstr("checksum"), HasSubstr("00000000")));
    EXPECT_FALSE(fs::exists(repo() / "snapshots" / kCommit / name));
    EXPECT_FALSE(fs::exists(repo() / "refs" / "main"));
    fs::remove_all(options_.cache);
  }
}

TEST_F(Hub, BytesThatChangeOnTheWayAreNoticed) {
  storage_answer_ = [&](const HttpAsked& asked) {
    std::string bent = weights_;
    bent[777] ^= 1;
    return part_of(asked, bent);
  };
  EXPECT_THAT(get().error().message(), HasSubstr("checksum"));
  EXPECT_FALSE(fs::exists(part())) << "it would be resumed for ever";
}

TEST_F(Hub, ALongerBodyThanPromisedIsCut) {
  storage_answer_ = [&](const HttpAsked&) { return HttpAnswer{.body = weights_ + "and more"}; };
  EXPECT_THAT(get().error().message(), AllOf(HasSubstr("size"), HasSubstr("more")));
}

TEST_F(Hub, AShorterBodyThanPromisedIsNotTheFile) {
  storage_answer_ = [&](const HttpAsked& asked) { return part_of(asked, weights_.substr(0, 100)); };
  EXPECT_FALSE(get());
}

TEST_F(Hub, ABusyServerIsAskedAgain) {
  fail_with_["/api/models/org/name/revision/main?blobs=true"] = {503, 2};
  fail_with_["/org/name/resolve/" + kCommit + "/config.json"] = {429, 2};
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(hub_.asked("main?blobs=true").size(), 3U);
}

TEST_F(Hub, ARefusalIsNotAskedAgain) {
  fail_with_["/api/models/org/name/revision/main?blobs=true"] = {401, 100};
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message(), AllOf(HasSubstr("401"), HasSubstr("HF_TOKEN"), Not(HasSubstr(kToken))));
  EXPECT_EQ(hub_.asked().size(), 1U);
}

TEST_F(Hub, ChecksumsCanComeWithTheFiles) {
  promise_checksums_ = false;
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(fs::read_symlink(*snapshot / "model.safetensors"), "../../blobs/" + sha256(weights_));
  EXPECT_EQ(storage_.asked().size(), 1U) << "the hub's own headers were enough";
}

TEST_F(Hub, EndlessRedirectsEnd) {
  storage_answer_ = [&](const HttpAsked& asked) {
    return HttpAnswer{.status = 302, .headers = {{"Location", asked.path + "x"}}};
  };
  EXPECT_THAT(get().error().message(), HasSubstr("redirects"));
}

TEST_F(Hub, OtherSchemesAreNotFollowed) {
  put(folder_ / "local", weights_);
  storage_answer_ = [&](const HttpAsked&) {
    return HttpAnswer{.status = 302, .headers = {{"Location", "file://" + (folder_ / "local").string()}}};
  };
  EXPECT_THAT(get().error().message(), HasSubstr("http"));
}

TEST_F(Hub, OfflineAsksNobodyAndSaysWhatIsMissing) {
  options_.offline = true;
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message(), AllOf(HasSubstr("org/name@main"), HasSubstr("HF_HUB_OFFLINE")));
  EXPECT_THAT(hub_.asked(), IsEmpty());
}

TEST_F(Hub, ASnapshotWithoutTokenizerServesWhereNoneCanBeHad) {
  files_.erase("tokenizer.json");
  ASSERT_TRUE(get());
  options_.offline = true;
  EXPECT_TRUE(get());
}

TEST_F(Hub, ADirectoryComesBeforeAnId) {
  fs::create_directories(folder_ / "dir");
  EXPECT_EQ(find_model((folder_ / "dir").string(), options_, HubNeed::checkpoint).value(), folder_ / "dir");
  put(folder_ / "x.gguf", "GGUF");
  EXPECT_EQ(find_model((folder_ / "x.gguf").string(), options_, HubNeed::checkpoint).value(), folder_ / "x.gguf");
  EXPECT_EQ(find_model("org/name", options_, HubNeed::checkpoint).value(), repo() / "snapshots" / kCommit);
  EXPECT_THAT(find_model("no/such/folder", options_, HubNeed::checkpoint).error().message(),
              HasSubstr("no/such/folder"));
}

TEST(HubId, IsSpeltByHuggingfacesRules) {
  EXPECT_EQ(HubId::parse("google/gemma-4-E2B-it")->folder(), "models--google--gemma-4-E2B-it");
  EXPECT_EQ(HubId::parse("google/gemma-4-E2B-it")->revision, "main");
  EXPECT_EQ(HubId::parse("a/b@refs/pr/1")->revision, "refs/pr/1");
  for (const std::string bad : {"", "/", "a", "a/", "/b", "a/b/c", "../b", "a/..", "a/.b", "a/b--c", "a b/c", "a/b@",
                                "a/b@../x", "a/b@x/../y", "a/b@/x", "a/b@x//y", "a/b\nc", "./b", "a/b@."})
    EXPECT_FALSE(HubId::parse(bad)) << bad;
}

TEST(HubEnvironment, PlacesTheCacheAsHuggingfaceHubDoes) {
  const auto cache = [](const std::vector<std::pair<std::string, std::string>>& set) {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT",
                             "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
      ::unsetenv(name);
    ::setenv("HOME", "/home/someone", 1);
    for (const auto& [name, value] : set) ::setenv(name.c_str(), value.c_str(), 1);
    return HubOptions::from_environment();
  };
  EXPECT_EQ(cache({}).cache, "/home/someone/.cache/huggingface/hub");
  EXPECT_EQ(cache({{"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(cache({{"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache, "/home/someone/hf/hub");
  EXPECT_EQ(cache({{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(cache({{"HF_HUB_CACHE", "/new"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/new");
  EXPECT_FALSE(cache({{"HF_HUB_OFFLINE", "0"}}).offline);
  EXPECT_TRUE(cache({{"HF_HUB_OFFLINE", "yes"}}).offline);
  EXPECT_TRUE(cache({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
  EXPECT_EQ(cache({{"HF_ENDPOINT", "http://x/"}, {"HF_TOKEN", "t\r\n"}}).endpoint, "http://x");
  EXPECT_EQ(cache({{"HF_TOKEN", "t\r\n"}}).token, "t");
}

}  // namespace
}  // namespace assay
