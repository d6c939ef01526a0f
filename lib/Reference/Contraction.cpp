//===- Contraction.cpp - direct convolution in one order ------------------===//
#include "Contraction.h"

#include <cmath>
#include <type_traits>
#include <vector>

using namespace hwgq::reference;

/// acc[k] += x[c] * w[c][k] for c upwards, k side by side.
template <typename T>
static inline __attribute__((always_inline)) void
accumulate(const T *x, const T *w, T *acc, int64_t channels, int64_t outputs) {
  for (int64_t c = 0; c < channels; ++c, w += outputs)
    for (int64_t k = 0; k < outputs; ++k)
      if constexpr (std::is_same_v<T, float>)
        acc[k] = __builtin_fmaf(x[c], w[k], acc[k]);
      else if constexpr (std::is_same_v<T, double>)
        acc[k] = __builtin_fma(x[c], w[k], acc[k]);
      else
        acc[k] =
            T(std::make_unsigned_t<T>(acc[k]) +
              std::make_unsigned_t<T>(x[c]) * std::make_unsigned_t<T>(w[k]));
}

template <typename T>
static void accumulatePlain(const T *x, const T *w, T *acc, int64_t channels,
                            int64_t outputs) {
  accumulate(x, w, acc, channels, outputs);
}

template <typename T>
using Accumulate = void (*)(const T *, const T *, T *, int64_t, int64_t);

#if defined(__x86_64__)
/// The same on vectors; both give the same bits.
template <typename T>
__attribute__((target("avx2,fma"))) static void
accumulateWide(const T *x, const T *w, T *acc, int64_t channels,
               int64_t outputs) {
  accumulate(x, w, acc, channels, outputs);
}

template <typename T> static Accumulate<T> chooseAccumulate() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
             ? accumulateWide<T>
             : accumulatePlain<T>;
}
#else
template <typename T> static Accumulate<T> chooseAccumulate() {
  return accumulatePlain<T>;
}
#endif

/// Steps to the next index of a shape in row-major order; false at the end.
static bool advance(llvm::SmallVectorImpl<int64_t> &index,
                    llvm::ArrayRef<int64_t> shape) {
  for (int64_t d = int64_t(shape.size()) - 1; d >= 0; --d) {
    if (++index[d] < shape[d])
      return true;
    index[d] = 0;
  }
  return false;
}

/// The pixel that a tap reads, as a flat position, or -1 in the padding.
static int64_t locate(const ContractionShape &s, llvm::ArrayRef<int64_t> out,
                      llvm::ArrayRef<int64_t> tap) {
  int64_t position = 0;
  for (size_t d = 0; d < s.in.size(); ++d) {
    int64_t at = out[d] * s.strides[d] + tap[d] * s.dilations[d] - s.pads[d];
    if (at < 0 || at >= s.in[d])
      return -1;
    position = position * s.in[d] + at;
  }
  return position;
}

static int64_t product(llvm::ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

template <typename T>
void hwgq::reference::contract(const ContractionShape &s, const T *x,
                               const T *w, T *y) {
  static const Accumulate<T> accumulateFn = chooseAccumulate<T>();
  const int64_t rowIn = s.groups * s.channels,
                rowOut = s.groups * s.outChannels;
  const int64_t pixels = product(s.in), outPixels = product(s.out);
  const int64_t taps = product(s.kernel), tile = s.channels * s.outChannels;
  std::fill_n(y, s.batch * outPixels * rowOut, T(0));
  if (!s.batch || !outPixels || !taps || !rowIn)
    return;
  const std::vector<T> zeros(s.channels, T(0));
  for (int64_t n = 0; n < s.batch; ++n) {
    llvm::SmallVector<int64_t> out(s.out.size(), 0);
    do {
      llvm::SmallVector<int64_t> tap(s.kernel.size(), 0);
      int64_t t = 0;
      do {
        int64_t at = locate(s, out, tap);
        if (at < 0 && std::is_integral_v<T>)
          continue;
        for (int64_t g = 0; g < s.groups; ++g) {
          const T *from = at < 0
                              ? zeros.data()
                              : x + (n * pixels + at) * rowIn + g * s.channels;
          accumulateFn(from, w + (g * taps + t) * tile, y + g * s.outChannels,
                       s.channels, s.outChannels);
        }
      } while (++t, advance(tap, s.kernel));
      y += rowOut;
    } while (advance(out, s.out));
  }
}

template void hwgq::reference::contract(const ContractionShape &, const float *,
                                        const float *, float *);
template void hwgq::reference::contract(const ContractionShape &,
                                        const double *, const double *,
                                        double *);
template void hwgq::reference::contract(const ContractionShape &,
                                        const int32_t *, const int32_t *,
                                        int32_t *);
template void hwgq::reference::contract(const ContractionShape &,
                                        const int64_t *, const int64_t *,
                                        int64_t *);
