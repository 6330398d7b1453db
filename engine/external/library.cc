#include "engine/external/library.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <vector>

#include <dlfcn.h>

#include <nlohmann/json.hpp>

#include "engine/assay_engine.h"
#include "engine/external/protocol.h"
#include "model/safetensors.h"

namespace assay::external {
namespace {

using Json = nlohmann::ordered_json;

/// What a forward offers, until it is written.
struct Offered {
  std::set<std::string, std::less<>> wanted;
  std::vector<NamedTensor> tensors;

  static std::int32_t wants(void* self, const char* tap) {
    return static_cast<Offered*>(self)->wanted.contains(tap) ? 1 : 0;
  }
  static void offer(void* self, const char* tap, const float* values, const std::int64_t* shape, std::int32_t rank) {
    auto* offered = static_cast<Offered*>(self);
    if (offered->wanted.erase(tap) == 0) return;  // nobody wants it, or it was offered before
    const std::vector<std::int64_t> extents(shape, shape + rank);
    const auto count = std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>());
    offered->tensors.push_back({tap, Tensor::own(extents, std::vector<float>(values, values + count))});
  }
};

class Server {
 public:
  explicit Server(const assay_engine& engine) : engine_(engine) {}

  Json answer(const Json& request) {
    const std::string verb = request["verb"];
    if (verb == "hello") return hello();
    if (verb == "open") return open(request["checkpoint"]);
    if (verb == "close") {
      const auto session = sessions_.extract(request["session"].get<std::int64_t>());
      if (engine_.close != nullptr && !session.empty()) engine_.close(session.mapped());
      return Json::object();
    }
    if (verb == "forward") return forward(request);
    if (verb == "truncate" && engine_.truncate != nullptr) return truncate(request);
    return verb == "bye" ? Json::object() : error(ASSAY_UNSUPPORTED, "this verb");
  }

 private:
  static Json error(std::int32_t kind, const char* message) {
    return {{"error",
             {{"kind", kind == ASSAY_UNSUPPORTED ? "unsupported" : "failed"}, {"message", message ? message : ""}}}};
  }
  static std::string text(const char* value, const char* otherwise) { return value == nullptr ? otherwise : value; }

  Json hello() const {
    Json taps = Json::array();
    std::istringstream words(text(engine_.taps, ""));
    for (std::string word; words >> word;) taps.push_back(word);
    return {{"protocol", kProtocol},
            {"name", text(engine_.name, "")},
            {"version", text(engine_.version, "-")},
            {"arithmetic", text(engine_.arithmetic, "fp32")},
            {"taps", taps},
            {"logits", text(engine_.logits, "all")},
            {"cache", engine_.cache != 0},
            {"batch", engine_.batch != 0}};
  }

  Json open(const std::string& checkpoint) {
    const char* why = nullptr;
    void* session = engine_.open(checkpoint.c_str(), &why);
    if (session == nullptr) return error(ASSAY_FAILED, why);
    sessions_[++opened_] = session;
    return {{"session", opened_}};
  }

  Json forward(const Json& request) {
    const auto inputs = Safetensors::open(std::string(request["inputs"]));
    if (!inputs) return error(ASSAY_FAILED, inputs.error().message().c_str());
    std::vector<assay_tensor> tensors;
    std::vector<std::string> dtypes;
    dtypes.reserve(inputs->tensors().size());  // their texts are pointed at
    for (const auto& [name, tensor] : inputs->tensors()) {
      dtypes.emplace_back(name_of(tensor.dtype));
      const assay_tensor one{name.c_str(), dtypes.back().c_str(), tensor.shape.data(),
                             std::int32_t(tensor.shape.size()), tensor.bytes.data()};
      tensors.insert(name == "input_ids" ? tensors.begin() : tensors.end(), one);
    }
    const std::string cache = request["cache"];
    const assay_call call{tensors.data(), std::int32_t(tensors.size()),
                          cache == "none"    ? ASSAY_CACHE_NONE
                          : cache == "fresh" ? ASSAY_CACHE_FRESH
                                             : ASSAY_CACHE_EXTEND,
                          request["logit_rows"].get<std::int32_t>()};
    Offered offered;
    for (const Json& tap : request["taps"]) offered.wanted.insert(tap.get<std::string>());
    const assay_taps taps{&offered, Offered::wants, Offered::offer};
    const char* why = nullptr;
    const std::int32_t done =
        request.contains("target")
            ? ASSAY_UNSUPPORTED
            : engine_.forward(sessions_.at(request["session"].get<std::int64_t>()), &call, &taps, &why);
    if (done != ASSAY_OK) return error(done, why);
    if (const auto written = write_safetensors(std::string(request["outputs"]), offered.tensors); !written)
      return error(ASSAY_FAILED, written.error().message().c_str());
    return Json::object();
  }

  Json truncate(const Json& request) {
    const auto keep = request["keep"].get<std::vector<std::int64_t>>();
    const char* why = nullptr;
    const std::int32_t done = engine_.truncate(sessions_.at(request["session"].get<std::int64_t>()), keep.data(),
                                               std::int32_t(keep.size()), &why);
    return done == ASSAY_OK ? Json::object() : error(done, why);
  }

  const assay_engine& engine_;
  std::map<std::int64_t, void*> sessions_;
  std::int64_t opened_ = 0;
};

int descriptor(const char* name, int otherwise) {
  const char* set = std::getenv(name);
  return set == nullptr ? otherwise : std::atoi(set);
}

}  // namespace

Result<void> serve_library(const std::string& file) {
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail({Failure::io, file, "", "a shared library", ::dlerror()});
  using Entry = const assay_engine* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(library, "assay_engine_entry"));
  if (entry == nullptr)
    return fail({Failure::bad_input, file, "assay_engine_entry", "a function of that name", "none"});
  const assay_engine* engine = entry();
  if (engine == nullptr || engine->abi != ASSAY_ENGINE_ABI)
    return fail({Failure::bad_input, file, "abi", std::to_string(ASSAY_ENGINE_ABI),
                 engine == nullptr ? "no engine" : std::to_string(engine->abi)});
  if (engine->open == nullptr || engine->forward == nullptr)
    return fail({Failure::bad_input, file, "assay_engine", "open and forward", "none"});
  FILE* in = ::fdopen(descriptor("ASSAY_IN", 0), "r");
  FILE* out = ::fdopen(descriptor("ASSAY_OUT", 1), "w");
  if (in == nullptr || out == nullptr) return fail({Failure::io, file, "", "descriptors to speak on", "none"});
  Server server(*engine);
  char* line = nullptr;
  std::size_t size = 0;
  while (::getline(&line, &size, in) > 0) {
    const Json request = Json::parse(line, nullptr, false);
    if (!request.is_object()) return fail({Failure::bad_input, file, "", "requests of the harness", line});
    Json answer{{"id", request["id"]}};
    answer.update(server.answer(request));
    std::fprintf(out, "%s\n", answer.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    std::fflush(out);
    if (request["verb"] == "bye") break;
  }
  std::free(line);
  return {};
}

}  // namespace assay::external
