// Faults of pictures and films up to their tensors and places in the prompt: rows D8, D9, D13, D14, F2, and sampling of
// frames. Not here: sound (sound.cc), the towers.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <utility>

#include "base/files.h"
#include "harness/faults/fault.h"
#include "model/media/resize.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

using Where = const std::string&;
using Bend = std::function<void(FrontEnd&)>;

Fault at(std::string_view stage, std::string_view name, std::string_view row, std::string_view what,
         std::string_view shipped_in, Bend bend) {
  return {.name = name, .row = row, .what = what, .shipped_in = shipped_in, .stage = stage, .bend = std::move(bend)};
}

// Sizes.

/// The size follows from the picture and its budget alone, in squares of patch * pool.
Bend size(std::function<Size(Size, const PatchSettings&)> of) {
  return [of](FrontEnd& steps) {
    steps.target_size = [of](Size image, const PatchSettings& settings, Where) -> Result<Size> {
      return of(image, settings);
    };
  };
}

/// transformers' own rule with other settings.
Bend settings_for_size(std::function<void(PatchSettings&)> edit) {
  return [edit](FrontEnd& steps) {
    steps.target_size = [edit](Size image, PatchSettings settings, Where where) {
      edit(settings);
      return target_size(image, settings, where);
    };
  };
}

double factor(Size image, const PatchSettings& settings) {
  const double side = settings.patch * settings.pool;
  return std::sqrt(settings.soft_tokens * side * side / (double(image.width) * image.height));
}

Size rounded(Size image, const PatchSettings& settings, double (*round)(double)) {
  const int side = settings.patch * settings.pool;
  const double scale = factor(image, settings);
  const auto of = [&](int length) { return std::max(1, int(round(scale * length / side))) * side; };
  return {of(image.width), of(image.height)};
}

/// The longer side becomes 768, as a resize that knows no budget has it.
Size longest_768(Size image, const PatchSettings& settings) {
  const int side = settings.patch * settings.pool;
  const double scale = 768.0 / std::max(image.width, image.height);
  const auto of = [&](int length) { return std::max(1, int(std::lround(scale * length / side))) * side; };
  return {of(image.width), of(image.height)};
}

Size never_enlarged(Size image, const PatchSettings& settings) {
  const int side = settings.patch * settings.pool;
  const double scale = std::min(1.0, factor(image, settings));
  const auto of = [&](int length) { return std::max(1, int(std::floor(scale * length / side))) * side; };
  return {of(image.width), of(image.height)};
}

// Resizing.

double cubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
double keys(double x) { return cubic(x, -0.5); }
double sharp(double x) { return cubic(x, -0.75); }
double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }
double box(double x) { return x >= -0.5 && x < 0.5 ? 1 : 0; }
double lanczos(double x) {
  const double t = std::numbers::pi * x;
  return x == 0 ? 1 : std::abs(x) < 3 ? 3 * std::sin(t) * std::sin(t / 3) / (t * t) : 0;
}

struct Filter {
  double (*weight)(double);
  double support;
  bool antialias = true;    ///< wider where the picture shrinks
  bool whole_steps = true;  ///< 8 bits between the passes
  bool aligned = false;     ///< corners on corners instead of edges on edges
};

/// One pass over lines of `in` pixels that lie `step` apart; three channels.
void pass(const std::vector<double>& from, std::vector<double>& to, std::array<int, 2> length, int lines,
          std::array<std::size_t, 2> step, std::array<std::size_t, 2> line, const Filter& filter) {
  const auto [in, out] = length;
  const double scale = filter.aligned && out > 1 ? double(in - 1) / (out - 1) : double(in) / out;
  const double wide = filter.antialias ? std::max(scale, 1.0) : 1.0;
  for (int i = 0; i < out; ++i) {
    const double center = filter.aligned ? scale * i + 0.5 : scale * (i + 0.5);
    const int first = int(std::floor(center - filter.support * wide)) - 1;
    const int last = int(std::ceil(center + filter.support * wide)) + 1;
    std::vector<double> weights;
    double total = 0;
    for (int j = first; j <= last; ++j) {
      // Without antialiasing torch repeats the border; with it, what lies outside has no weight.
      const bool outside = j < 0 || j >= in;
      weights.push_back(outside && filter.antialias ? 0 : filter.weight((j + 0.5 - center) / wide));
      total += weights.back();
    }
    for (int l = 0; l < lines; ++l)
      for (std::size_t channel = 0; channel < 3; ++channel) {
        double sum = 0;
        for (int j = first; j <= last; ++j)
          sum += weights[std::size_t(j - first)] / total *
                 from[std::size_t(std::clamp(j, 0, in - 1)) * step[0] + std::size_t(l) * line[0] + channel];
        if (filter.whole_steps) sum = std::clamp(std::floor(sum + 0.5), 0.0, 255.0);
        to[std::size_t(i) * step[1] + std::size_t(l) * line[1] + channel] = sum;
      }
  }
}

Image resample(const Image& image, int width, int height, const Filter& filter) {
  const auto row = [](int w) { return std::size_t(w) * 3; };
  const std::vector<double> from(image.rgb.begin(), image.rgb.end());
  std::vector<double> across(row(width) * std::size_t(image.height)), down(row(width) * std::size_t(height));
  pass(from, across, {image.width, width}, image.height, {3, 3}, {row(image.width), row(width)}, filter);
  pass(across, down, {image.height, height}, width, {row(width), row(width)}, {3, 3}, filter);
  Image out{width, height, {}};
  for (const double value : down) out.rgb.push_back(std::uint8_t(std::clamp(std::floor(value + 0.5), 0.0, 255.0)));
  return out;
}

Bend filter(Filter filter) {
  return [filter](FrontEnd& steps) {
    steps.resize = [filter](const Image& image, int width, int height) -> Result<Image> {
      return resample(image, width, height, filter);
    };
  };
}

Image turned(const Image& image) {
  Image out{image.height, image.width, std::vector<std::uint8_t>(image.rgb.size())};
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      std::copy_n(image.rgb.begin() + (std::ptrdiff_t(y) * image.width + x) * 3, 3,
                  out.rgb.begin() + (std::ptrdiff_t(x) * image.height + y) * 3);
  return out;
}

void down_before_across(FrontEnd& steps) {
  steps.resize = [](const Image& image, int width, int height) -> Result<Image> {
    ASSAY_TRY(out, resize_bicubic(turned(image), height, width));
    return turned(out);
  };
}

// Pixels.

Image edited(Image image, void (*pixel)(std::uint8_t*)) {
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3) pixel(&image.rgb[i]);
  return image;
}
void bgr(std::uint8_t* pixel) { std::swap(pixel[0], pixel[2]); }
void narrow(std::uint8_t* pixel) {
  for (int i = 0; i < 3; ++i) pixel[i] = std::uint8_t(16 + pixel[i] * 219 / 255);
}

Bend image_pixels(void (*pixel)(std::uint8_t*)) {
  return [pixel](FrontEnd& steps) {
    steps.decode_image = [pixel](const FrontEnd::Path& path) -> Result<Image> {
      ASSAY_TRY(image, decode_image(path));
      return edited(std::move(image), pixel);
    };
  };
}

void exif_ignored(FrontEnd& steps) {
  steps.decode_image = [](const FrontEnd::Path& path) -> Result<Image> {
    ASSAY_TRY(bytes, read_file(path, std::size_t{64} << 20U));
    if (const std::size_t at = bytes.find("Exif"); at != std::string::npos) bytes[at] = 'x';
    return decode_image(std::as_bytes(std::span(bytes)), path.string());
  };
}

/// Edits a film once it is decoded.
Bend film(std::function<void(Video&)> edit) {
  return [edit](FrontEnd& steps) {
    steps.decode_video = [edit](const FrontEnd::Path& path, const ChooseFrames& choose) -> Result<Video> {
      ASSAY_TRY(video, decode_video(path, choose));
      edit(video);
      return video;
    };
  };
}

// Patches.

using EditPatches = std::function<void(Patches&, const Image&, const PatchSettings&)>;

Bend patches(EditPatches edit) {
  return [edit](FrontEnd& steps) {
    steps.patchify = [edit](const Image& image, const PatchSettings& settings, Where where) -> Result<Patches> {
      ASSAY_TRY(made, make_patches(image, settings, where));
      edit(made, image, settings);
      return made;
    };
  };
}

Bend pixel_values(float (*of)(float)) {
  return patches([of](Patches& made, const Image&, const PatchSettings& settings) {
    const auto real = std::size_t(made.soft_tokens) * std::size_t(settings.merged ? 1 : settings.pool * settings.pool);
    for (std::size_t i = 0; i < real * std::size_t(settings.columns()); ++i) made.values[i] = of(made.values[i]);
  });
}

Bend settings_for_patches(std::function<void(PatchSettings&)> edit) {
  return [edit](FrontEnd& steps) {
    steps.patchify = [edit](const Image& image, PatchSettings settings, Where where) {
      edit(settings);
      return make_patches(image, settings, where);
    };
  };
}

/// Each row's values in another order. @param from  place in the true row of (y, x, channel) of the wrong one
Bend reordered(std::function<std::vector<std::size_t>(const PatchSettings&)> order) {
  return patches([order](Patches& made, const Image&, const PatchSettings& settings) {
    const std::vector<std::size_t> from = order(settings);
    std::vector<float> row(from.size());
    for (std::size_t at = 0; at + from.size() <= made.values.size(); at += from.size()) {
      for (std::size_t i = 0; i < from.size(); ++i) row[i] = made.values[at + from[i]];
      std::ranges::copy(row, made.values.begin() + std::ptrdiff_t(at));
    }
  });
}

std::size_t side_of(const PatchSettings& settings) {
  return std::size_t(settings.patch) * std::size_t(settings.merged ? settings.pool : 1);
}

std::vector<std::size_t> channel_first(const PatchSettings& settings) {
  const std::size_t side = side_of(settings);
  std::vector<std::size_t> from;
  for (std::size_t channel = 0; channel < 3; ++channel)
    for (std::size_t pixel = 0; pixel < side * side; ++pixel) from.push_back(pixel * 3 + channel);
  return from;
}

std::vector<std::size_t> columns_first(const PatchSettings& settings) {
  const std::size_t side = side_of(settings);
  std::vector<std::size_t> from;
  for (std::size_t x = 0; x < side; ++x)
    for (std::size_t y = 0; y < side; ++y)
      for (std::size_t channel = 0; channel < 3; ++channel) from.push_back((y * side + x) * 3 + channel);
  return from;
}

/// A merged patch as its pool x pool patches, one after the other.
std::vector<std::size_t> patch_by_patch(const PatchSettings& settings) {
  const std::size_t side = side_of(settings);
  const auto inner = std::size_t(settings.patch);
  std::vector<std::size_t> from;
  for (std::size_t top = 0; top < side; top += inner)
    for (std::size_t left = 0; left < side; left += inner)
      for (std::size_t y = top; y < top + inner; ++y)
        for (std::size_t x = left; x < left + inner; ++x)
          for (std::size_t channel = 0; channel < 3; ++channel) from.push_back((y * side + x) * 3 + channel);
  return from;
}

Bend positions(void (*edit)(std::int64_t&, std::int64_t&)) {
  return patches([edit](Patches& made, const Image&, const PatchSettings&) {
    for (std::size_t i = 0; i + 1 < made.positions.size(); i += 2) edit(made.positions[i], made.positions[i + 1]);
  });
}

/// Rows that change places: `to` says where row i of the true ones goes.
void move_rows(Patches& made, const PatchSettings& settings, const std::function<std::size_t(std::size_t)>& to) {
  const Patches before = made;
  const auto columns = std::size_t(settings.columns());
  for (std::size_t i = 0; i < std::size_t(settings.rows()); ++i) {
    std::copy_n(before.values.begin() + std::ptrdiff_t(i * columns), columns,
                made.values.begin() + std::ptrdiff_t(to(i) * columns));
    std::copy_n(before.positions.begin() + std::ptrdiff_t(i * 2), 2,
                made.positions.begin() + std::ptrdiff_t(to(i) * 2));
  }
}

void padding_first(Patches& made, const Image&, const PatchSettings& settings) {
  const auto rows = std::size_t(settings.rows());
  const auto real = std::size_t(made.soft_tokens) * std::size_t(settings.merged ? 1 : settings.pool * settings.pool);
  move_rows(made, settings, [&](std::size_t i) { return (i + rows - real) % rows; });
}

void pool_by_pool(Patches& made, const Image& image, const PatchSettings& settings) {
  if (settings.merged) return;
  const auto pool = std::size_t(settings.pool);
  const auto across = std::size_t(image.width / settings.patch);
  const auto real = across * std::size_t(image.height / settings.patch);
  move_rows(made, settings, [&](std::size_t i) {
    if (i >= real) return i;
    const std::size_t y = i / across, x = i % across;
    return (y / pool * (across / pool) + x / pool) * pool * pool + y % pool * pool + x % pool;
  });
}

// Films.

using Choose = std::function<Result<std::vector<std::int64_t>>(std::int64_t total, double fps, Sampling)>;

Bend sampling(Choose choose) {
  return [choose](FrontEnd& steps) {
    steps.sample_frames = [choose](std::int64_t total, double fps, const Sampling& how, Where) {
      return choose(total, fps, how);
    };
  };
}

/// As many frames as there should be, each at another place.
Bend frames_at(std::function<double(double i, double n, double total)> place) {
  return sampling([place](std::int64_t total, double fps, const Sampling& how) -> Result<std::vector<std::int64_t>> {
    ASSAY_TRY(indices, sample_indices(total, fps, how, "film"));
    const auto n = double(indices.size());
    for (std::size_t i = 0; i < indices.size(); ++i)
      indices[i] = std::min(std::int64_t(place(double(i), n, double(total))), total - std::int64_t(indices.size() - i));
    return indices;
  });
}

/// A step that knows whether what it is given comes from a film.
Bend of_films(std::function<void(FrontEnd&, std::shared_ptr<const bool> film)> bend) {
  return [bend](FrontEnd& steps) {
    const auto film = std::make_shared<bool>(false);
    steps.decode_image = [film](const FrontEnd::Path& path) {
      *film = false;
      return decode_image(path);
    };
    steps.decode_video = [film](const FrontEnd::Path& path, const ChooseFrames& choose) {
      *film = true;
      return decode_video(path, choose);
    };
    bend(steps, film);
  };
}

void budget_of_images(FrontEnd& steps, const std::shared_ptr<const bool>& film) {
  steps.target_size = [film](Size image, PatchSettings settings, Where where) {
    if (*film) settings.soft_tokens = 280;
    return target_size(image, settings, where);
  };
}

void frames_times_255(FrontEnd& steps, const std::shared_ptr<const bool>& film) {
  steps.patchify = [film](const Image& image, const PatchSettings& settings, Where where) -> Result<Patches> {
    ASSAY_TRY(made, make_patches(image, settings, where));
    if (*film)
      for (float& value : made.values) value *= 255;
    return made;
  };
}

// The prompt.

using Say = std::function<std::string(const std::string& right, const MediaTokens&)>;

std::string without(std::string text, const std::string& part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
  return text;
}
std::string replaced(std::string text, const std::string& part, const std::string& by) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + by.size()))
    text.replace(at, part.size(), by);
  return text;
}

Bend image_says(Say say) {
  return [say](FrontEnd& steps) {
    steps.image_text = [say, right = steps.image_text](const MediaTokens& tokens, int count) {
      return say(right(tokens, count), tokens);
    };
  };
}
Bend film_says(Say say) {
  return [say](FrontEnd& steps) {
    steps.video_text = [say, right = steps.video_text](const MediaTokens& tokens, std::span<const double> seconds,
                                                       int count) {
      return say(right(tokens, seconds, count), tokens);
    };
  };
}
Bend film_seconds(std::function<double(std::size_t i, double second)> of) {
  return [of](FrontEnd& steps) {
    steps.video_text = [of, right = steps.video_text](const MediaTokens& tokens, std::span<const double> seconds,
                                                      int count) {
      std::vector<double> wrong;
      for (std::size_t i = 0; i < seconds.size(); ++i) wrong.push_back(of(i, seconds[i]));
      return right(tokens, wrong, count);
    };
  };
}

Bend types(void (*edit)(std::vector<std::int64_t>&)) {
  return [edit](FrontEnd& steps) {
    steps.types = [edit, right = steps.types](std::span<const std::int64_t> ids, const MediaIds& media) {
      std::vector<std::int64_t> made = right(ids, media);
      edit(made);
      return made;
    };
  };
}

std::vector<Fault> sizes() {
  constexpr std::string_view k = "image.resized";
  return {
      at(k, "resize-square-768", "D8", "Every picture becomes 768 x 768.", "quic/efficient-transformers#1159",
         size([](Size, const PatchSettings&) {
           return Size{768, 768};
         })),
      at(k, "resize-longest-768", "F2", "The longer side becomes 768, whatever the budget.", "ggml-org/llama.cpp#26488",
         size(longest_768)),
      at(k, "size-budget-fixed", "D8", "The budget is 280 soft tokens, whatever was asked for.", "Blaizzy/mlx-vlm#1503",
         settings_for_size([](PatchSettings& settings) { settings.soft_tokens = 280; })),
      at(k, "size-rounded", "x", "Sides are rounded to the nearest multiple, not down.", "",
         size([](Size image, const PatchSettings& settings) { return rounded(image, settings, std::round); })),
      at(k, "size-rounded-up", "x", "Sides are rounded up.", "",
         size([](Size image, const PatchSettings& settings) { return rounded(image, settings, std::ceil); })),
      at(k, "size-multiple-of-patch", "x", "Sides are multiples of a patch, not of a soft token's square.", "",
         settings_for_size([](PatchSettings& settings) {
           settings.soft_tokens *= settings.pool * settings.pool;
           settings.pool = 1;
         })),
      at(k, "size-turned", "x", "Height and width change places.", "",
         [](FrontEnd& steps) {
           steps.target_size = [](Size image, const PatchSettings& settings, Where where) -> Result<Size> {
             ASSAY_TRY(size, target_size(image, settings, where));
             return Size{size.height, size.width};
           };
         }),
      at(k, "size-never-enlarged", "x", "A picture smaller than its budget keeps its size.", "", size(never_enlarged)),
      at(k, "size-published-patch", "x", "Patches of 16 and pools of 3, whatever the processor's configuration says.",
         "", settings_for_size([](PatchSettings& settings) {
           settings.patch = 16;
           settings.pool = 3;
         })),
      at(k, "size-strip-refused", "x", "A picture whose shorter side rounds to nothing is refused.", "",
         [](FrontEnd& steps) {
           steps.target_size = [](Size image, const PatchSettings& settings, Where where) -> Result<Size> {
             const double scale = factor(image, settings) / (settings.patch * settings.pool);
             if (scale * std::min(image.width, image.height) < 1)
               return fail({Failure::bad_input, where, "size", "a picture less long", "a strip"});
             return target_size(image, settings, where);
           };
         }),
  };
}

std::vector<Fault> resizing() {
  constexpr std::string_view k = "image.resized";
  return {
      at(k, "resize-bilinear", "F2", "Bilinear instead of bicubic, with antialiasing.", "ggml-org/llama.cpp#26488",
         filter({triangle, 1})),
      at(k, "resize-nearest", "x", "The nearest pixel.", "", filter({box, 0.5, false})),
      at(k, "resize-lanczos", "x", "Lanczos of three lobes instead of bicubic.", "", filter({lanczos, 3})),
      at(k, "resize-not-antialiased", "x", "Bicubic over four pixels also where the picture shrinks.", "",
         filter({keys, 2, false})),
      at(k, "resize-cubic-of-opencv", "x", "The cubic's a is -0.75, as in OpenCV and in torch without antialiasing.",
         "", filter({sharp, 2})),
      at(k, "resize-corners-aligned", "x", "Corner pixels lie on corner pixels.", "",
         filter({keys, 2, true, true, true})),
      at(k, "resize-in-float", "x", "The passes are not rounded to 8 bits in between.", "",
         filter({keys, 2, true, false})),
      at(k, "resize-exact-weights", "x", "Weights are not rounded to 16 bits of fixed point.", "", filter({keys, 2})),
      at(k, "resize-down-before-across", "x", "The vertical pass comes before the horizontal one.", "",
         down_before_across),
      at(k, "resize-left-out", "x", "The picture is cut or filled up with black instead of resized.", "",
         [](FrontEnd& steps) {
           steps.resize = [](const Image& image, int width, int height) -> Result<Image> {
             Image out{width, height, std::vector<std::uint8_t>(std::size_t(width) * std::size_t(height) * 3)};
             for (int y = 0; y < std::min(height, image.height); ++y)
               std::copy_n(image.rgb.begin() + std::ptrdiff_t(y) * image.width * 3, std::min(width, image.width) * 3,
                           out.rgb.begin() + std::ptrdiff_t(y) * width * 3);
             return out;
           };
         }),
  };
}

std::vector<Fault> pixels() {
  return {
      at("image.decoded", "image-bgr", "x", "Blue, green, red.", "", image_pixels(bgr)),
      at("image.decoded", "image-exif-ignored", "x", "A JPEG's orientation is ignored.", "", exif_ignored),
      at("image.patches", "pixels-not-scaled", "D9", "Pixels from 0 to 255.", "class of Blaizzy/mlx-vlm 30e6d85d",
         pixel_values([](float value) { return value * 255; })),
      at("image.patches", "pixels-scaled-twice", "D9", "Pixels are divided by 255 twice.",
         "class of Blaizzy/mlx-vlm 30e6d85d", pixel_values([](float value) { return value / 255; })),
      at("image.patches", "pixels-centred-twice", "D9",
         "The processor maps pixels to -1 ... 1, which the tower's first step does.", "Blaizzy/mlx-vlm 30e6d85d",
         pixel_values([](float value) { return 2 * (value - 0.5F); })),
      at("image.patches", "pixels-by-256", "x", "Pixels are divided by 256.", "",
         pixel_values([](float value) { return value * 255 / 256; })),
      at("image.patches", "pixels-of-imagenet", "x", "ImageNet's mean and deviation.", "",
         settings_for_patches([](PatchSettings& settings) {
           settings.normalize = true;
           settings.mean = {0.485, 0.456, 0.406};
           settings.std = {0.229, 0.224, 0.225};
         })),
      at("image.patches", "pixels-normalize-ignored", "x", "do_normalize is not read.", "",
         settings_for_patches([](PatchSettings& settings) { settings.normalize = false; })),
      at("image.patches", "patch-channel-first", "x", "A patch's values are (channel, y, x).", "",
         reordered(channel_first)),
      at("image.patches", "patch-columns-first", "x", "A patch's values are (x, y, channel).", "",
         reordered(columns_first)),
      at("image.patches", "patch-merged-in-parts", "x",
         "A merged patch is its small patches one after the other, not one picture.", "class of F2",
         [](FrontEnd& steps) {
           const auto bend = reordered([](const PatchSettings& settings) { return patch_by_patch(settings); });
           bend(steps);
         }),
      at("image.positions", "positions-yx", "x", "Positions are (y, x).", "",
         positions([](std::int64_t& x, std::int64_t& y) { std::swap(x, y); })),
      at("image.positions", "patches-from-one", "x", "Positions begin at 1.", "",
         positions([](std::int64_t& x, std::int64_t& y) {
           x += x < 0 ? 0 : 1;
           y += y < 0 ? 0 : 1;
         })),
      at("image.positions", "positions-padding-zero", "x", "Padding has position 0, 0 instead of -1, -1.", "",
         positions([](std::int64_t& x, std::int64_t& y) {
           x = std::max<std::int64_t>(x, 0);
           y = std::max<std::int64_t>(y, 0);
         })),
      at("image.positions", "patches-padding-first", "x", "Padding comes before the patches.", "",
         patches(padding_first)),
      at("image.positions", "patches-pool-by-pool", "x", "Patches come square by square of a soft token.", "",
         patches(pool_by_pool)),
  };
}

std::vector<Fault> films() {
  const auto once_a_second = [](std::int64_t total, double fps, Sampling how) -> Result<std::vector<std::int64_t>> {
    how.num_frames.reset();
    how.fps = 1;
    return sample_indices(total, fps, how, "film");
  };
  const auto first_frames = [](std::int64_t total, double fps,
                               const Sampling& how) -> Result<std::vector<std::int64_t>> {
    ASSAY_TRY(indices, sample_indices(total, fps, how, "film"));
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = std::int64_t(i);
    return indices;
  };
  constexpr std::string_view k = "video.indices";
  return {
      at(k, "frames-once-a-second", "x", "One frame a second, whatever the configuration says.",
         "how several ports began", sampling(once_a_second)),
      at(k, "frames-first", "x", "The first frames instead of evenly spread ones.", "", sampling(first_frames)),
      at(k, "frames-to-the-end", "x", "Evenly spread from the first frame to the last, as linspace gives them.", "",
         frames_at([](double i, double n, double total) { return n > 1 ? std::round(i * (total - 1) / (n - 1)) : 0; })),
      at(k, "frames-in-the-middle", "x", "Each frame is the middle one of its stretch.", "",
         frames_at([](double i, double n, double total) { return std::floor((i + 0.5) * total / n); })),
      at(k, "frames-rounded", "x", "Places are rounded to the nearest frame, not down.", "",
         frames_at([](double i, double n, double total) { return std::round(i * total / n); })),
      at(k, "frames-one-later", "x", "Each frame is the one after.", "",
         frames_at([](double i, double n, double total) { return std::floor(i * total / n) + 1; })),
      at("video.decoded", "film-bgr", "x", "Blue, green, red.", "", film([](Video& video) {
           for (Image& frame : video.frames) frame = edited(std::move(frame), bgr);
         })),
      at("video.decoded", "film-range-not-widened", "x", "Luma of 16 to 235 is not widened to 0 to 255.", "",
         film([](Video& video) {
           for (Image& frame : video.frames) frame = edited(std::move(frame), narrow);
         })),
      at("video.decoded", "film-first-frame-repeated", "x", "Every frame is the first one.", "", film([](Video& video) {
           for (Image& frame : video.frames) frame = video.frames.front();
         })),
      at("video.resized", "film-budget-of-images", "x", "A frame has the budget of a picture.", "class of D8",
         of_films(budget_of_images)),
      at("video.patches", "film-pixels-times-255", "D9", "Frames of 0 to 255 are multiplied by 255 again.",
         "Blaizzy/mlx-vlm 30e6d85d", of_films(frames_times_255)),
  };
}

std::vector<Fault> layout() {
  constexpr std::string_view k = "layout.ids";
  return {
      at(k, "image-dropped", "D14", "A picture is left out without a word.", "Blaizzy/mlx-vlm#1321",
         image_says([](const std::string&, const MediaTokens&) { return std::string(); })),
      at(k, "image-256-tokens", "D8", "Every picture takes 256 soft tokens.", "quic/efficient-transformers#1159",
         [](FrontEnd& steps) {
           steps.image_text = [right = steps.image_text](const MediaTokens& tokens, int) { return right(tokens, 256); };
         }),
      at(k, "image-without-borders", "x", "No tokens that begin and end a picture.", "",
         image_says([](const std::string& right, const MediaTokens& tokens) {
           return without(without(right, tokens.begin_image), tokens.end_image);
         })),
      at(k, "image-in-newlines", "x", "Two newlines before and after a picture, as Gemma 3 has them.", "",
         image_says([](const std::string& right, const MediaTokens&) { return "\n\n" + right + "\n\n"; })),
      at(k, "image-patch-tokens", "x", "A soft token for each patch, not for each square of them.", "",
         [](FrontEnd& steps) {
           steps.image_text = [right = steps.image_text](const MediaTokens& tokens, int count) {
             return right(tokens, count * 9);
           };
         }),
      at(k, "film-as-images", "D13", "Frames stand in the prompt as pictures do, by the image token.",
         "Blaizzy/mlx-vlm 30e6d85d", film_says([](const std::string& right, const MediaTokens& tokens) {
           return replaced(right, tokens.video, tokens.image);
         })),
      at(k, "film-without-times", "x", "No times before the frames.", "",
         [](FrontEnd& steps) {
           steps.video_text = [right = steps.video_text](const MediaTokens& tokens, std::span<const double> seconds,
                                                         int count) {
             std::string text;
             for (const double second : seconds) text += right(tokens, {&second, 1}, count).substr(6);
             return text;
           };
         }),
      at(k, "film-times-by-number", "x", "A frame's time is its number among those taken, in seconds.", "",
         film_seconds([](std::size_t i, double) { return double(i); })),
      at(k, "film-times-rounded", "x", "Times are rounded to the nearest second, not down.", "",
         film_seconds([](std::size_t, double second) { return std::round(second); })),
      at(k, "film-times-at-24", "x", "Times as if every film had 24 frames a second.", "",
         film([](Video& video) { video.fps = 24; })),
      at(k, "film-in-lines", "x", "Newlines between the frames instead of spaces.", "",
         film_says([](const std::string& right, const MediaTokens& tokens) {
           return replaced(right, tokens.end_image + " ", tokens.end_image + "\n");
         })),
      at("layout.types", "types-missing", "x", "Every token has type 0.", "",
         types([](std::vector<std::int64_t>& made) { std::ranges::fill(made, 0); })),
      at("layout.types", "types-film-as-image", "x", "A film's tokens have a picture's type.", "",
         types([](std::vector<std::int64_t>& made) { std::ranges::replace(made, 2, 1); })),
      at("layout.types", "types-with-borders", "x", "The tokens around a picture have its type.", "",
         types([](std::vector<std::int64_t>& made) {
           const std::vector<std::int64_t> right = made;
           for (std::size_t i = 1; i + 1 < made.size(); ++i)
             if (right[i] == 0) made[i] = right[i + 1] == 1 || right[i - 1] == 1 ? 1 : 0;
         })),
      at("layout.types", "types-of-sound-missing", "x", "Sound has type 0.", "",
         types([](std::vector<std::int64_t>& made) { std::ranges::replace(made, 3, 0); })),
  };
}

}  // namespace

std::vector<Fault> picture_faults() {
  std::vector<Fault> all;
  for (auto* part : {sizes, resizing, pixels, films, layout})
    for (Fault& fault : part()) all.push_back(std::move(fault));
  return all;
}

}  // namespace assay
