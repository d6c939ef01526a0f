//===- main.cpp - hwgq-ceilings -------------------------------------------===//
//
// Prints how many multiply-accumulates one core does in a second with each
// inner product that a kernel can be built on. A product of two bits counts as
// one for popcount loops, a product of two bytes or floats for the others, and
// a lookup counts as the 4 or 6 weights it stands for.
//
//===----------------------------------------------------------------------===//

#include "Ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace hwgq::ceilings;

namespace {
struct Result {
  const Loop *loop;
  bool present = false;
  double best = 0, median = 0; // 1e9 MAC/s
};

struct alignas(64) Buffers {
  alignas(64) char a[maxOperandBytes], w[maxOperandBytes];
  alignas(64) char out[maxOutputs * 8];
};

double seconds(const Variant &v, Buffers &data, long repeats) {
  auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < repeats; ++i)
    v.run(data.a, data.w, data.out);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

/// How often the tile is computed in about `wanted` seconds.
long repeatsIn(const Variant &v, Buffers &data, double wanted) {
  long repeats = 16;
  double taken = seconds(v, data, repeats);
  while (taken < wanted / 4) {
    repeats *= 2;
    taken = seconds(v, data, repeats);
  }
  return std::max(1L, long(double(repeats) * wanted / taken));
}

/// 1e9 MAC/s over `repeats` tiles.
double rate(Kind kind, const Variant &v, Buffers &data, long repeats) {
  double macs = double(productsPerStep(kind)) * v.pixels * v.channels * v.depth;
  return macs * double(repeats) / seconds(v, data, repeats) * 1e-9;
}

/// Measures the fastest variant of a loop. Exits if a result is wrong.
Result run(const Loop &loop, Buffers &data, int rounds) {
  Result result{&loop};
  result.present = hasIsa(loop.isa);
  if (!result.present)
    return result;
  for (int i = 0; i < loop.numVariants; ++i) {
    const Variant &v = loop.variants[i];
    fill(loop.kind, v, data.a, data.w);
    std::memset(data.out, 0x5a, sizeof data.out);
    v.run(data.a, data.w, data.out);
    if (!check(loop.kind, v, data.a, data.w, data.out)) {
      std::fprintf(stderr, "error: %s (%d pixels, %d channels): wrong result\n",
                   loop.name, v.pixels, v.channels);
      std::exit(1);
    }
    long repeats = repeatsIn(v, data, 0.01);
    std::vector<double> rates;
    for (int round = 0; round < rounds; ++round)
      rates.push_back(rate(loop.kind, v, data, repeats));
    std::sort(rates.begin(), rates.end());
    if (rates.back() > result.best) {
      result.best = rates.back();
      result.median = rates[rates.size() / 2];
    }
  }
  return result;
}

template <int N> void append(std::vector<Loop> &to, const Loop (&loops)[N]) {
  to.insert(to.end(), loops, loops + N);
}

std::vector<Loop> allLoops() {
  std::vector<Loop> loops;
#if defined(__x86_64__)
  append(loops, ssse3Loops);
  append(loops, avx2Loops);
  append(loops, avxVnniLoops);
  append(loops, avx512Loops);
  append(loops, avx512VpopcntdqLoops);
  append(loops, avx512VnniLoops);
  append(loops, avx512VbmiLoops);
  append(loops, gfniLoops);
  append(loops, amxLoops);
#elif defined(__aarch64__)
  append(loops, neonLoops);
  append(loops, neonDotLoops);
#endif
  return loops;
}

std::string jsonString(const char *text) {
  std::string out = "\"";
  for (; *text; ++text) {
    if (*text == '"' || *text == '\\')
      out += '\\';
    out += *text >= 0 && *text < ' ' ? ' ' : *text;
  }
  return out + "\"";
}

void printJson(const std::vector<Result> &results) {
  std::printf("{\"cpu\": %s, \"unit\": \"1e9 MAC/s\", \"threads\": 1, "
              "\"ceilings\": [\n",
              jsonString(cpuName()).c_str());
  for (size_t i = 0; i < results.size(); ++i) {
    const Result &r = results[i];
    std::printf("  {\"name\": \"%s\", \"isa\": \"%s\", \"present\": %s",
                r.loop->name, r.loop->isa, r.present ? "true" : "false");
    if (r.present)
      std::printf(", \"best\": %.1f, \"median\": %.1f", r.best, r.median);
    std::printf("}%s\n", i + 1 < results.size() ? "," : "");
  }
  std::printf("]}\n");
}

/// The widest loops present of floats, of tables and of AMX tiles: what the
/// inner loops of engines are made of. A neighbour on the core's other hardware
/// thread slows each of them down.
std::vector<Loop> probeLoops(const std::vector<Loop> &loops) {
  std::vector<Loop> found;
  for (auto isKind : {+[](Kind kind) { return kind == Kind::F32; },
                      +[](Kind kind) {
                        return kind == Kind::Table16 || kind == Kind::Table64;
                      },
                      +[](Kind kind) { return kind == Kind::Dot8Rows; }}) {
    auto last = std::find_if(loops.rbegin(), loops.rend(), [&](const Loop &l) {
      return isKind(l.kind) && hasIsa(l.isa);
    });
    if (last != loops.rend())
      found.push_back(*last);
  }
  return found;
}

/// Answers each line of the standard input with a line of JSON: the rates of
/// the probe's loops over about 1.5 ms each.
void probe(const std::vector<Loop> &loops, Buffers &data) {
  std::vector<long> repeats;
  for (const Loop &loop : loops) {
    fill(loop.kind, loop.variants[0], data.a, data.w);
    repeats.push_back(repeatsIn(loop.variants[0], data, 0.0015));
  }
  for (int c; (c = std::getchar()) != EOF;) {
    if (c != '\n')
      continue;
    for (size_t i = 0; i < loops.size(); ++i) {
      const Variant &v = loops[i].variants[0];
      fill(loops[i].kind, v, data.a, data.w);
      rate(loops[i].kind, v, data, repeats[i] / 8); // warms up
      std::printf("%s\"%s\": %.1f", i ? ", " : "{", loops[i].name,
                  rate(loops[i].kind, v, data, repeats[i]));
    }
    std::printf("}\n");
    std::fflush(stdout);
  }
}

void printTable(const std::vector<Result> &results) {
  std::printf("%s, one thread, 1e9 MAC/s\n", cpuName());
  std::printf("%-26s %-16s %9s %9s\n", "loop", "needs", "best", "median");
  for (const Result &r : results)
    if (r.present)
      std::printf("%-26s %-16s %9.1f %9.1f\n", r.loop->name, r.loop->isa,
                  r.best, r.median);
    else
      std::printf("%-26s %-16s %9s\n", r.loop->name, r.loop->isa, "absent");
}
} // namespace

int main(int argc, char **argv) {
  bool json = false, probes = false;
  const char *only = nullptr;
  int rounds = 15;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--json")) {
      json = true;
    } else if (!std::strcmp(argv[i], "--quick")) {
      rounds = 1;
    } else if (!std::strcmp(argv[i], "--probe")) {
      probes = true;
    } else if (!std::strcmp(argv[i], "--loop") && i + 1 < argc) {
      only = argv[++i];
    } else {
      bool help = !std::strcmp(argv[i], "--help");
      std::fprintf(
          help ? stdout : stderr,
          "usage: hwgq-ceilings [--json] [--quick] [--loop NAME] [--probe]\n"
          "  --json       print JSON instead of a table\n"
          "  --quick      one round a loop instead of 15\n"
          "  --loop NAME  this loop only\n"
          "  --probe      answer each line of the input with the rates, over "
          "1.5 ms, of loops\n"
          "               that tell whether the core is undisturbed\n");
      return help ? 0 : 1;
    }
  }
  static Buffers data;
  std::vector<Result> results;
  std::vector<Loop> loops = allLoops();
  if (probes) {
    probe(probeLoops(loops), data);
    return 0;
  }
  for (const Loop &loop : loops)
    if (!only || !std::strcmp(only, loop.name))
      results.push_back(run(loop, data, rounds));
  if (results.empty()) {
    std::fprintf(stderr, "error: no loop is named %s\n", only ? only : "");
    return 1;
  }
  json ? printJson(results) : printTable(results);
  return 0;
}
