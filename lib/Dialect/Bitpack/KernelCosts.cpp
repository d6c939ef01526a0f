//===- KernelCosts.cpp - what kernels are predicted to take ---------------===//
//
// time = work / rate + what is done once for each input or output.
// Work counts the padding of a kernel's tiles; rates are those of the best
// loops of hwgq-ceilings (1e9 MAC/s, which is MACs a nanosecond) times the
// share that the kernel reaches of them. docs/Architecture.md has the
// measurements.
//
//===----------------------------------------------------------------------===//
#include "KernelCosts.h"
#include <cmath>

using namespace mlir;
using namespace hwgq;
using namespace hwgq::bitpack;

KernelTarget KernelTarget::get(ArrayRef<std::string> features) {
  KernelTarget target;
  for (StringRef feature : features)
    if (!feature.starts_with("-"))
      target.features.insert(feature.ltrim('+'));
  if (target.has("avx512bw") && target.has("avx512vl"))
    target.vectorBytes = 64;
  else if (target.has("avx2"))
    target.vectorBytes = 32;
  return target;
}

/// The value for registers of 64, 32 and 16 bytes.
static double byWidth(const KernelTarget &target, double wide, double middle,
                      double narrow) {
  return target.vectorBytes == 64   ? wide
         : target.vectorBytes == 32 ? middle
                                    : narrow;
}

/// A rate of AArch64 by the scheduling models of LLVM at 3 GHz (the table in
/// docs/Performance.md): of Neoverse V1 where registers are scalable, else N2.
static double onArm(const KernelTarget &target, double v1, double n2) {
  return target.has("sve") ? v1 : n2;
}

/// Outputs times taps, for all groups and positions, with the output channels
/// of a group rounded up to `outputs`.
static double paddedTaps(const Contraction &c, int64_t outputs,
                         int64_t positions) {
  return double(positions) * double(c.window.kernel[0]) *
         double(c.window.kernel[1]) *
         double(llvm::alignTo(c.groupOutChannels(), outputs)) *
         double(c.groups);
}

/// Products, with the input channels of a group rounded up to `inputs`, too.
static double paddedMacs(const Contraction &c, int64_t inputs, int64_t outputs,
                         int64_t positions) {
  return paddedTaps(c, outputs, positions) *
         double(llvm::alignTo(c.groupInChannels(), inputs));
}

/// Pixels of one input image (or rows of a matrix).
static double inputPixels(const Contraction &c) {
  if (c.isMatMul)
    return double(c.positions());
  return double(std::max<int64_t>(1, c.inputType().getDimSize(1) *
                                         c.inputType().getDimSize(2)));
}

//===----------------------------------------------------------------------===//
// Rates of the loops alone, of the machine that docs/Architecture.md names
//===----------------------------------------------------------------------===//

double bitpack::popcountCeiling(const Contraction &c,
                                const KernelTarget &target) {
  int64_t pairs = c.inputCode().getBits() * c.weightCode().getBits();
  double rate = target.has("avx512vpopcntdq") && target.vectorBytes == 64 ? 895
                : target.has("neon") ? onArm(target, 510, 220)
                                     : byWidth(target, 360, 255, 117);
  return rate / double(pairs);
}

/// Whether lookups are for two pixels at once: codes of one bit side by side.
static bool looksUpPairs(const Contraction &c) {
  return !c.isMatMul && c.inputCode().getBits() == 1 &&
         c.resultType().getDimSize(2) > 1;
}

/// Whether lookups are in tables of 64 entries.
static bool hasWideTables(const KernelTarget &target) {
  return target.has("avx512vbmi") && target.vectorBytes == 64;
}

/// Tables of a pixel of one group, of 6 or 4 channels within a word each.
static int64_t tablesOfPixel(const Contraction &c, const KernelTarget &target) {
  int64_t group = hasWideTables(target) ? 6 : 4, channels = c.groupInChannels();
  return channels / 64 * int64_t(llvm::divideCeil(64, group)) +
         int64_t(llvm::divideCeil(channels % 64, group));
}

/// The work of lookups for vectors of output channels, in products of words of
/// 64 channels.
static double lookupMacs(const Contraction &c, const KernelTarget &target,
                         int64_t lanes, int64_t positions) {
  return paddedTaps(c, lanes, positions) * 64 *
         double(tablesOfPixel(c, target)) / (hasWideTables(target) ? 11 : 16);
}

double bitpack::lookupCeiling(const Contraction &c,
                              const KernelTarget &target) {
  bool wide = hasWideTables(target);
  double rate =
      target.has("neon") ? (looksUpPairs(c) ? onArm(target, 350, 300) : 175)
      : looksUpPairs(c)  ? (wide ? 1120 : byWidth(target, 860, 640, 345))
                         : (wide ? 940 : byWidth(target, 655, 460, 240));
  return rate / double(c.weightCode().getBits());
}

double bitpack::amxCeiling(const Contraction &, const KernelTarget &) {
  return 2050;
}

double bitpack::dot8Ceiling(const Contraction &, const KernelTarget &target) {
  return target.has("avx512vnni") && target.vectorBytes == 64 ? 300
         : target.has("avxvnni")                              ? 170
         : target.has("i8mm")    ? onArm(target, 330, 170)
         : target.has("dotprod") ? onArm(target, 140, 75)
         : target.has("neon")    ? onArm(target, 43, 22)
                                 : byWidth(target, 115, 80, 40);
}

double bitpack::f32Ceiling(const Contraction &, const KernelTarget &target) {
  return target.has("fma") || target.has("neon") ? byWidth(target, 88, 44, 22)
                                                 : 0.4;
}

//===----------------------------------------------------------------------===//
// Times of the kernels
//===----------------------------------------------------------------------===//

double bitpack::threadPopcountCost(const Contraction &, const KernelTarget &) {
  return 0; // nothing else computes on a GPU
}

/// Nanoseconds to bring weights from the outer caches, or from memory.
static double traffic(double bytes) {
  constexpr double kCached = 4e6, kFast = 0.03, kSlow = 0.1;
  return bytes * (bytes <= kCached ? kFast : kSlow);
}

/// The same for all weights at so many bits each.
static double weightTraffic(const Contraction &c, double bits) {
  return traffic(double(c.weightType().getNumElements()) * bits / 8);
}

/// Words of a plane of an input pixel, where every group begins with one.
static double groupWords(const Contraction &c) {
  return double(c.groups) * double(llvm::divideCeil(c.groupInChannels(), 64));
}

/// Nanoseconds to copy an input into that form.
static double alignGroupsCost(const Contraction &c) {
  constexpr double kNsPerWord = 1.5;
  if (c.groups == 1 || c.groupInChannels() % 64 == 0)
    return 0;
  return inputPixels(c) * groupWords(c) * c.inputCode().getBits() * kNsPerWord;
}

double bitpack::popcountCost(const Contraction &c, const KernelTarget &target) {
  int64_t pairs = c.inputCode().getBits() * c.weightCode().getBits();
  double rate = target.has("avx512vpopcntdq") && target.vectorBytes == 64 ? 900
                : target.has("neon") ? onArm(target, 430, 190)
                                     : byWidth(target, 310, 215, 95);
  double words = inputPixels(c) * groupWords(c) * c.inputCode().getBits();
  double sums = c.weightCode().getOffset() ? words * 0.3 : 0;
  return paddedMacs(c, 64, 8, c.positions()) * double(pairs) / rate + sums +
         alignGroupsCost(c) + weightTraffic(c, c.weightCode().getBits());
}

/// A table of a 1x1 filter or a matrix is made in a register, again for each
/// few registers of channels; what is left is to find its rows.
static double lookupInRegistersCost(const Contraction &c,
                                    const KernelTarget &target) {
  bool neon = target.has("neon"), wide = hasWideTables(target);
  int64_t most = neon || target.vectorBytes == 64 ? 4 : 2;
  int64_t blocks = llvm::divideCeil(c.groupOutChannels(), target.vectorBytes);
  int64_t shared = getEqualPart(blocks, most);
  constexpr double kWide[] = {380, 560, 640, 700};
  double rate = neon   ? 150
                : wide ? kWide[shared - 1]
                       : byWidth(target, 480, 340, 205);
  constexpr double kFind = 1.2; // ns a word
  int64_t lanes = target.vectorBytes * shared;
  return lookupMacs(c, target, lanes, c.positions()) *
             double(c.weightCode().getBits()) / rate +
         inputPixels(c) * groupWords(c) * double(c.inputCode().getBits()) *
             kFind;
}

/// With tables in memory, a row of them for each of the image.
static double lookupInMemoryCost(const Contraction &c,
                                 const KernelTarget &target) {
  bool wide = hasWideTables(target);
  double rate = wide                 ? 840
                : target.has("neon") ? 150
                                     : byWidth(target, 540, 420, 225);
  double tables = inputPixels(c) * double(c.groups * tablesOfPixel(c, target));
  int64_t positions = c.positions(), tableBits = c.inputCode().getBits();
  if (looksUpPairs(c)) {
    rate = wide                 ? 1150
           : target.has("neon") ? onArm(target, 300, 255)
                                : byWidth(target, 760, 570, 295);
    int64_t width = c.resultType().getDimSize(2);
    positions = positions / width * int64_t(llvm::alignTo(width, 2));
    tables /= 2;
    tableBits = 2;
  }
  double macs = lookupMacs(c, target, target.vectorBytes, positions);
  // A table of each 6 (or 4) channels of a pixel is a sum of ready rows, made
  // beside the lookups of the row before where the window moves by one.
  bool beside = wide && c.window.kernel[0] > 1 && c.window.strides[0] == 1 &&
                c.window.strides[1] == 1;
  double each = (wide ? 0.3 : 0.1) + (wide ? 0.25 : 0.1) * double(tableBits);
  return macs * double(c.weightCode().getBits()) / rate +
         tables * each * (beside ? 0.6 : 1);
}

double bitpack::lookupCost(const Contraction &c, const KernelTarget &target) {
  bool oneTap = c.window.kernel[0] * c.window.kernel[1] == 1;
  double indexBits = 8.0 / (hasWideTables(target) ? 6 : 4);
  return (oneTap && !looksUpPairs(c) ? lookupInRegistersCost(c, target)
                                     : lookupInMemoryCost(c, target)) +
         alignGroupsCost(c) +
         weightTraffic(c, c.weightCode().getBits() * indexBits);
}

double bitpack::amxCost(const Contraction &c, const KernelTarget &) {
  constexpr double kRate = 1900, kTileBytes = 64;
  constexpr int64_t kTile = 16, kBlock = 32, kFew = 64;
  // Rows of an image run on over their padding where the stride is 1. Blocks
  // are of two tiles, but for few.
  int64_t positions = c.positions();
  if (!c.isMatMul) {
    int64_t height = std::max<int64_t>(1, c.resultType().getDimSize(1));
    int64_t width = std::max<int64_t>(1, c.resultType().getDimSize(2));
    bool runs = c.window.strides[0] == 1 && c.window.strides[1] == 1;
    LayoutAttr layout = getLayout(c.inputType());
    int64_t full =
        c.inputType().getDimSize(2) + layout.getLeft() + layout.getRight();
    positions = runs ? (height - 1) * full + width
                     : height * int64_t(llvm::alignTo(width, kTile));
  }
  positions = llvm::alignTo(positions, positions <= kFew ? kTile : kBlock);
  // A step multiplies 64 bytes, whether they are there or not.
  bool joined = c.groups == 1 && c.window.dilations[1] == 1;
  int64_t taps = joined ? 1 : c.window.kernel[1];
  double bytes =
      double(c.groupInChannels()) * double(joined ? c.window.kernel[1] : 1);
  double steps =
      double(c.window.kernel[0] * taps) * std::ceil(bytes / kTileBytes);
  double channels =
      double(llvm::alignTo(c.groupOutChannels(), kTile)) * double(c.groups);
  double weights = steps * kTileBytes * channels;
  // Weights of few bits come as bits and are expanded; others come as bytes.
  constexpr double kExpand = 0.012; // ns a byte
  int64_t bits = c.weightCode().getBits();
  double prepare = bits <= 2
                       ? traffic(weights * double(bits) / 8) + weights * kExpand
                       : traffic(weights);
  return weights * double(positions) / kRate + prepare;
}

/// MACs a nanosecond of products of bytes on vectors.
static double dot8Rate(const Contraction &c, const KernelTarget &target) {
  CodeType a = c.inputCode(), w = getByteNumbers(c.weightCode());
  int64_t pair =
      2 * ((int64_t(1) << a.getBits()) - 1) *
      std::max<int64_t>({std::abs(w.getMin()), std::abs(w.getMax()), 1});
  constexpr int64_t kNarrow = 32767;
  if (target.has("neon"))
    return target.has("i8mm")      ? onArm(target, 280, 145)
           : target.has("dotprod") ? onArm(target, 120, 64)
                                   : onArm(target, 37, 19);
  if (target.vectorBytes == 64 && target.has("avx512vnni"))
    return 250;
  if (target.vectorBytes == 32 && target.has("avxvnni"))
    return 140;
  if (pair * 8 <= kNarrow) // few sums are widened
    return byWidth(target, 220, 120, 50);
  return byWidth(target, 100, 60, 28) * (pair <= kNarrow ? 1 : 0.7);
}

double bitpack::dot8Cost(const Contraction &c, const KernelTarget &target) {
  int64_t lanes = target.vectorBytes / 4;
  CodeType w = getByteNumbers(c.weightCode());
  // Codes in place of numbers need the sums of windows.
  double sums = w == c.weightCode()
                    ? 0
                    : inputPixels(c) * double(c.inChannels) *
                          double(c.window.kernel[0]) / double(lanes) * 0.4;
  return paddedMacs(c, 4, lanes, c.positions()) / dot8Rate(c, target) + sums +
         weightTraffic(c, 8);
}

double bitpack::pairsCost(const Contraction &c, const KernelTarget &target) {
  constexpr double kOrder = 0.2; // ns a code of the right operand
  double codes = 1;
  for (int64_t size : c.weightType().getShape().drop_front())
    codes *= double(size);
  return paddedMacs(c, 8, target.vectorBytes / 4, c.positions()) /
             dot8Rate(c, target) +
         codes * kOrder;
}

double bitpack::f32Cost(const Contraction &c, const KernelTarget &target) {
  bool fma = target.has("fma") || target.has("neon");
  double rate = fma ? byWidth(target, 70, 36, 18) : 0.3;
  constexpr int64_t kWidened = 4; // below, weights are widened for each output
  if (fma && c.weightCode() && c.positions() < kWidened)
    rate = byWidth(target, 25, 21, 10);
  double bits = c.weightCode() ? c.weightCode().getBits() : 32;
  return paddedMacs(c, 1, target.vectorBytes / 4, c.positions()) / rate +
         weightTraffic(c, bits);
}

double bitpack::depthwiseCost(const Contraction &c,
                              const KernelTarget &target) {
  // A tap of a vector: codes to numbers, a product and a sum; of 16 bits where
  // those hold it.
  bool narrow =
      accumulatorBound(c.inputCode(), c.weightCode(),
                       c.window.kernel[0] * c.window.kernel[1]) < INT16_MAX;
  double nsPerStep = narrow ? 0.5 : 1.0;
  return double(c.macs()) * nsPerStep /
         double(target.vectorBytes / (narrow ? 2 : 4));
}

double bitpack::genericCost(const Contraction &c, const KernelTarget &target) {
  constexpr int64_t kLanes = 8;
  double macs = paddedMacs(c, 1, kLanes, c.positions());
  if (c.isProduct()) // code by code
    return macs * 2;
  if (!c.inputCode() || !c.weightCode())
    return macs * (target.has("fma") || target.has("neon") ? 0.4 : 4) +
           weightTraffic(c, c.weightCode() ? c.weightCode().getBits() : 32);
  // Pairs of planes and planes of a word of 64 channels; or codes of a channel.
  constexpr double kNsPerChannel = 1.6;
  double perPair = byWidth(target, 0.15, 0.2, 0.4);
  int64_t a = c.inputCode().getBits(), w = c.weightCode().getBits();
  double words = paddedMacs(c, 64, kLanes, c.positions()) / 64;
  return std::min(words * double(a * w + a + w) * perPair,
                  macs * kNsPerChannel) +
         weightTraffic(c, double(w));
}

double bitpack::epilogueCost(RankedTensorType result, int64_t thresholds,
                             int64_t outputs, const KernelTarget &target) {
  double vectors = double(outputs) * 4 / double(target.vectorBytes);
  if (!isPacked(result))
    return vectors;
  int64_t bits = cast<CodeType>(result.getElementType()).getBits();
  double compares = 0.25 * double(thresholds);
  double stores = getLayout(result).isPlanes() ? 0.4 : 0.3;
  return vectors * (1 + compares + stores * double(bits));
}

double bitpack::relayoutCost(int64_t elements, const KernelTarget &target) {
  return double(elements) * 4 / double(target.vectorBytes) * 2.5;
}
