// `assay run`: text, images, sound and films to generated text; the work is harness/run/. This file reads options and
// prints.
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "golden/store.h"
#include "harness/cli/models.h"
#include "harness/cli/outside_engines.h"
#include "harness/cli/scratch.h"
#include "harness/cli/verbs.h"
#include "harness/run/conversation.h"
#include "harness/run/questions.h"
#include "harness/run/runner.h"
#include "harness/run/stream.h"
#include "model/safetensors.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int kMostTokens = 256;  // where neither the user nor the checkpoint says
constexpr int kMostSmokeTokens = 64;

struct Options {
  std::string model, draft, system;
  EngineChoice engine;
  std::vector<std::string> prompts;
  std::vector<fs::path> chats;
  MediaFiles media;
  fs::path tokenizer, embed;
  AskOptions ask;
  std::optional<int> max_tokens, top_k;
  std::optional<double> temperature, top_p;
  std::uint64_t seed = 0;
  int draft_tokens = 0;
  bool greedy = false, raw = false, smoke = false, json = false;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

double per_second(std::int64_t count, double seconds) { return seconds > 0 ? double(count) / seconds : 0; }

/// JSON is UTF-8; a reply may hold anything.
void print_json(const Json& json) { fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace)); }

/// The checkpoint's settings, where the user has not said otherwise.
GenerationConfig settings(const Options& options, GenerationConfig config) {
  if (options.top_k || options.top_p || options.temperature) config.do_sample = true;
  if (options.top_k) config.top_k = *options.top_k;
  if (options.top_p) config.top_p = *options.top_p;
  if (options.temperature) {
    config.temperature = *options.temperature;
    if (*options.temperature == 0) config.do_sample = false;
  }
  if (options.greedy) config.do_sample = false;
  return config;
}

/// Where the settings come from, for messages.
std::string settings_file(const Options& options) {
  return fs::path(options.model).extension() == ".gguf" ? options.model : "generation_config.json";
}

int most_tokens(const Options& options, const GenerationConfig& config, int prompt) {
  if (options.max_tokens) return *options.max_tokens;
  if (config.max_new_tokens) return *config.max_new_tokens;
  if (config.max_length) return std::max(1, *config.max_length - prompt);
  return kMostTokens;
}

Result<CaseInputs> inputs_of(const Options& options, const Runner& runner) {
  for (const std::string& prompt : options.prompts)
    if (options.ask.strict) ASSAY_CHECK(check_text(prompt, "--prompt"));
  if (options.raw) return runner.raw(options.prompts, options.media, options.ask);
  std::vector<Conversation> conversations;
  for (const std::string& prompt : options.prompts)
    conversations.push_back(conversation_of(prompt, options.system, options.media));
  for (const fs::path& file : options.chats) {
    ASSAY_TRY(conversation, read_conversation(file, options.system, options.media));
    conversations.push_back(std::move(conversation));
  }
  return runner.render(conversations, options.ask);
}

struct Told {
  CaseInputs inputs;  ///< without their tensors
  Generated generated;
  std::vector<std::string> texts;
  double load_seconds = 0, first_token_seconds = 0;

  std::int64_t prompt_tokens(int row) const {
    if (inputs.mask.empty()) return inputs.tokens;
    const auto first = inputs.mask.begin() + std::ptrdiff_t(row) * inputs.tokens;
    return std::count(first, first + inputs.tokens, 1);
  }
  std::int64_t prompt_tokens() const {
    std::int64_t sum = 0;
    for (int b = 0; b < inputs.batch; ++b) sum += prompt_tokens(b);
    return sum;
  }
  /// Those after each row's first, which the prompt's call gave.
  double tokens_per_second() const { return per_second(generated.tokens() - inputs.batch, generated.generate_seconds); }
};

Json told_json(const Options& options, const Told& told) {
  Json out{{"model", options.model}, {"engine", options.engine.name()}};
  for (int b = 0; b < told.inputs.batch; ++b) {
    const GeneratedRow& row = told.generated.rows[std::size_t(b)];
    out["results"].push_back({{"prompt_tokens", told.prompt_tokens(b)},
                              {"ids", row.ids},
                              {"text", told.texts[std::size_t(b)]},
                              {"finish_reason", name_of(row.finish)}});
  }
  out["timings"] = {{"load_seconds", told.load_seconds},
                    {"first_token_seconds", told.first_token_seconds},
                    {"prompt_tokens", told.prompt_tokens()},
                    {"prompt_seconds", told.generated.prompt_seconds},
                    {"prompt_tokens_per_second", per_second(told.prompt_tokens(), told.generated.prompt_seconds)},
                    {"generated_tokens", told.generated.tokens()},
                    {"generate_seconds", told.generated.generate_seconds},
                    {"generated_tokens_per_second", told.tokens_per_second()}};
  if (!options.engine.outside.any()) out["peak_memory_bytes"] = peak_memory();  // ours says nothing of theirs
  if (const auto& acceptance = told.generated.acceptance)
    out["draft"] = {{"rounds", acceptance->rounds},
                    {"drafted", acceptance->drafted},
                    {"accepted", acceptance->accepted},
                    {"acceptance", acceptance->rate()}};
  return out;
}

void print_speed(const Options& options, const Told& told) {
  const Generated& generated = told.generated;
  fmt::print(stderr, "prompt: {} tokens in {:.2f} s, {:.1f} tokens/s; first token after {:.2f} s\n",
             told.prompt_tokens(), generated.prompt_seconds, per_second(told.prompt_tokens(), generated.prompt_seconds),
             told.first_token_seconds);
  fmt::print(stderr, "generated: {} tokens in {:.2f} s, {:.1f} tokens/s\n", generated.tokens(),
             generated.generate_seconds, told.tokens_per_second());
  if (const auto& acceptance = generated.acceptance)
    fmt::print(stderr, "drafted: {} tokens in {} rounds, {} accepted ({:.0f} %)\n", acceptance->drafted,
               acceptance->rounds, acceptance->accepted, 100 * acceptance->rate());
  if (!options.engine.outside.any())
    fmt::print(stderr, "peak memory: {:.1f} MiB\n", double(peak_memory()) / (1024.0 * 1024.0));
}

Result<void> tell(const Options& options, Runner& runner, double load_seconds) {
  const auto start = Clock::now();
  Told told;
  told.load_seconds = load_seconds;
  ASSAY_TRY(inputs, inputs_of(options, runner));
  told.inputs = inputs;
  told.inputs.more.clear();
  GenerateOptions generate{
      .config = settings(options, runner.generation()), .seed = options.seed, .draft_tokens = options.draft_tokens};
  generate.most = most_tokens(options, generate.config, inputs.tokens);
  for (const std::string& key : generate.config.unapplied)
    fmt::print(stderr, "assay: {}: {} is not applied\n", settings_file(options), key);
  const bool several = inputs.batch > 1, shown = !options.json;
  TextStream stream(runner.tokenizer(), inputs.batch,
                    {.begin =
                         [&](int row) {
                           if (shown && several) fmt::print("{}[{}]\n", row == 0 ? "" : "\n", row + 1);
                         },
                     .end =
                         [&](int) {
                           if (shown) fmt::print("\n");
                         },
                     .text =
                         [&](std::string_view piece) {
                           if (!shown) return;
                           fmt::print("{}", piece);
                           std::fflush(stdout);
                         }});
  ASSAY_TRY(generated,
            runner.generate(std::move(inputs), generate, [&](int row, std::int64_t id, std::optional<Finish> finish) {
              if (told.first_token_seconds == 0) told.first_token_seconds = seconds_since(start);
              stream.push(row, id, finish);
            }));
  told.generated = std::move(generated);
  for (int b = 0; b < told.inputs.batch; ++b) told.texts.push_back(stream.text(b));
  if (options.json) {
    print_json(told_json(options, told));
  } else {
    std::fflush(stdout);
    print_speed(options, told);
  }
  return {};
}

Result<void> embed(const Options& options, Runner& runner) {
  ASSAY_TRY(inputs, inputs_of(options, runner));
  ASSAY_TRY(tensors, runner.embed(std::move(inputs)));
  if (options.embed.extension() == ".safetensors")
    ASSAY_CHECK(write_safetensors(options.embed, tensors));
  else
    ASSAY_CHECK(write_hdf5(options.embed, tensors));
  Json datasets;
  for (const NamedTensor& named : tensors) {
    if (!options.json) fmt::print("{} {}\n", named.name, shape_text(named.tensor.shape));
    datasets[named.name] = named.tensor.shape;
  }
  if (options.json) print_json({{"model", options.model}, {"out", options.embed.string()}, {"datasets", datasets}});
  return {};
}

/// The exit code: 1 if a reply lacks its answer.
Result<int> smoke(const Options& options, const fs::path& folder, Runner& runner) {
  ASSAY_TRY(scratch, Scratch::make("assay-smoke"));
  ASSAY_TRY(questions, questions_for(folder, runner.sees(), scratch.path()));
  GenerateOptions generate{.config = runner.generation(),
                           .most = options.max_tokens.value_or(kMostSmokeTokens),
                           .draft_tokens = options.draft_tokens};
  generate.config.do_sample = false;
  std::size_t right = 0;
  Json out{{"model", options.model}, {"engine", options.engine.name()}};
  for (const Question& question : questions) {
    auto reply = [&]() -> Result<std::string> {
      ASSAY_TRY(inputs, runner.render({&question.conversation, 1}, options.ask));
      ASSAY_TRY(generated, runner.generate(std::move(inputs), generate, {}));
      return runner.tokenizer().decode(generated.rows[0].ids, true);
    }();
    if (!reply) {
      reply.error().where = question.name + ": " + reply.error().where;
      return fail(reply.error());
    }
    const bool passed = answers(*reply, question.answer);
    right += passed ? 1 : 0;
    out["questions"].push_back(
        {{"name", question.name}, {"passed", passed}, {"expected", question.answer}, {"reply", *reply}});
    if (options.json) continue;
    if (passed)
      fmt::print("pass  {}\n", question.name);
    else
      fmt::print("FAIL  {}: expected \"{}\", it said \"{}\"\n", question.name, question.answer, *reply);
    std::fflush(stdout);
  }
  out["right"] = right;
  if (options.json)
    print_json(out);
  else
    fmt::print("smoke: {} of {} answered\n", right, questions.size());
  return right == questions.size() ? 0 : 1;
}

Result<void> check_options(const Options& options) {
  const auto wrong = [](std::string option, std::string expected, std::string found) {
    return fail({Failure::bad_input, std::move(option), "", std::move(expected), std::move(found)});
  };
  const bool asks = !options.prompts.empty() || !options.chats.empty();
  if (options.smoke && (asks || !options.media.empty() || !options.embed.empty()))
    return wrong("--smoke", "no prompts, media or --embed: it asks its own questions", "some");
  if (!options.smoke && !asks) return wrong("--prompt", "a prompt, --chat FILE or --smoke", "none");
  if (options.raw && !options.chats.empty()) return wrong("--raw", "prompts that are text", "--chat");
  if (options.raw && !options.system.empty()) return wrong("--raw", "no --system: only a template has turns", "one");
  return {};
}

Result<int> run_verb(const Options& options) {
  ASSAY_CHECK(check_options(options));
  ASSAY_TRY(engine, options.engine.make());
  const auto start = Clock::now();
  ASSAY_TRY(folder, find_model_shown(options.model, HubNeed::checkpoint));
  RunnerOptions open{.tokenizer = options.tokenizer};
  if (!options.draft.empty()) {
    ASSAY_TRY(draft, find_model_shown(options.draft, HubNeed::checkpoint));
    open.draft = draft;
  }
  ASSAY_TRY(runner, Runner::open(folder, engine, open));
  const double load_seconds = seconds_since(start);
  if (options.smoke) return smoke(options, folder, *runner);
  if (!options.embed.empty())
    ASSAY_CHECK(embed(options, *runner));
  else
    ASSAY_CHECK(tell(options, *runner, load_seconds));
  return 0;
}

void add_what(CLI::App* verb, Options& options) {
  verb->add_option(
          "--model", options.model,
          "A checkpoint directory, a GGUF file, or a hub id: org/name[@revision], from the cache of huggingface_hub or "
          "fetched into it (HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE)")
      ->required();
  const auto repeated = [&](const char* name, auto& into, const char* what) {
    verb->add_option(name, into, what)->allow_extra_args(false);
  };
  repeated("--prompt", options.prompts, "A user's turn; several are several rows of one batch");
  repeated("--chat", options.chats, "A conversation in JSON: messages, or {\"messages\", \"tools\"}; several as above");
  repeated("--image", options.media.images, "A picture, shown before the prompt's text; several in their order");
  repeated("--audio", options.media.audio, "Sound");
  repeated("--video", options.media.videos, "A film");
  verb->add_option("--system", options.system, "A system turn");
  verb->add_flag("--raw", options.raw, "Take the prompt as it is, without the chat template");
  verb->add_flag("--think", options.ask.think, "Ask the template for thinking");
  verb->add_flag("--strict", options.ask.strict, "Refuse a prompt that is no UTF-8; else bad bytes become U+FFFD");
  verb->add_flag("--smoke", options.smoke,
                 "Ask the checkpoint's questions.json, or a few that any model answers, and judge the replies");
  verb->add_option("--embed", options.embed,
                   "Write the final norm of each token to this file instead of generating: HDF5, or safetensors if it "
                   "is called so; text.norm [B,T,hidden], input_ids, attention_mask");
}

void add_how(CLI::App* verb, Options& options) {
  options.engine.add_to(verb, "reference");
  verb->add_option("--draft", options.draft, "A drafter for speculative decoding: a directory or a hub id");
  verb->add_option("--draft-tokens", options.draft_tokens,
                   "Tokens that it proposes a round (default: its generation_config.json's, else 20)")
      ->check(CLI::Range(1, 64));
  verb->add_option("--tokenizer", options.tokenizer, "A tokenizer.json, tokenizer.model, GGUF file or folder with one");
  verb->add_option("--image-tokens", options.ask.image_tokens, "Budget of each picture")
      ->check(CLI::IsMember({70, 140, 280, 560, 1120}));
  verb->add_option("--max-tokens", options.max_tokens, "Most tokens of a reply; else the checkpoint's, else 256")
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option("--temperature", options.temperature, "Sample; 0 is --greedy")->check(CLI::Range(0.0, 100.0));
  verb->add_option("--top-k", options.top_k, "Sample among the k likeliest; 0: all")->check(CLI::Range(0, 1 << 24));
  verb->add_option("--top-p", options.top_p, "Sample among the likeliest of this share")->check(CLI::Range(0.0, 1.0));
  verb->add_option("--seed", options.seed, "Of sampling; row n draws with seed + n")->capture_default_str();
  verb->add_flag("--greedy", options.greedy, "Always the likeliest token, whatever generation_config.json says");
  verb->add_flag("--json", options.json, "Print replies, ids, finish_reason (stop or length) and timings as JSON");
}

}  // namespace

void add_run(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("run", "Generates from text, pictures, sound and films.");
  const auto options = std::make_shared<Options>();
  add_what(verb, *options);
  add_how(verb, *options);
  verb->footer(
      "Sampling, stop tokens and suppressed tokens are those of the checkpoint's generation_config.json. Speed and "
      "peak memory go to stderr.\n"
      "Exit codes: 0 done, 1 a question of --smoke was answered wrongly, 2 a bad option, file or model.\n"
      "Example: assay run --model DIR --image cat.png --prompt 'What is in this picture?'");
  verb->callback([options, &exit] {
    const Result<int> done = run_verb(*options);
    exit = done ? *done : report(done.error());
  });
}

}  // namespace assay
