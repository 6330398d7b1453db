// Faults of the projectors, of vision and of audio, and of the values that leave them: rows D1, D2, D10, D11, E13, F4.
#include "harness/faults/bend_towers.h"
#include "reference/ops/linear.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

/// Soft tokens from what the tower gave: [soft, hidden] by the projector's weight.
using Project = Grid (*)(Grid x, const Weight& w, float eps);

struct Names {
  std::string_view vision, audio;
};

/// The same fault of both projectors.
std::vector<Fault> both(Names names, std::string_view row, std::string_view what, std::string_view shipped_in,
                        Project project) {
  return {
      {.name = names.vision,
       .row = row,
       .what = what,
       .shipped_in = shipped_in,
       .shows_at = tower(Tap::vision_projected),
       .inject =
           [project](Parts& oracle) {
             if (!oracle.vision) return false;
             oracle.vision->ops.project = [project](const Vision& self, Rows<const float> pooled) {
               return project(Grid(pooled), self.weights.embedding_projection, self.plan.eps);
             };
             return true;
           }},
      {.name = names.audio,
       .row = row,
       .what = what,
       .shipped_in = shipped_in,
       .shows_at = tower(Tap::audio_projected),
       .inject =
           [project](Parts& oracle) {
             if (!oracle.audio) return false;
             oracle.audio->ops.project = [project](const Audio& self, const Frames& frames, Rows<const float> encoded) {
               return project(real_rows(frames, encoded), self.weights.embedding_projection, self.plan.eps);
             };
             return true;
           }},
  };
}

Grid product(const Grid& x, const Weight& w) {
  Grid y(x.rows, w.rows);
  reference::linear(x.view(), w, {}, y.view());
  return y;
}

Grid norm_behind(Grid x, const Weight& w, float eps) {
  Grid y = product(x, w);
  reference::rms_norm(y.view(), {}, eps);
  return y;
}

Grid norm_missing(Grid x, const Weight& w, float) { return product(x, w); }

Grid true_one(Grid x, const Weight& w, float eps) {
  reference::rms_norm(x.view(), {}, eps);
  return product(x, w);
}

Grid transposed(Grid x, const Weight& w, float eps) {
  const auto out = std::size_t(w.rows), in = std::size_t(w.cols);
  return true_one(std::move(x), moved(w, [&](std::size_t r, std::size_t c) { return (c * out + r) % (out * in); }),
                  eps);
}

Grid missing(Grid x, const Weight& w, float) { return {x.rows, w.rows}; }

Grid in_fp16(Grid x, const Weight& w, float eps) {
  Grid y = true_one(std::move(x), w, eps);
  for (float& v : y.values) v = through_f16(v);
  return y;
}

Grid another_epsilon(Grid x, const Weight& w, float eps) {
  return true_one(std::move(x), w, eps == 1e-6F ? 1e-5F : 1e-6F);
}

Grid to_unit_length(Grid x, const Weight& w, float eps) {
  Grid y = true_one(std::move(x), w, eps);
  for (int r = 0; r < y.rows; ++r) {
    double squares = 0;
    for (const float v : y.row(r)) squares += double{v} * v;
    for (float& v : y.row(r)) v /= float(std::sqrt(squares));
  }
  return y;
}

/// An audio projector that takes other frames than the real ones.
Fault frames(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
             bool (*which)(const Audio&), void (*edit)(Frames&)) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(Tap::audio_projected),
          .inject = [which, edit](Parts& oracle) {
            if (!oracle.audio || !which(*oracle.audio)) return false;
            oracle.audio->ops.project = [edit](const Audio& self, const Frames& frames, Rows<const float> encoded) {
              Frames other = frames;
              edit(other);
              return reference::audio::project(self, other, encoded);
            };
            forgive_missing(oracle);
            return true;
          }};
}

/// The projection of raw frames, gemma4_unified's, from other samples.
Fault samples(std::string_view name, std::string_view what, void (*edit)(std::span<float> frame)) {
  return {.name = name,
          .row = "x",
          .what = what,
          .shipped_in = "",
          .shows_at = tower(Tap::audio_projected),
          .inject = [edit](Parts& oracle) {
            if (!oracle.audio || with_encoder(*oracle.audio)) return false;
            oracle.audio->ops.project = [edit](const Audio& self, const Frames& frames, Rows<const float> raw) {
              Grid x(raw);
              for (int r = 0; r < x.rows; ++r) edit(x.row(r));
              return reference::audio::project(self, frames, x.view());
            };
            return true;
          }};
}

}  // namespace

std::vector<Fault> projector_faults() {
  std::vector<Fault> all;
  const auto add = [&](std::vector<Fault> more) { all.insert(all.end(), more.begin(), more.end()); };
  add(both({"projector-norm-behind", "audio-projector-norm-behind"}, "D1",
           "The projector norms behind its Linear instead of before it.",
           "ggml-org/llama.cpp#23822, Blaizzy/mlx-vlm#906", norm_behind));
  add(both({"projector-norm-missing", "audio-projector-norm-missing"}, "D1", "The projector does not norm.",
           "class of D1", norm_missing));
  add(both({"projector-epsilon", "audio-projector-epsilon"}, "x", "The projector's epsilon is a default's.", "",
           another_epsilon));
  add(both({"projector-transposed", "audio-projector-transposed"}, "D11",
           "The projector's weight is read column by column.", "kekzl/imp#489, kekzl/imp#490", transposed));
  add(both({"projector-not-loaded", "audio-projector-not-loaded"}, "D11",
           "The loader misses the projector: soft tokens are zeros.", "kekzl/imp#489, kekzl/imp#490", missing));
  add(both({"projected-in-fp16", "audio-projected-in-fp16"}, "F2",
           "The projection is kept in fp16: rounded, and infinite beyond 65504.", "ggml-org/llama.cpp#26488", in_fp16));
  add(both({"soft-tokens-of-unit-length", "audio-soft-tokens-of-unit-length"}, "x",
           "Soft tokens are normalised to length 1, as an embedding model's are.", "", to_unit_length));
  all.push_back(frames(
      "audio-padding-sent", "E13", "All rows are sent to the decoder although the mask marks padding.", "class of E5",
      [](const Audio&) { return true; }, [](Frames& f) { std::ranges::fill(f.real, char{1}); }));
  all.push_back(frames(
      "audio-last-row-lost", "E5", "The last soft token of each clip is left out.", "class of E5",
      [](const Audio&) { return true; },
      [](Frames& f) {
        for (int clip = 0; clip < f.clips; ++clip)
          for (int i = f.length; i-- > 0;)
            if (f.is_real(clip, i)) {
              f.real[std::size_t(clip * f.length + i)] = 0;
              break;
            }
      }));
  all.push_back(frames(
      "audio-frames-quartered", "F4",
      "One raw frame of four becomes a soft token, as behind the conformer's convolutions.", "class of F4",
      [](const Audio& audio) { return !with_encoder(audio); },
      [](Frames& f) {
        for (std::size_t i = 0; i < f.real.size(); ++i)
          if (i % std::size_t(f.length) % 4 != 0) f.real[i] = 0;
      }));
  all.push_back(samples("unified-samples-as-int16", "Samples are not divided by 32768: only epsilon sees it.",
                        [](std::span<float> frame) {
                          for (float& v : frame) v *= 32768;
                        }));
  all.push_back(samples("unified-samples-centred", "The mean of a raw frame is taken off.", [](std::span<float> frame) {
    double mean = 0;
    for (const float v : frame) mean += v;
    for (float& v : frame) v -= float(mean / double(frame.size()));
  }));
  return all;
}

}  // namespace assay
