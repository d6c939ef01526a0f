/* y = 2 * x + 1 on [batch, 4, 8], in two parallel layers through the workspace,
   and what the floating-point state of the caller and of all rows shows. */
#include "hwgq_abi.h"
#include RECORD

struct job {
  const struct hwgq_frame *frame;
  float *temporary; /* [batch * 4][8] */
  float *probes;    /* [batch * 4][2] */
};

/* 2^-149 where denormals live, 1 where halves are rounded to even. */
static void probe(float *to) {
  volatile float small = 0x1p-126f, half = 0.5f, one = 1.0f, tiny = 0x1p-24f;
  volatile float denormal = small * 0x1p-23f;
  to[0] = denormal * half + denormal * one;
  to[1] = (one + tiny) * (-one - tiny) * -one;
}

static void multiply(void *env, int64_t begin, int64_t end) {
  struct job *job = env;
  const float *x = job->frame->inputs[0];
  const float *weights = job->frame->shared;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = row * 8; i < row * 8 + 8; ++i)
      job->temporary[i] = x[i] * weights[0];
    probe(job->probes + 2 * row);
  }
}

static void add(void *env, int64_t begin, int64_t end) {
  struct job *job = env;
  float *y = job->frame->outputs[0];
  const float *weights = job->frame->shared;
  for (int64_t i = begin * 8; i < end * 8; ++i)
    y[i] = job->temporary[i] + weights[1];
}

static void run(const struct hwgq_frame *frame) {
  int64_t rows = frame->batch * 4;
  struct job job = {frame, frame->workspace, 0};
  float *state = frame->outputs[1];
  int64_t *count = frame->outputs[2];
  unsigned char *pairs = frame->outputs[3];
  job.probes = job.temporary + rows * 8;
  frame->parallel_for(frame->pool, multiply, &job, rows);
  if (frame->layer_done)
    frame->layer_done(frame->profile, 0);
  frame->parallel_for(frame->pool, add, &job, rows);
  if (frame->layer_done)
    frame->layer_done(frame->profile, 1);
  probe(state);
  state[2] = state[0];
  state[3] = state[1];
  *count = 0;
  for (int64_t row = 0; row < rows; ++row, ++*count)
    for (int k = 0; k < 2; ++k)
      if (job.probes[2 * row + k] != state[k])
        state[2 + k] = job.probes[2 * row + k];
  for (int64_t i = 0; i < 2 * frame->batch; ++i)
    pairs[i] = (unsigned char)i;
}

static void prepare(void *shared) {
  float *weights = shared;
  weights[0] = 2;
  weights[1] = 1;
}

extern const struct hwgq_module_entry scale_hwgq_module;
const struct hwgq_module_entry scale_hwgq_module = {
    HWGQ_ABI_VERSION, 0, noted.record, sizeof noted.record, run, prepare};
