// A golden in the repository as a whole, and its plan. Its cases: check_cases.cc; its checkpoint: check_weights.cc.
#include "golden/check.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <system_error>

#include "base/error_stats.h"
#include "base/sha256.h"
#include "golden/check_draft.h"
#include "golden/facts.h"
#include "model/assistant.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

/// SHA-256 over the sorted lines "<file name> <sha256>\n" of what decides a checkpoint's numbers, as
/// golden/generate/digest.py has it.
Result<std::string> checkpoint_sha256(const fs::path& folder) {
  std::set<std::string> lines;
  std::error_code error;
  fs::directory_iterator walk(folder, error), end;
  for (; !error && walk != end; walk.increment(error)) {
    const std::string name = walk->path().filename().string();
    if (name != "config.json" && !name.ends_with(".safetensors") && !name.ends_with(".safetensors.index.json"))
      continue;
    ASSAY_TRY(hash, sha256_file(walk->path()));
    lines.insert(std::string(name).append(" ").append(hash).append("\n"));
  }
  if (error) return fail({Failure::io, folder.string(), "", "a readable folder", error.message()});
  std::string text;
  for (const std::string& line : lines) text += line;
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::string name_of(Blocks blocks) {
  switch (blocks) {
    case Blocks::causal: return "causal";
    case Blocks::inside_window: return "inside_window";
    case Blocks::beyond_window: return "beyond_window";
  }
  return "";
}

void check_layer(const GoldenLayer& golden, const LayerPlan& plan, const std::string& at,
                 std::vector<Finding>& findings) {
  Facts facts(findings, at);
  facts.same("attention", golden.attention, std::string(plan.window > 0 ? "sliding" : "full"));
  facts.same("head_dim", golden.head_dim, plan.head_dim);
  facts.same("q_heads", golden.q_heads, plan.q_heads);
  facts.same("kv_heads", golden.kv_heads, plan.kv_heads);
  facts.same("window", golden.window, plan.window);
  facts.same("donor", golden.donor, plan.kv.layer);
  facts.same("value_is_key", golden.value_is_key, plan.value_is_key);
  facts.same("ffn_width", golden.ffn_width, plan.ffn_width);
  facts.same("ple_width", golden.ple_width, plan.ple_width);
  const Experts experts = plan.experts.value_or(Experts{});
  facts.same("experts", golden.experts, experts.count);
  facts.same("experts_used", golden.experts_used, experts.used);
  facts.same("expert_width", golden.expert_width, experts.width);
  same_inv_freq(facts, golden.inv_freq, plan.rope.inv_freq);
}

}  // namespace

std::vector<Finding> check_plan(const GoldenInfo& info, const Plan& plan) {
  std::vector<Finding> findings;
  Facts facts(findings, "/plan");
  facts.same("hidden", info.hidden, plan.hidden);
  facts.same("vocab", info.vocab, plan.vocab);
  facts.same("softcap", float(info.softcap), plan.softcap);
  facts.same("rms_norm_eps", float(info.rms_norm_eps), plan.eps);
  facts.same("layers", info.layers.size(), plan.layers.size());
  for (std::size_t i = 0; i < std::min(info.layers.size(), plan.layers.size()); ++i) {
    const std::string at = std::string("/plan/layer.") + (i < 10 ? "0" : "") + std::to_string(i);
    check_layer(info.layers[i], plan.layers[i], at, findings);
    // A block inside the window is the sliding layers' affair: full ones stay causal.
    const bool none = info.blocks == name_of(Blocks::inside_window) && info.layers[i].window == 0;
    Facts(findings, at).same("blocks", none ? name_of(Blocks::causal) : info.blocks, name_of(plan.layers[i].blocks));
  }
  check_towers(info, plan, findings);
  const AssistantPlan assistant = plan.assistant.value_or(AssistantPlan{});
  const Centroids centroids = assistant.centroids.value_or(Centroids{});
  facts.same("backbone", info.backbone, assistant.backbone);
  facts.same("centroids", info.centroids, centroids.count);
  facts.same("centroids_used", info.centroids_used, centroids.used);
  return findings;
}

Result<void> check_belongs(const GoldenInfo& info, const fs::path& checkpoint) {
  ASSAY_TRY(hash, checkpoint_sha256(checkpoint));
  if (hash == info.checkpoint_sha256) return {};
  return fail(
      {Failure::bad_input, checkpoint.string(), "sha256", info.checkpoint_sha256 + ", as the golden has it", hash});
}

Result<void> check_belongs(const GoldenInfo& info, const SyntheticModel& model) {
  const std::string digest = model.digest(std::uint64_t(info.seed));
  if (digest == info.checkpoint_sha256) return {};
  return fail(
      {Failure::bad_input, "synthetic model", "definition", info.checkpoint_sha256 + ", as the golden has it", digest});
}

Result<Target> open_target(const fs::path& data, const GoldenInfo& info, const Plan& drafter) {
  if (info.target.empty() || info.target.find('/') != std::string::npos)
    return fail({Failure::bad_input, data.string(), "@target", "the name of a drafter's target", info.target});
  const fs::path folder = data / info.target / "checkpoint";
  ASSAY_CHECK(check_manifest(data, info.target));
  ASSAY_TRY(hash, checkpoint_sha256(folder));
  if (hash != info.target_sha256)
    return fail(
        {Failure::bad_input, folder.string(), "sha256", info.target_sha256 + ", as the drafter's golden has it", hash});
  ASSAY_TRY(checkpoint, Checkpoint::open(folder));
  const Result<Plan> plan = with_target(drafter, checkpoint.plan);  // copied: g++ 12 believes a moved one uninitialized
  if (!plan) return fail(plan.error());
  return Target{std::move(checkpoint), *plan};
}

namespace {

/// Of full size: what can be said without its gigabytes of weights, which nobody drew for it.
std::vector<Finding> check_synthetic(const Golden& golden, const SyntheticName& name) {
  const GoldenInfo& info = golden.info();
  const auto model = synthetic_model(name);
  if (!model) return {{model.error().where, model.error().message()}};
  std::vector<Finding> findings = check_plan(info, model->plan);
  const auto add = [&](std::vector<Finding> more) {
    std::move(more.begin(), more.end(), std::back_inserter(findings));
  };
  if (const auto belongs = check_belongs(info, *model); !belongs)
    add({{"/@checkpoint_sha256", belongs.error().message()}});
  if (info.dtype != "float32") add({{"/@dtype", "is " + info.dtype + ", not float32"}});
  if (info.layers.size() != model->plan.layers.size() || info.vocab != model->plan.vocab) return findings;
  for (const std::string& one : info.cases) {
    const auto loaded = golden.load(one);
    add(loaded ? check_case(model->plan, *loaded, false)
               : std::vector<Finding>{{loaded.error().where, loaded.error().message()}});
  }
  return findings;
}

}  // namespace

std::vector<Finding> check_golden(const fs::path& data, const GoldenEntry& entry) {
  std::vector<Finding> findings;
  const auto add = [&](std::vector<Finding> more) {
    std::move(more.begin(), more.end(), std::back_inserter(findings));
  };
  const auto unread = [&](const Failure& failure) { findings.push_back({failure.where, failure.message()}); };
  if (auto hashed = check_manifest(data, entry.name); !hashed) {
    unread(hashed.error());
    return findings;  // HDF5 opens no file that nobody vouches for
  }
  const auto golden = Golden::open(entry.file);
  if (!golden) unread(golden.error());
  if (entry.synthetic) {
    if (golden) add(check_synthetic(*golden, *entry.synthetic));
    return findings;
  }
  const auto checkpoint = open_checkpoint(entry);
  if (!checkpoint) unread(checkpoint.error());
  if (!golden || !checkpoint) return findings;

  const GoldenInfo& info = golden->info();
  if (const auto belongs = check_belongs(info, entry.checkpoint); !belongs) unread(belongs.error());
  if (info.dtype != "float32") findings.push_back({"/@dtype", "is " + info.dtype + ", not float32"});
  Plan plan = checkpoint->plan;
  if (plan.assistant) {
    auto target = open_target(data, info, plan);
    if (!target) {
      unread(target.error());
      return findings;
    }
    plan = std::move(target->drafter);
  }
  add(check_plan(info, plan));
  if (info.exposing) add(check_weights(*checkpoint));
  if (info.layers.size() != plan.layers.size() || info.vocab != plan.vocab) return findings;

  std::vector<GoldenCase> cases;
  for (const std::string& name : info.cases) {
    auto loaded = golden->load(name);
    if (!loaded) {
      unread(loaded.error());
      continue;
    }
    add(plan.assistant ? check_draft_case(plan, *loaded) : check_case(plan, *loaded, info.exposing));
    cases.push_back(*std::move(loaded));
  }
  if (info.exposing) add(plan.assistant ? check_draft_cases(plan, cases) : check_cases(plan, cases));
  return findings;
}

}  // namespace assay
