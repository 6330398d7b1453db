#include "engine/external/external.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <optional>

#include <unistd.h>

#include "engine/external/outputs.h"
#include "engine/external/protocol.h"
#include "engine/external/unpacked.h"
#include "engine/media_rows.h"
#include "model/safetensors.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using external::Declared;
using external::Files;
using external::ForwardFields;
using external::Process;

/// What an engine could change of a checkpoint: names, sizes and times of its files.
std::vector<std::string> look_of(const fs::path& path) {
  std::vector<std::string> look;
  std::error_code error;
  const auto add = [&](const fs::path& file) {
    look.push_back(file.filename().string() + " " + std::to_string(fs::file_size(file, error)) + " " +
                   std::to_string(fs::last_write_time(file, error).time_since_epoch().count()));
  };
  if (!fs::is_directory(path, error)) {
    add(path);
    return look;
  }
  for (const auto& entry : fs::directory_iterator(path, error))
    if (entry.is_regular_file(error)) add(entry.path());
  std::sort(look.begin(), look.end());
  return look;
}

/// The running program and its folder; sessions by their numbers.
class Connection {
 public:
  Connection(std::unique_ptr<Process> process, fs::path folder, std::int64_t output)
      : process_(std::move(process)), folder_(std::move(folder)), output_(output), owner_(::getpid()) {}
  ~Connection() {
    if (owner_ != ::getpid()) return;
    bye();
    std::error_code error;
    fs::remove_all(folder_, error);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool alive() const { return process_->alive(); }
  bool ours() const { return owner_ == ::getpid(); }
  const std::string& name() const { return process_->command(); }
  const fs::path& folder() const { return folder_; }
  std::int64_t output_limit() const { return output_; }

  /// Sends what `line` makes of the request's id; the checked answer.
  template <class Line>
  Result<std::string> ask(std::string_view verb, Line&& line) {
    const std::int64_t id = ++id_;
    ASSAY_TRY(answer, process_->ask(line(id), verb));
    bool broken = false;
    const Result<void> checked = external::check_answer(answer, id, name(), verb, broken);
    if (broken) process_->kill();  // whatever comes next may belong to anything
    ASSAY_CHECK(checked);
    return answer;
  }

  Result<Declared> hello() {
    ASSAY_TRY(answer, ask("hello", [&](std::int64_t id) { return external::hello_line(id, folder_.string()); }));
    return external::read_hello(answer, name());
  }

  /// Names of a call's two files, new ones for each.
  Files files() const {
    const std::string number = std::to_string(id_ + 1);
    return {(folder_ / ("in-" + number + ".safetensors")).string(),
            (folder_ / ("out-" + number + ".safetensors")).string()};
  }

  void bye() {
    if (!alive()) return;
    const auto answer = ask("bye", [](std::int64_t id) { return external::bye_line(id); });
    (void)answer;  // it goes, whatever it says
    process_->end();
  }

 private:
  std::unique_ptr<Process> process_;
  fs::path folder_;
  std::int64_t output_;
  pid_t owner_;
  std::int64_t id_ = 0;
};

/// One program a process of ours: started when a session is wanted and none runs.
class Host {
 public:
  static Result<std::shared_ptr<Host>> make(std::string command, const ExternalOptions& options) {
    std::error_code error;
    const fs::path base = options.scratch.empty() ? fs::temp_directory_path(error) : options.scratch;
    std::string pattern = (base / "assay-engine-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr)
      return fail({Failure::io, pattern, "", "a folder that can be made", std::strerror(errno)});
    return std::make_shared<Host>(std::move(command), options, pattern);
  }
  Host(std::string command, ExternalOptions options, fs::path root)
      : command_(std::move(command)), options_(std::move(options)), root_(std::move(root)), owner_(::getpid()) {}
  ~Host() {
    free_.clear();
    connection_.reset();
    std::error_code error;
    if (owner_ == ::getpid()) fs::remove_all(root_, error);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const Declared& declared() const { return declared_; }

  Result<std::shared_ptr<Connection>> connect() {
    if (connection_ && connection_->ours() && connection_->alive()) return connection_;
    free_.clear();
    connection_.reset();
    const fs::path folder = root_ / (std::to_string(::getpid()) + "-" + std::to_string(++started_));
    std::error_code error;
    fs::create_directory(folder, error);
    if (error) return fail({Failure::io, folder.string(), "", "a folder that can be made", error.message()});
    ASSAY_TRY(process, Process::start(command_, options_.limits, options_.environment));
    auto connection = std::make_shared<Connection>(std::move(process), folder, options_.limits.output);
    ASSAY_TRY(declared, connection->hello());
    if (!declared_.can.name.empty() && declared.can.name != declared_.can.name)
      return fail({Failure::internal, command_, "hello: name", declared_.can.name + ", as before", declared.can.name});
    declared_ = std::move(declared);
    connection_ = std::move(connection);
    return connection_;
  }
  void disconnect() {
    free_.clear();
    connection_.reset();
  }

  struct Lease {
    std::shared_ptr<Connection> connection;
    fs::path checkpoint;
    std::vector<std::string> look;
    std::int64_t session = 0;
  };
  /// A session that nobody uses any more, or a new one: `fresh` and `none` forget what was before.
  Result<Lease> lease(const Checkpoint& checkpoint) {
    ASSAY_TRY(connection, connect());
    ASSAY_TRY(path, external::directory_for(checkpoint, declared_.dtypes, declared_.gguf, root_));
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      if (at->checkpoint != path) continue;
      Lease lease = std::move(*at);
      free_.erase(at);
      return lease;
    }
    for (const Lease& other : free_) {  // so that checkpoints of other goldens do not pile up in its memory
      const auto closed =
          connection->ask("close", [&](std::int64_t id) { return external::close_line(id, other.session); });
      if (!closed && !connection->alive()) return fail(closed.error());
    }
    free_.clear();
    Lease lease{.connection = connection, .checkpoint = path, .look = look_of(path), .session = 0};
    ASSAY_TRY(answer, connection->ask("open", [&](std::int64_t id) { return external::open_line(id, path.string()); }));
    ASSAY_TRY(session, external::read_session(answer, connection->name()));
    lease.session = session;
    return lease;
  }
  void give_back(Lease lease) {
    if (lease.connection == connection_ && lease.connection->alive()) free_.push_back(std::move(lease));
  }

 private:
  std::string command_;
  ExternalOptions options_;
  fs::path root_;
  pid_t owner_;
  Declared declared_;
  std::shared_ptr<Connection> connection_;
  std::vector<Lease> free_;
  int started_ = 0;
};

/// Removes a call's files when the call is over.
class CallFiles {
 public:
  explicit CallFiles(const Connection& connection) : files(connection.files()) {}
  ~CallFiles() {
    std::error_code error;
    fs::remove(files.inputs, error);
    fs::remove(files.outputs, error);
  }
  CallFiles(const CallFiles&) = delete;
  CallFiles& operator=(const CallFiles&) = delete;
  const Files files;
};

class ExternalSession : public Session {
 public:
  ExternalSession(Plan plan, std::shared_ptr<Host> host, Host::Lease lease)
      : Session(std::move(plan)), host_(std::move(host)), lease_(std::move(lease)) {}
  ~ExternalSession() override { host_->give_back(std::move(lease_)); }

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    std::vector<TapId> wanted;
    for (const TapId id : all_taps(plan()))
      if (taps.wants(id.tap, id.layer)) wanted.push_back(id);
    ForwardFields fields;
    for (const TapId id : wanted) fields.taps.push_back(id.name());
    ASSAY_CHECK(check_logits(call, wanted));
    ASSAY_CHECK(describe(call, fields));
    const CallFiles call_files(connection());
    ASSAY_CHECK(write_safetensors(call_files.files.inputs, inputs_of(call)));
    ASSAY_CHECK(ask("forward", [&](std::int64_t id) { return external::forward_line(id, fields, call_files.files); }));
    ASSAY_CHECK(still_the_same());
    if (wanted.empty()) return {};
    ASSAY_TRY(outputs, external::read_outputs(call_files.files.outputs, connection().output_limit(), where()));
    ASSAY_TRY(media, media_rows(plan(), call.more));
    for (const TapId id : wanted) {
      ASSAY_TRY(values, read_tap(outputs, media, call, id));
      const int cols = id.tap == Tap::audio_mel ? media.features : columns(plan(), id);
      taps.offer(id.tap, id.layer, [&] {
        return Rows<const float>{values.data(), int(values.size() / std::size_t(std::max(cols, 1))), cols};
      });
    }
    return {};
  }

  Result<void> do_step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps) override {
    if (!host_->declared().can.step) return Session::do_step(tap, inputs, taps);
    ASSAY_CHECK(alive());
    const CallFiles call_files(connection());
    ASSAY_CHECK(write_safetensors(call_files.files.inputs, inputs));
    ASSAY_CHECK(ask("step", [&](std::int64_t id) {
      return external::step_line(id, lease_.session, tap.name(), call_files.files);
    }));
    ASSAY_TRY(outputs, external::read_outputs(call_files.files.outputs, connection().output_limit(), where()));
    const auto at = outputs.tensors().find(tap.name());
    const int cols = columns(plan(), tap);
    if (at == outputs.tensors().end() || cols == 0 || at->second.elements() % cols != 0)
      return fail({Failure::bad_output, where(), tap.name(), "rows of " + std::to_string(cols) + " values",
                   at == outputs.tensors().end() ? "none of that name" : shape_text(at->second.shape)});
    ASSAY_TRY(values, external::floats_of(outputs, tap.name(), {at->second.shape}, where()));
    taps.offer(tap.tap, tap.layer, [&] {
      return Rows<const float>{values.data(), int(values.size() / std::size_t(cols)), cols};
    });
    return {};
  }

  Result<void> do_truncate(std::span<const int> keep) override {
    ASSAY_CHECK(alive());
    return ask("truncate", [&](std::int64_t id) { return external::truncate_line(id, lease_.session, keep); });
  }

  Result<CachedKv> do_cached_kv(int layer) override {
    ASSAY_CHECK(alive());
    const CallFiles call_files(connection());
    ASSAY_CHECK(ask("cached_kv", [&](std::int64_t id) {
      return external::cached_kv_line(id, lease_.session, layer, call_files.files);
    }));
    ASSAY_TRY(outputs, external::read_outputs(call_files.files.outputs, connection().output_limit(), where()));
    const LayerPlan& plan_of_layer = plan().layers[std::size_t(layer)];
    const int cols = plan_of_layer.kv_width();
    CachedKv cached;
    kept_.clear();
    for (const char* kind : {"keys", "values"}) {
      const auto at = outputs.tensors().find(kind);
      const bool fits = at != outputs.tensors().end() && at->second.shape.size() == 3 && at->second.shape[2] == cols;
      if (!fits)
        return fail({Failure::bad_output, where(), kind, "[B, cached, " + std::to_string(cols) + "]",
                     at == outputs.tensors().end() ? "none of that name" : shape_text(at->second.shape)});
      const std::vector<std::int64_t>& shape = at->second.shape;
      ASSAY_TRY(values, external::floats_of(outputs, kind, {shape}, where()));
      kept_.push_back(std::move(values));
      std::vector<Rows<const float>>& rows = kind == std::string_view("keys") ? cached.keys : cached.values;
      for (std::int64_t b = 0; b < shape[0]; ++b)
        rows.push_back({kept_.back().data() + b * shape[1] * cols, int(shape[1]), cols});
    }
    if (cached.keys.size() != cached.values.size())
      return fail({Failure::bad_output, where(), "values", "as many as keys", std::to_string(cached.values.size())});
    return cached;
  }

  Result<std::vector<float>> do_embed(std::span<const std::int64_t> ids) override {
    ASSAY_CHECK(alive());
    const CallFiles call_files(connection());
    const std::vector<NamedTensor> inputs = {
        {"input_ids", Tensor::own({1, std::int64_t(ids.size())}, std::vector<std::int64_t>(ids.begin(), ids.end()))}};
    ASSAY_CHECK(write_safetensors(call_files.files.inputs, inputs));
    ASSAY_CHECK(
        ask("embed", [&](std::int64_t id) { return external::embed_line(id, lease_.session, call_files.files); }));
    ASSAY_TRY(outputs, external::read_outputs(call_files.files.outputs, connection().output_limit(), where()));
    const std::vector<std::int64_t> shape{1, std::int64_t(ids.size()), plan().hidden};
    return external::floats_of(outputs, "rows", {shape}, where());
  }

  Result<std::vector<std::int64_t>> do_generate(const Forward& call, int tokens) override {
    if (!host_->declared().can.generate) return Session::do_generate(call, tokens);
    ForwardFields fields;
    ASSAY_CHECK(describe(call, fields));
    const CallFiles call_files(connection());
    ASSAY_CHECK(write_safetensors(call_files.files.inputs, inputs_of(call)));
    ASSAY_CHECK(ask("generate",
                    [&](std::int64_t id) { return external::generate_line(id, fields, tokens, call_files.files); }));
    ASSAY_CHECK(still_the_same());
    ASSAY_TRY(outputs, external::read_outputs(call_files.files.outputs, connection().output_limit(), where()));
    return external::integers_of(outputs, "generated_ids", std::vector<std::int64_t>{call.ids.rows, tokens}, where());
  }

 private:
  Connection& connection() const { return *lease_.connection; }
  const std::string& where() const { return connection().name(); }

  template <class Line>
  Result<void> ask(std::string_view verb, Line&& line) {
    ASSAY_TRY(answer, connection().ask(verb, line));
    (void)answer;
    return {};
  }

  Result<void> alive() const {
    if (connection().alive()) return {};
    return fail({Failure::internal, where(), "", "a program that runs", "one that ended with an earlier call"});
  }

  Result<void> check_logits(const Forward& call, std::span<const TapId> wanted) const {
    const auto wants = [&](Tap tap) {
      return std::any_of(wanted.begin(), wanted.end(), [&](TapId id) { return id.tap == tap; });
    };
    if (!wants(Tap::logits) && !wants(Tap::assistant_logits)) return {};
    const LogitRows can = host_->declared().can.logits;
    const bool last_alone = call.logit_rows == 1 || call.ids.cols == 1;
    if (can == LogitRows::all || (can == LogitRows::last && last_alone)) return {};
    return fail({Failure::unsupported, where(), "text.logits",
                 can == LogitRows::last ? "logits of the last token alone, which it declares" : "none, as it declares",
                 "a call that wants them"});
  }

  Result<void> describe(const Forward& call, ForwardFields& fields) const {
    ASSAY_CHECK(alive());
    fields.session = lease_.session;
    fields.cache = call.cache;
    fields.logit_rows = call.logit_rows;
    if (call.target == nullptr) return {};
    const auto* target = dynamic_cast<const ExternalSession*>(call.target);
    if (target == nullptr || target->lease_.connection != lease_.connection)
      return fail({Failure::unsupported, where(), "target", "a session of the same program", "another engine's"});
    fields.target = target->lease_.session;
    return {};
  }

  static std::vector<NamedTensor> inputs_of(const Forward& call) {
    const auto integers = [](Rows<const std::int64_t> rows) {
      return Tensor::own({rows.rows, rows.cols}, std::vector<std::int64_t>(rows.data, rows.data + rows.size()));
    };
    std::vector<NamedTensor> inputs{{"input_ids", integers(call.ids)}};
    if (!call.mask.empty()) inputs.push_back({"attention_mask", integers(call.mask)});
    inputs.insert(inputs.end(), call.more.begin(), call.more.end());
    return inputs;
  }

  Result<std::vector<float>> read_tap(const Safetensors& outputs, const MediaRows& media, const Forward& call,
                                      TapId id) const {
    std::int64_t tokens = call.ids.cols;
    if (id.tap == Tap::logits && call.logit_rows > 0) tokens = call.logit_rows;
    // As transformers has it; or heads and their lanes as one extent, or all items of media as one.
    const std::vector<std::int64_t> whole = tap_shape(plan(), media, id, call.ids.rows, tokens);
    const std::vector<std::int64_t> row =
        id.tap == Tap::audio_mel ? std::vector<std::int64_t>{media.features} : row_shape(plan(), id);
    std::vector<std::int64_t> leading(whole.begin(), whole.end() - std::ptrdiff_t(row.size()));
    const auto product = [](std::span<const std::int64_t> extents) {
      return std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>());
    };
    std::vector<std::vector<std::int64_t>> shapes{whole};
    const auto add = [&](std::vector<std::int64_t> first, std::span<const std::int64_t> then) {
      first.insert(first.end(), then.begin(), then.end());
      shapes.push_back(std::move(first));
    };
    const std::int64_t cols = product(row);
    add(leading, {&cols, 1});
    if (row_space(id.tap) != RowSpace::tokens) {
      add({product(leading)}, row);
      add({product(leading)}, {&cols, 1});
    }
    return external::floats_of(outputs, id.name(), shapes, where());
  }

  Result<void> still_the_same() {
    std::vector<std::string> look = look_of(lease_.checkpoint);
    if (look == lease_.look) return {};
    const std::string before = std::to_string(lease_.look.size());
    lease_.look = std::move(look);
    return fail({Failure::internal, where(), lease_.checkpoint.string(), "the checkpoint's files as they were",
                 "other sizes or times: the engine wrote outside its folder"});
  }

  std::shared_ptr<Host> host_;
  Host::Lease lease_;
  std::vector<std::vector<float>> kept_;  ///< what cached_kv() shows
};

}  // namespace

Result<Engine> external_engine(const std::string& command, const ExternalOptions& options) {
  ASSAY_TRY(host, Host::make(command, options));
  ASSAY_TRY(connection, host->connect());
  connection.reset();
  if (!options.keep) host->disconnect();
  Engine engine;
  engine.can = host->declared().can;
  engine.outside = true;
  engine.open = [host](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    ASSAY_TRY(lease, host->lease(checkpoint));
    return std::make_unique<ExternalSession>(checkpoint.plan, host, std::move(lease));
  };
  return engine;
}

}  // namespace assay
