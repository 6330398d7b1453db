/* An engine as a shared library: `./assay verify --engine-lib FILE.so`. Plain C, so that any language can export it.
   The verbs are those of docs/ENGINE_PROTOCOL.md, which says what tensors hold; this is their form without files. assay
   loads the library in a process of its own: a crash or a hang is a verdict. Example: examples/embed.c. */
#ifndef ASSAY_ENGINE_H
#define ASSAY_ENGINE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a struct below changes. A library of another version is refused. */
#define ASSAY_ENGINE_ABI 1

/* What functions return. */
enum { ASSAY_OK = 0, ASSAY_FAILED = 1, ASSAY_UNSUPPORTED = 2 };

typedef struct {
  const char* name;     /* as transformers names the argument: input_ids, attention_mask, pixel_values... */
  const char* dtype;    /* as safetensors spells it: I64, F32, BOOL... */
  const int64_t* shape; /* [rank] */
  int32_t rank;
  const void* data; /* row-major; good until the function returns */
} assay_tensor;

enum { ASSAY_CACHE_NONE = 0, ASSAY_CACHE_FRESH = 1, ASSAY_CACHE_EXTEND = 2 };

typedef struct {
  const assay_tensor* tensors; /* input_ids [B,T] I64 first */
  int32_t count;
  int32_t cache;
  int32_t logit_rows; /* logits of the last n tokens; 0: of all */
} assay_call;

/* Where tensors go. */
typedef struct {
  void* self;
  int32_t (*wants)(void* self, const char* tap); /* 1 or 0 */
  /* A wanted tap, float32, copied at once. */
  void (*offer)(void* self, const char* tap, const float* values, const int64_t* shape, int32_t rank);
} assay_taps;

typedef struct {
  int32_t abi;            /* ASSAY_ENGINE_ABI */
  const char* name;       /* letters, digits, - _ . + = */
  const char* version;    /* may be empty */
  const char* arithmetic; /* fp32, bf16, fp16, int8 */
  const char* taps;       /* patterns with a space between them: "text.embed text.layer.*.out" */
  const char* logits;     /* all, last, none */
  int32_t cache, batch;   /* 1 or 0 */
  /* A session on a checkpoint directory, or NULL and a text that stays good. */
  void* (*open)(const char* checkpoint, const char** error);
  int32_t (*forward)(void* session, const assay_call* call, const assay_taps* taps, const char** error);
  /* Forgets row b's cached tokens past keep[b]; NULL: unsupported. */
  int32_t (*truncate)(void* session, const int64_t* keep, int32_t rows, const char** error);
  void (*close)(void* session);
} assay_engine;

/* What the library exports: its engine, good as long as it is loaded. */
const assay_engine* assay_engine_entry(void);

#ifdef __cplusplus
}
#endif
#endif
