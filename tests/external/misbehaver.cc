// A program that speaks the protocol for the model of tests/harness/fake.h, correctly but for one misbehaviour, once:
//   misbehaver KIND REQUEST STATE [PROCESS]
// misbehaves at the first request from the REQUESTth on where KIND is possible, in the PROCESSth of the processes that
// share the folder STATE (2: the one after that which is asked for its name); those behind it behave. KIND none: never.
// `chatty` and `stdout` are manners that are allowed. Not here: which verdict that must be (behaviours.h).
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "behaviours.h"
#include "harness/fake.h"
#include "model/safetensors.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Arguments {
  std::string kind, state;
  int request = 0, process = 2;
};

class Misbehaver {
 public:
  explicit Misbehaver(Arguments arguments) : arguments_(std::move(arguments)) {
    const fs::path starts = fs::path(arguments_.state) / "starts";
    std::error_code error;
    started_ = int(fs::file_size(starts, error)) + 1;
    if (error) started_ = 1;
    std::ofstream(starts, std::ios::app) << '.';
    const char* own = std::getenv("ASSAY_OUT");
    out_ = arguments_.kind == "stdout" || own == nullptr ? STDOUT_FILENO : std::atoi(own);
  }

  int run() {
    for (std::string line; std::getline(std::cin, line);) {
      const Json request = Json::parse(line);
      ++requests_;
      if (arguments_.kind == "chatty") std::puts("{\"loading\": 3}\nhow are you?"), std::fflush(stdout);
      const std::string verb = request["verb"];
      const bool due = started_ == arguments_.process && requests_ >= arguments_.request && !done_;
      const bool files = is_of_files(arguments_.kind);
      if (due && arguments_.kind != "none" && (!files || (verb == "forward" && !request["taps"].empty()))) {
        done_ = true;
        if (files)
          bend_ = arguments_.kind;
        else
          misbehave(request);
      }
      if (silent_) continue;
      answer(request);
      bend_.clear();
      if (verb == "bye") return 0;
      if (twice_) say(Json{{"id", request["id"]}}.dump() + "\n");
      if (leave_) return 7;
    }
    return 0;
  }

 private:
  void say(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(out_, text.data(), text.size());
      if (written <= 0) std::_Exit(9);
      text.remove_prefix(std::size_t(written));
    }
  }
  [[noreturn]] static void hang() {
    while (true) ::sleep(1000);
  }

  void misbehave(const Json& request) {
    const std::string& kind = arguments_.kind;
    const auto instead = [&](const std::string& text) {
      say(text);
      silent_ = true;
    };
    const std::string good = Json{{"id", request["id"]}, {"session", 1}}.dump() + "\n";
    if (kind == "exit") std::_Exit(3);
    if (kind == "exit-0") std::_Exit(0);
    if (kind == "segv") ::raise(SIGSEGV);
    if (kind == "abort") std::abort();
    if (kind == "kill") ::raise(SIGKILL);
    if (kind == "hang") hang();
    if (kind == "stop") ::raise(SIGSTOP);
    if (kind == "half-line-and-hang") say(good.substr(0, 5)), hang();
    if (kind == "half-line-and-exit") say(good.substr(0, 5)), std::_Exit(0);
    if (kind == "close-and-hang") {
      for (int fd = 0; fd < 10; ++fd) ::close(fd);
      hang();
    }
    if (kind == "leave-a-child") {
      if (::fork() == 0) hang();  // with the pipes in its hands
      std::_Exit(0);
    }
    if (kind == "answer-and-exit") leave_ = true;
    if (kind == "junk") instead("Loading weights... 100%\n");
    if (kind == "junk-bytes") instead(std::string("\xff\xfe\0{\x80", 5) + "\n");
    if (kind == "empty-line") instead("\n");
    if (kind == "no-object") instead("[1, 2, 3]\n");
    if (kind == "deep-json") instead("{\"id\": " + std::string(500'000, '[') + std::string(500'000, ']') + "}\n");
    if (kind == "huge-line") instead("{\"id\": \"" + std::string(2 << 20, 'x') + "\"}\n");
    if (kind == "endless-line")
      while (true) say(std::string(1 << 16, 'x'));
    if (kind == "wrong-id") instead(Json{{"id", request["id"].get<int>() + 1}}.dump() + "\n");
    if (kind == "no-id") instead("{\"session\": 1}\n");
    if (kind == "answer-twice") twice_ = true;
    if (kind == "error") error_ = Json{{"kind", "failed"}, {"message", "out of cheese"}};
    if (kind == "error-text") error_ = "no";
    if (kind == "unsupported") error_ = Json{{"kind", "unsupported"}, {"message", "not that"}};
    if (kind == "memory") {
      std::vector<std::vector<char>> all;
      while (true) {
        all.emplace_back(std::size_t{16} << 20, 'x');
        ::usleep(10'000);
      }
    }
    if (kind == "flood")
      while (true) std::fputs(std::string(1 << 16, '\n').c_str(), stderr);
  }

  void answer(const Json& request) {
    Json reply{{"id", request["id"]}};
    const std::string verb = request["verb"];
    if (!error_.is_null()) {
      reply["error"] = error_;
      error_ = nullptr;
    } else if (verb == "hello") {
      reply.update({{"protocol", 1},
                    {"name", "fake-outside"},
                    {"version", "1"},
                    {"arithmetic", "fp32"},
                    {"taps", {"text.*"}},
                    {"cache", true},
                    {"batch", true}});
    } else if (verb == "open") {
      sessions_[++opened_] = std::make_unique<fake::FakeSession>(fake::plan());
      checkpoint_ = request["checkpoint"];
      reply["session"] = opened_;
    } else if (verb == "close") {
      sessions_.erase(request["session"].get<int>());
    } else if (verb == "forward") {
      forward(request);
      reply["seconds"] = 0.001;
    }
    say(reply.dump() + "\n");
  }

  /// Keeps what a session offers.
  class Kept : public TapSink {
   public:
    Kept() : TapSink(2) {}
    std::vector<NamedTensor> tensors;
    int batch = 1;
    void take(TapId id, Rows<const float> rows) override {
      std::vector<std::int64_t> shape = row_shape(fake::plan(), id);
      shape.insert(shape.begin(), {batch, rows.rows / batch});
      tensors.push_back({id.name(), Tensor::own(shape, std::vector<float>(rows.data, rows.data + rows.size()))});
    }
  };

  void forward(const Json& request) {
    const auto inputs = Safetensors::open(std::string(request["inputs"]));
    if (!inputs) std::_Exit(8);
    const auto integers = [&](const char* name) {
      const auto at = inputs->tensors().find(name);
      return at == inputs->tensors().end() ? std::vector<std::int64_t>() : *at->second.integers();
    };
    const std::vector<std::int64_t> ids = integers("input_ids"), mask = integers("attention_mask");
    const int batch = int(inputs->tensors().find("input_ids")->second.shape[0]), tokens = int(ids.size()) / batch;
    std::vector<NamedTensor> more;
    for (const auto& [name, tensor] : inputs->tensors())
      if (name != "input_ids" && name != "attention_mask") more.push_back({name, tensor});
    const std::string cache = request["cache"];
    Forward call{.ids = {ids.data(), batch, tokens}, .mask = {}, .more = more};
    if (!mask.empty()) call.mask = {mask.data(), batch, int(mask.size()) / batch};
    call.cache = cache == "none" ? Cache::none : cache == "fresh" ? Cache::fresh : Cache::extend;
    call.logit_rows = request["logit_rows"];
    Kept kept;
    kept.batch = batch;
    for (const Json& name : request["taps"])
      if (const auto id = TapId::parse(std::string(name))) kept.want(*id);
    const auto done = sessions_.at(request["session"].get<int>())->forward(call, kept);
    if (!done) std::_Exit(8);
    write(kept.tensors, std::string(request["outputs"]));
  }

  void write(std::vector<NamedTensor>& tensors, const fs::path& file) const {
    const auto values = [&](auto change) {
      for (NamedTensor& named : tensors) {
        std::vector<float> floats = *named.tensor.floats();
        change(floats);
        named.tensor = Tensor::own(named.tensor.shape, std::move(floats));
      }
    };
    const auto shapes = [&](auto change) {
      for (NamedTensor& named : tensors) change(named.tensor.shape);
    };
    const std::string& kind = bend_;
    if (kind == "nan") values([](auto& v) { v.back() = std::numeric_limits<float>::quiet_NaN(); });
    if (kind == "infinite") values([](auto& v) { v.back() = std::numeric_limits<float>::infinity(); });
    if (kind == "wrong-numbers") values([](auto& v) { v.back() += 0.25F; });
    if (kind == "zeros") values([](auto& v) { std::fill(v.begin(), v.end(), 0.0F); });
    if (kind == "wrong-shape") shapes([](auto& shape) { shape.push_back(1); });
    if (kind == "transposed") shapes([](auto& shape) { std::rotate(shape.begin(), shape.end() - 1, shape.end()); });
    if (kind == "too-few-rows")
      for (NamedTensor& named : tensors) {
        named.tensor.shape[1] -= 1;
        named.tensor.bytes = named.tensor.bytes.first(std::size_t(named.tensor.elements()) * 4);
      }
    if (kind == "missing-tap") tensors.pop_back();
    if (kind == "wrong-dtype")
      for (NamedTensor& named : tensors) named.tensor.dtype = Dtype::i32;
    if (kind == "no-file") return;
    const std::string name = file.string();
    if (kind == "pipe") {
      if (::mkfifo(name.c_str(), 0600) != 0) std::_Exit(8);
      return;
    }
    if (kind == "folder") {
      fs::create_directory(file);
      return;
    }
    if (kind == "empty-file" || kind == "junk-file" || kind == "huge-header") {
      std::ofstream out(file, std::ios::binary);
      if (kind == "junk-file") out << std::string(5000, 'j');
      if (kind == "huge-header") out << std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
      return;
    }
    if (kind == "file-flood") {
      std::ofstream out(file, std::ios::binary);
      while (true) out << std::string(1 << 20, 'x') << std::flush;
    }
    if (kind == "change-checkpoint") std::ofstream(fs::path(checkpoint_) / "config.json", std::ios::app) << ' ';
    if (kind == "link" || kind == "elsewhere") {
      const fs::path other = fs::path(arguments_.state) / "elsewhere.safetensors";
      if (!write_safetensors(other, tensors)) std::_Exit(8);
      if (kind == "link") fs::create_symlink(other, file);
      return;
    }
    if (!write_safetensors(file, tensors)) std::_Exit(8);
    if (kind == "half-file") fs::resize_file(file, fs::file_size(file) / 2);
  }

  Arguments arguments_;
  int started_ = 1, requests_ = 0, out_ = 1, opened_ = 0;
  bool done_ = false, silent_ = false, twice_ = false, leave_ = false;
  std::string bend_, checkpoint_;
  Json error_;
  std::map<int, std::unique_ptr<fake::FakeSession>> sessions_;
};

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  return assay::Misbehaver({.kind = argv[1],
                            .state = argv[3],
                            .request = std::atoi(argv[2]),
                            .process = argc > 4 ? std::atoi(argv[4]) : 2})
      .run();
}
