// What a model computes in one pass, from its layer plan alone: each product with a weight matrix, each layer's
// attention, each row of a table that is looked up. Rows that nobody asks for do not count: behind the last layer that
// has K/V of its own, a prompt needs only the rows whose logits are wanted. Not here: kernels' shapes (shapes.h), how
// long it takes, drafters.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/plan.h"
#include "reports/bench.h"

namespace assay {

struct Pass {
  int tokens = 1;  ///< of the call, in one sequence
  int cached = 0;  ///< before them
  int wanted = 1;  ///< rows of logits: the last ones
};

/// Rows of a weight matrix times some rows of activations.
struct Product {
  std::string part;    ///< `attn.q`, `mlp.gate`, `experts.down`, `head`, `vision.mlp.up`
  std::string tensor;  ///< in Checkpoint::tensors; that of experts holds `calls` and more such matrices
  int rows = 0, cols = 0;
  int tokens = 1;      ///< rows of activations; of experts: what one of them gets on average, at least 1
  int calls = 1;       ///< experts that are used: as many as uniform routing would hit; else 1
  double vectors = 1;  ///< rows of activations of all calls together
};

/// Attention of one layer.
struct Attending {
  std::string part;  ///< `attn`, `vision.attn`, `audio.attn`
  int layer = 0, queries = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int window = 0;    ///< 0: all
  int keys = 0;      ///< positions that some query sees: what is read
  double pairs = 0;  ///< of a query and a position that it sees
};

/// Rows of a table.
struct Lookup {
  std::string tensor;
  int rows = 0, cols = 0;
};

struct ModelWork {
  std::vector<Product> products;
  std::vector<Attending> attention;
  std::vector<Lookup> lookups;
};

/// The last layer with K/V of its own, which is the last that all rows of a prompt are needed for (to make them); -1:
/// none has any.
int last_with_kv(const Plan& plan);
/// The text decoder. The plan is no drafter's.
ModelWork text_work(const Plan& plan, const Pass& pass);
/// The vision tower, or the encoder-free embedder, on one image of `patches` real patches; every patch sees every
/// other. The plan has vision.
ModelWork vision_work(const Plan& plan, int patches);
/// The audio tower, or the encoder-free embedder, on `frames` rows of input_features. The plan has audio.
ModelWork audio_work(const Plan& plan, int frames);

struct MustOptions {
  std::string roof = "fp32";  ///< whose FLOPs attention's products count as, and all others without `roof_of`
  /// Whose FLOPs products with a tensor count as: engines compute in a finer mode where a format has no kernels.
  std::function<std::string(const std::string& tensor)> roof_of = {};
  double kv_bytes = 4;  ///< of one cached value
  /// Bytes of so many values of a tensor: as the checkpoint packs them.
  std::function<double(const std::string& tensor, double values)> bytes;
};
/// Bytes: every weight that is needed once, table rows, and K/V once in each layer that reads them. Activations, norms
/// and biases do not count: they are less than a thousandth. FLOPs: 2 a product; of attention 4 head_dim a pair of
/// query head and position.
Must must_of(const ModelWork& work, const MustOptions& options);

}  // namespace assay
