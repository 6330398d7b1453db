/* The smallest engine: rows that enter layer 0, and its first norm. It shows no logits: assay judges what it has.
     cc -shared -fPIC -O2 -I engine -o embed.so examples/embed.c -lm
     ./assay verify --engine-lib ./embed.so --golden e2b-blocks */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assay_engine.h"

typedef struct {
  char *file, *config; /* model.safetensors and config.json, whole, each with a zero behind it */
  int64_t hidden;
  double eps;
} model;

static char* whole(const char* directory, const char* name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE* in = fopen(path, "rb");
  if (in == NULL || fseek(in, 0, SEEK_END) != 0) return NULL;
  long size = ftell(in);
  char* bytes = calloc(1, (size_t)size + 1);
  rewind(in);
  if (fread(bytes, 1, (size_t)size, in) != (size_t)size) return NULL;
  fclose(in);
  return bytes;
}

/* Where a key of the JSON begins, by the end of its name: good for files that transformers wrote. */
static const char* find(const char* json, const char* key) { return strstr(json, key); }

static int64_t number(const char* json, const char* key) {
  const char* at = find(json, key);
  return at == NULL ? -1 : strtoll(strchr(at, ':') + 1, NULL, 10);
}

/* Element i of a tensor, bfloat16 or float32 (a float16 one would need a few lines more). */
static float element(const model* m, const char* name, int64_t i) {
  uint64_t header;
  memcpy(&header, m->file, 8);
  const char* at = find(m->file + 8, name);
  const char* data = m->file + 8 + header + strtoll(strchr(find(at, "data_offsets"), '[') + 1, NULL, 10);
  uint32_t bits = 0;
  if (strncmp(find(at, "dtype") + 8, "BF16", 4) == 0)
    memcpy((char*)&bits + 2, data + 2 * i, 2); /* its upper half */
  else
    memcpy(&bits, data + 4 * i, 4);
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static void* open_model(const char* directory, const char** error) {
  model* m = calloc(1, sizeof *m);
  m->file = whole(directory, "model.safetensors");
  m->config = whole(directory, "config.json");
  *error = "no model.safetensors with embed_tokens.weight";
  if (m->file == NULL || m->config == NULL || find(m->file + 8, "embed_tokens.weight\"") == NULL) return NULL;
  m->hidden = strtoll(strchr(strchr(find(find(m->file + 8, "embed_tokens.weight\""), "shape"), '['), ',') + 1, NULL, 10);
  m->eps = atof(strchr(find(find(m->config, "\"layer_types\""), "rms_norm_eps"), ':') + 1); /* the text model's */
  return m;
}

static int32_t forward(void* session, const assay_call* call, const assay_taps* taps, const char** error) {
  const model* m = session;
  const assay_tensor* ids = &call->tensors[0];
  for (int32_t i = 0; i < call->count; ++i)
    if (strstr(call->tensors[i].name, "pixel") || strstr(call->tensors[i].name, "features")) {
      *error = "pictures and sound";
      return ASSAY_UNSUPPORTED;
    }
  const int64_t rows = ids->shape[0] * ids->shape[1], pad = number(m->config, "\"pad_token_id\"");
  float *embed = malloc(sizeof(float) * (size_t)(rows * m->hidden)), *norm = malloc(sizeof(float) * (size_t)(rows * m->hidden));
  for (int64_t r = 0; r < rows; ++r) {
    int64_t id = ((const int64_t*)ids->data)[r];
    for (int kind = 0; kind < 3; ++kind)
      if (id == number(m->config, (const char*[]){"\"image_token_id\"", "\"video_token_id\"", "\"audio_token_id\""}[kind])) id = pad;
    double squares = 0;
    for (int64_t c = 0; c < m->hidden; ++c) {
      embed[r * m->hidden + c] = element(m, "embed_tokens.weight\"", id * m->hidden + c) * (float)sqrt((double)m->hidden);
      squares += (double)embed[r * m->hidden + c] * embed[r * m->hidden + c];
    }
    const float scale = 1 / sqrtf((float)(squares / m->hidden) + (float)m->eps);
    for (int64_t c = 0; c < m->hidden; ++c)
      norm[r * m->hidden + c] = embed[r * m->hidden + c] * scale * element(m, "language_model.layers.0.input_layernorm.weight\"", c);
  }
  const int64_t shape[] = {ids->shape[0], ids->shape[1], m->hidden};
  taps->offer(taps->self, "text.embed", embed, shape, 3);
  taps->offer(taps->self, "text.layer.00.attn_norm", norm, shape, 3);
  free(embed), free(norm);
  return ASSAY_OK;
}

static void close_model(void* session) { free(((model*)session)->file), free(((model*)session)->config), free(session); }

static const assay_engine engine = {ASSAY_ENGINE_ABI, "embed-c", "1", "fp32", "text.embed text.layer.00.attn_norm", "none",
                                    1, 1, open_model, forward, NULL, close_model};
const assay_engine* assay_engine_entry(void) { return &engine; }
