/*===- hwgq_abi.h - What the compiler and the runtime agree on ------------===*\
|*
|* The only header that the compiler and the runtime share. It is freestanding
|* (C11 or C++17, little-endian hosts) and describes
|*
|*   1. the element types of inputs and outputs,
|*   2. the call: struct hwgq_frame and struct hwgq_module_entry,
|*   3. the metadata record that a module carries in an ELF note,
|*   4. the checksum of a module file and where the record lies in it,
|*   5. the CPU features that a module may require,
|*   6. the trailer of an executable that carries a module.
|*
|* How the compiler makes a module
|* -------------------------------
|* Emit into one object:
|*   - a private constant `[20 + N x i8]` in section ".note.hwgq", align 4:
|*     struct hwgq_note (20 bytes: name_size 5, desc_size N, type
|*     HWGQ_NOTE_TYPE, name "hwgq\0\0\0\0"), then the record of N bytes,
|*     N a multiple of 4;
|*   - an external constant `<prefix>_hwgq_module` of struct hwgq_module_entry
|*     whose `metadata` is the address of the record (note + 20).
|* All other symbols are internal; the object has no undefined symbol.
|*
|* The record is struct hwgq_record followed by what its spans point at, in any
|* order. Strings are UTF-8 and followed by one NUL that `size` does not count.
|* Tables are 4-byte aligned within the record. Write 0 to file_size and
|* file_checksum; that is the final form for --emit=obj (static linking).
|* For a shared library, link with -shared, read the file back and finish it:
|*
|*   uint64_t at, n;
|*   const char *why = hwgq_locate_record(bytes, size, &at, &n);   NULL = found
|*   store u64 `size` at at + offsetof(struct hwgq_record, file_size);
|*   uint64_t field = at + offsetof(struct hwgq_record, file_checksum);
|*   store u64 hwgq_checksum(bytes, size, field) at `field`.
|*
|* The checks guard against damage, not against malice: a module is code.
\*===----------------------------------------------------------------------===*/
#ifndef HWGQ_ABI_H
#define HWGQ_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hwgq modules are little-endian"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Changes with every incompatible change of this header. */
#define HWGQ_ABI_VERSION 1u

/** Alignment in bytes that the runtime gives to workspace and shared memory. */
#define HWGQ_MEMORY_ALIGN 4096u

/** Highest rank of an input or output. */
#define HWGQ_MAX_RANK 8u

/*===--------------------------------------------------------------------===*\
|* 1. Element types
\*===--------------------------------------------------------------------===*/

enum hwgq_dtype {
  HWGQ_F32 = 1,
  HWGQ_F64 = 2,
  HWGQ_F16 = 3,
  HWGQ_I8 = 4,
  HWGQ_I16 = 5,
  HWGQ_I32 = 6,
  HWGQ_I64 = 7,
  HWGQ_U8 = 8,
  HWGQ_U16 = 9,
  HWGQ_U32 = 10,
  HWGQ_U64 = 11,
  HWGQ_BOOL = 12 /**< one byte, 0 or 1 */
};

/** Bytes of one element, 0 for a number that is no type. */
static inline uint32_t hwgq_dtype_size(uint32_t dtype) {
  switch (dtype) {
  case HWGQ_I8:
  case HWGQ_U8:
  case HWGQ_BOOL:
    return 1;
  case HWGQ_F16:
  case HWGQ_I16:
  case HWGQ_U16:
    return 2;
  case HWGQ_F32:
  case HWGQ_I32:
  case HWGQ_U32:
    return 4;
  case HWGQ_F64:
  case HWGQ_I64:
  case HWGQ_U64:
    return 8;
  default:
    return 0;
  }
}

/** "f32", "u8", "bool", ...; NULL for a number that is no type. */
static inline const char *hwgq_dtype_name(uint32_t dtype) {
  switch (dtype) {
  case HWGQ_F32:
    return "f32";
  case HWGQ_F64:
    return "f64";
  case HWGQ_F16:
    return "f16";
  case HWGQ_I8:
    return "i8";
  case HWGQ_I16:
    return "i16";
  case HWGQ_I32:
    return "i32";
  case HWGQ_I64:
    return "i64";
  case HWGQ_U8:
    return "u8";
  case HWGQ_U16:
    return "u16";
  case HWGQ_U32:
    return "u32";
  case HWGQ_U64:
    return "u64";
  case HWGQ_BOOL:
    return "bool";
  default:
    return NULL;
  }
}

/*===--------------------------------------------------------------------===*\
|* 2. The call
\*===--------------------------------------------------------------------===*/

/** Part of a parallel loop: iterations [begin, end) on some thread. */
typedef void (*hwgq_task)(void *env, int64_t begin, int64_t end);

/**
 * What one run of a module gets. Arrays are C-order, naturally aligned for
 * their type, and outputs overlap nothing. All threads run in round-to-nearest
 * without FTZ or DAZ.
 */
struct hwgq_frame {
  const void *const *inputs; /**< in the order of the tensor table */
  void *const *outputs;
  /** workspace_constant + batch * workspace_per_batch bytes, aligned to
      HWGQ_MEMORY_ALIGN, with any content. */
  void *workspace;
  /** What `prepare` filled, read-only; NULL when shared_size is 0. */
  const void *shared;
  int64_t batch; /**< the fixed batch, or the batch of this run; >= 1 */
  /** Calls fn on disjoint parts that cover [0, count), on several threads,
      and returns when all are done. Not to be called from within fn. */
  void (*parallel_for)(void *pool, hwgq_task fn, void *env, int64_t count);
  void *pool;
  /** Called after layer `layer` on the thread that called `run`.
      NULL unless profiling: test before the call. */
  void (*layer_done)(void *profile, int32_t layer);
  void *profile;
};

/** The one exported symbol of a module, `<prefix>_hwgq_module`. */
struct hwgq_module_entry {
  uint32_t abi_version; /**< HWGQ_ABI_VERSION */
  uint32_t reserved;    /**< 0 */
  const void *metadata; /**< struct hwgq_record, aligned to 4 only */
  uint64_t metadata_size;
  void (*run)(const struct hwgq_frame *frame);
  /** Fills shared_size bytes, once per opened module; NULL when there are
      none. */
  void (*prepare)(void *shared);
};

/*===--------------------------------------------------------------------===*\
|* 3. The record
\*===--------------------------------------------------------------------===*/

#define HWGQ_RECORD_MAGIC "HWGQMOD" /* with its NUL: 8 bytes */
#define HWGQ_NOTE_NAME "hwgq"       /* with its NUL: 5 bytes, padded to 8 */
#define HWGQ_NOTE_SECTION ".note.hwgq"
#define HWGQ_NOTE_TYPE 1u

/** `arch` of the record: the ELF machine number. */
#define HWGQ_ARCH_X86_64 62u
#define HWGQ_ARCH_AARCH64 183u

#define HWGQ_BATCH_DYNAMIC ((int64_t)-1)

struct hwgq_note {
  uint32_t name_size; /**< 5 */
  uint32_t desc_size; /**< bytes of the record */
  uint32_t type;      /**< HWGQ_NOTE_TYPE */
  char name[8];       /**< HWGQ_NOTE_NAME */
};

/** Bytes [offset, offset + size) of the record; for tables, size counts
    bytes, too. An empty table or string may have any valid offset; a string's
    NUL is there also when it is empty. */
struct hwgq_span {
  uint32_t offset; /**< from the start of the record */
  uint32_t size;
};

/** One input or output. */
struct hwgq_tensor_record {
  struct hwgq_span name;
  uint32_t dtype;     /**< enum hwgq_dtype */
  uint32_t is_output; /**< 0 or 1 */
  uint32_t rank;      /**< 0 .. HWGQ_MAX_RANK */
  uint32_t reserved;  /**< 0 */
  /** Sizes; a negative one -k means k * batch (so -1 is the batch) and needs
      a dynamic batch. Unused ones are 0. */
  int64_t dims[HWGQ_MAX_RANK];
};

struct hwgq_record {
  char magic[8];               /**< HWGQ_RECORD_MAGIC */
  uint32_t abi_version;        /**< HWGQ_ABI_VERSION */
  uint32_t header_size;        /**< sizeof(struct hwgq_record) */
  uint64_t file_size;          /**< of the whole file; 0: linked statically */
  uint64_t file_checksum;      /**< hwgq_checksum with this field as zero */
  uint32_t record_size;        /**< header and all that its spans point at */
  uint32_t arch;               /**< HWGQ_ARCH_... */
  int64_t batch;               /**< >= 1, or HWGQ_BATCH_DYNAMIC */
  uint64_t workspace_constant; /**< bytes */
  uint64_t workspace_per_batch;
  uint64_t shared_size;     /**< bytes of shared memory, 0 for none */
  struct hwgq_span tensors; /**< hwgq_tensor_record[]: inputs, then outputs */
  /** hwgq_span[] of strings: LLVM's feature names, with or without a leading
      '+', each one of HWGQ_X86_FEATURES or HWGQ_AARCH64_FEATURES. List all
      that code generation was allowed to use (no tuning flags). AMX: name
      amx-tile and amx-int8; the runtime asks for tile permission when a
      context is made. */
  struct hwgq_span features;
  struct hwgq_span layers;  /**< hwgq_span[] of names, for profiling */
  struct hwgq_span triple;  /**< string: "x86_64-unknown-linux-gnu" */
  struct hwgq_span target;  /**< string: the value of --target */
  struct hwgq_span prefix;  /**< string: <prefix> of the entry symbol */
  struct hwgq_span options; /**< string: the compiler's options */
  struct hwgq_span report;  /**< string: the report, one JSON object */
};

/*===--------------------------------------------------------------------===*\
|* 4. Checksum and place of the record
\*===--------------------------------------------------------------------===*/

/** One step of the checksum: bijective in h for fixed w and in w for fixed h,
    so that a change of one word always changes the result. */
static inline uint64_t hwgq_mix(uint64_t h, uint64_t w) {
  h = (h ^ w) * UINT64_C(0x9E3779B97F4A7C15);
  return h ^ (h >> 29);
}

/** Checksum of `size` bytes with the 8 bytes at `field` taken as zero. Four
    interleaved lanes of 8-byte words; the last block is padded with zeros. */
static inline uint64_t hwgq_checksum(const void *data, uint64_t size,
                                     uint64_t field) {
  const unsigned char *bytes = (const unsigned char *)data;
  uint64_t lane[4] = {1, 2, 3, 4};
  uint64_t at, i;
  uint64_t sum = size;
  for (at = 0; at < size; at += 32) {
    unsigned char block[32];
    uint64_t word[4];
    uint64_t left = size - at;
    if (left < 32 || (at < field + 8 && field < at + 32)) {
      memset(block, 0, sizeof block);
      memcpy(block, bytes + at, (size_t)(left < 32 ? left : 32));
      for (i = 0; i < 32; ++i)
        if (at + i >= field && at + i < field + 8)
          block[i] = 0;
      memcpy(word, block, sizeof word);
    } else {
      memcpy(word, bytes + at, sizeof word);
    }
    lane[0] = hwgq_mix(lane[0], word[0]);
    lane[1] = hwgq_mix(lane[1], word[1]);
    lane[2] = hwgq_mix(lane[2], word[2]);
    lane[3] = hwgq_mix(lane[3], word[3]);
  }
  for (i = 0; i < 4; ++i)
    sum = hwgq_mix(sum, lane[i]);
  return sum;
}

static inline uint16_t hwgq_load16(const void *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline uint32_t hwgq_load32(const void *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline uint64_t hwgq_load64(const void *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

/** Searches the notes in [at, at + size) of `file` for the record. Returns 1
    if found. Padding: `align` is 4 or 8, as the segment's alignment says. */
static inline int hwgq_find_note(const unsigned char *file, uint64_t at,
                                 uint64_t size, uint64_t align,
                                 uint64_t *offset, uint64_t *record_size) {
  uint64_t end = at + size;
  while (end - at >= 12) {
    uint64_t name_size = hwgq_load32(file + at);
    uint64_t desc_size = hwgq_load32(file + at + 4);
    uint64_t type = hwgq_load32(file + at + 8);
    uint64_t desc = (12 + name_size + align - 1) / align * align;
    uint64_t next = desc + (desc_size + align - 1) / align * align;
    if (desc > end - at || desc_size > end - at - desc)
      return 0;
    if (type == HWGQ_NOTE_TYPE && name_size == sizeof HWGQ_NOTE_NAME &&
        memcmp(file + at + 12, HWGQ_NOTE_NAME, sizeof HWGQ_NOTE_NAME) == 0) {
      *offset = at + desc;
      *record_size = desc_size;
      return 1;
    }
    if (next > end - at)
      return 0;
    at += next;
  }
  return 0;
}

/**
 * Finds the record in the bytes of an ELF shared library, without trusting
 * them. Returns NULL and the place of the record (at least a whole header,
 * with the right magic), or what is wrong.
 */
static inline const char *hwgq_locate_record(const void *data, uint64_t size,
                                             uint64_t *offset,
                                             uint64_t *record_size) {
  const unsigned char *file = (const unsigned char *)data;
  uint64_t headers, count, i;
  int found = 0;
  if (size < 64 || memcmp(file, "\177ELF", 4) != 0)
    return "not an ELF file";
  if (file[4] != 2 || file[5] != 1 || hwgq_load16(file + 16) != 3)
    return "not a 64-bit little-endian ELF shared library";
  headers = hwgq_load64(file + 32);
  count = hwgq_load16(file + 56);
  if (hwgq_load16(file + 54) != 56 || headers > size ||
      count > (size - headers) / 56)
    return "cut short or damaged: its program headers lie outside of it";
  for (i = 0; i < count; ++i) {
    const unsigned char *header = file + headers + i * 56;
    uint32_t type = hwgq_load32(header);
    uint64_t at = hwgq_load64(header + 8);
    uint64_t bytes = hwgq_load64(header + 32);
    if (type != 1 && type != 4) /* PT_LOAD, PT_NOTE */
      continue;
    if (at > size || bytes > size - at)
      return "cut short or damaged: a segment lies outside of it";
    if (type == 4 && !found)
      found =
          hwgq_find_note(file, at, bytes, hwgq_load64(header + 48) == 8 ? 8 : 4,
                         offset, record_size);
  }
  if (!found)
    return "an ELF file without a hwgq note, so not a hwgq module";
  if (*record_size < sizeof(struct hwgq_record) ||
      memcmp(file + *offset, HWGQ_RECORD_MAGIC, 8) != 0)
    return "damaged: its hwgq note holds no record";
  return NULL;
}

/*===--------------------------------------------------------------------===*\
|* 5. CPU features
\*===--------------------------------------------------------------------===*/

/** What the system must save for a feature's registers (bits of XCR0). */
#define HWGQ_STATE_NONE 0x0u
#define HWGQ_STATE_AVX 0x6u
#define HWGQ_STATE_AVX512 0xE6u
#define HWGQ_STATE_AMX 0x60000u

/** X(name, CPUID leaf, subleaf, register 0-3 = eax..edx, bit, XCR0 state). */
#define HWGQ_X86_FEATURES(X)                                                   \
  X("x87", 1, 0, 3, 0, HWGQ_STATE_NONE)                                        \
  X("cx8", 1, 0, 3, 8, HWGQ_STATE_NONE)                                        \
  X("cmov", 1, 0, 3, 15, HWGQ_STATE_NONE)                                      \
  X("mmx", 1, 0, 3, 23, HWGQ_STATE_NONE)                                       \
  X("fxsr", 1, 0, 3, 24, HWGQ_STATE_NONE)                                      \
  X("sse", 1, 0, 3, 25, HWGQ_STATE_NONE)                                       \
  X("sse2", 1, 0, 3, 26, HWGQ_STATE_NONE)                                      \
  X("sse3", 1, 0, 2, 0, HWGQ_STATE_NONE)                                       \
  X("pclmul", 1, 0, 2, 1, HWGQ_STATE_NONE)                                     \
  X("ssse3", 1, 0, 2, 9, HWGQ_STATE_NONE)                                      \
  X("fma", 1, 0, 2, 12, HWGQ_STATE_AVX)                                        \
  X("cx16", 1, 0, 2, 13, HWGQ_STATE_NONE)                                      \
  X("sse4.1", 1, 0, 2, 19, HWGQ_STATE_NONE)                                    \
  X("sse4.2", 1, 0, 2, 20, HWGQ_STATE_NONE)                                    \
  X("crc32", 1, 0, 2, 20, HWGQ_STATE_NONE)                                     \
  X("movbe", 1, 0, 2, 22, HWGQ_STATE_NONE)                                     \
  X("popcnt", 1, 0, 2, 23, HWGQ_STATE_NONE)                                    \
  X("aes", 1, 0, 2, 25, HWGQ_STATE_NONE)                                       \
  X("xsave", 1, 0, 2, 26, HWGQ_STATE_NONE)                                     \
  X("avx", 1, 0, 2, 28, HWGQ_STATE_AVX)                                        \
  X("f16c", 1, 0, 2, 29, HWGQ_STATE_AVX)                                       \
  X("rdrnd", 1, 0, 2, 30, HWGQ_STATE_NONE)                                     \
  X("fsgsbase", 7, 0, 1, 0, HWGQ_STATE_NONE)                                   \
  X("bmi", 7, 0, 1, 3, HWGQ_STATE_NONE)                                        \
  X("avx2", 7, 0, 1, 5, HWGQ_STATE_AVX)                                        \
  X("bmi2", 7, 0, 1, 8, HWGQ_STATE_NONE)                                       \
  X("invpcid", 7, 0, 1, 10, HWGQ_STATE_NONE)                                   \
  X("avx512f", 7, 0, 1, 16, HWGQ_STATE_AVX512)                                 \
  X("avx512dq", 7, 0, 1, 17, HWGQ_STATE_AVX512)                                \
  X("rdseed", 7, 0, 1, 18, HWGQ_STATE_NONE)                                    \
  X("adx", 7, 0, 1, 19, HWGQ_STATE_NONE)                                       \
  X("avx512ifma", 7, 0, 1, 21, HWGQ_STATE_AVX512)                              \
  X("clflushopt", 7, 0, 1, 23, HWGQ_STATE_NONE)                                \
  X("clwb", 7, 0, 1, 24, HWGQ_STATE_NONE)                                      \
  X("avx512cd", 7, 0, 1, 28, HWGQ_STATE_AVX512)                                \
  X("sha", 7, 0, 1, 29, HWGQ_STATE_NONE)                                       \
  X("avx512bw", 7, 0, 1, 30, HWGQ_STATE_AVX512)                                \
  X("avx512vl", 7, 0, 1, 31, HWGQ_STATE_AVX512)                                \
  X("avx512vbmi", 7, 0, 2, 1, HWGQ_STATE_AVX512)                               \
  X("pku", 7, 0, 2, 4, HWGQ_STATE_NONE)                                        \
  X("waitpkg", 7, 0, 2, 5, HWGQ_STATE_NONE)                                    \
  X("avx512vbmi2", 7, 0, 2, 6, HWGQ_STATE_AVX512)                              \
  X("shstk", 7, 0, 2, 7, HWGQ_STATE_NONE)                                      \
  X("gfni", 7, 0, 2, 8, HWGQ_STATE_NONE)                                       \
  X("vaes", 7, 0, 2, 9, HWGQ_STATE_AVX)                                        \
  X("vpclmulqdq", 7, 0, 2, 10, HWGQ_STATE_AVX)                                 \
  X("avx512vnni", 7, 0, 2, 11, HWGQ_STATE_AVX512)                              \
  X("avx512bitalg", 7, 0, 2, 12, HWGQ_STATE_AVX512)                            \
  X("avx512vpopcntdq", 7, 0, 2, 14, HWGQ_STATE_AVX512)                         \
  X("rdpid", 7, 0, 2, 22, HWGQ_STATE_NONE)                                     \
  X("cldemote", 7, 0, 2, 25, HWGQ_STATE_NONE)                                  \
  X("movdiri", 7, 0, 2, 27, HWGQ_STATE_NONE)                                   \
  X("movdir64b", 7, 0, 2, 28, HWGQ_STATE_NONE)                                 \
  X("enqcmd", 7, 0, 2, 29, HWGQ_STATE_NONE)                                    \
  X("uintr", 7, 0, 3, 5, HWGQ_STATE_NONE)                                      \
  X("avx512vp2intersect", 7, 0, 3, 8, HWGQ_STATE_AVX512)                       \
  X("serialize", 7, 0, 3, 14, HWGQ_STATE_NONE)                                 \
  X("tsxldtrk", 7, 0, 3, 16, HWGQ_STATE_NONE)                                  \
  X("pconfig", 7, 0, 3, 18, HWGQ_STATE_NONE)                                   \
  X("amx-bf16", 7, 0, 3, 22, HWGQ_STATE_AMX)                                   \
  X("avx512fp16", 7, 0, 3, 23, HWGQ_STATE_AVX512)                              \
  X("amx-tile", 7, 0, 3, 24, HWGQ_STATE_AMX)                                   \
  X("amx-int8", 7, 0, 3, 25, HWGQ_STATE_AMX)                                   \
  X("avxvnni", 7, 1, 0, 4, HWGQ_STATE_AVX)                                     \
  X("avx512bf16", 7, 1, 0, 5, HWGQ_STATE_AVX512)                               \
  X("cmpccxadd", 7, 1, 0, 7, HWGQ_STATE_NONE)                                  \
  X("amx-fp16", 7, 1, 0, 21, HWGQ_STATE_AMX)                                   \
  X("avxifma", 7, 1, 0, 23, HWGQ_STATE_AVX)                                    \
  X("avxvnniint8", 7, 1, 3, 4, HWGQ_STATE_AVX)                                 \
  X("avxneconvert", 7, 1, 3, 5, HWGQ_STATE_AVX)                                \
  X("avxvnniint16", 7, 1, 3, 10, HWGQ_STATE_AVX)                               \
  X("prefetchi", 7, 1, 3, 14, HWGQ_STATE_NONE)                                 \
  X("xsaveopt", 13, 1, 0, 0, HWGQ_STATE_NONE)                                  \
  X("xsavec", 13, 1, 0, 1, HWGQ_STATE_NONE)                                    \
  X("xsaves", 13, 1, 0, 3, HWGQ_STATE_NONE)                                    \
  X("ptwrite", 20, 0, 1, 4, HWGQ_STATE_NONE)                                   \
  X("sahf", 0x80000001u, 0, 2, 0, HWGQ_STATE_NONE)                             \
  X("lzcnt", 0x80000001u, 0, 2, 5, HWGQ_STATE_NONE)                            \
  X("sse4a", 0x80000001u, 0, 2, 6, HWGQ_STATE_NONE)                            \
  X("prfchw", 0x80000001u, 0, 2, 8, HWGQ_STATE_NONE)                           \
  X("mwaitx", 0x80000001u, 0, 2, 29, HWGQ_STATE_NONE)                          \
  X("64bit", 0x80000001u, 0, 3, 29, HWGQ_STATE_NONE)                           \
  X("clzero", 0x80000008u, 0, 1, 0, HWGQ_STATE_NONE)                           \
  X("rdpru", 0x80000008u, 0, 1, 4, HWGQ_STATE_NONE)                            \
  X("wbnoinvd", 0x80000008u, 0, 1, 9, HWGQ_STATE_NONE)

/** X(name, 1 = AT_HWCAP or 2 = AT_HWCAP2, bit); bit -1: every AArch64 Linux
    machine has it. */
#define HWGQ_AARCH64_FEATURES(X)                                               \
  X("fp-armv8", 1, 0)                                                          \
  X("neon", 1, 1)                                                              \
  X("v8a", 1, -1)                                                              \
  X("aes", 1, 3)                                                               \
  X("sha2", 1, 6)                                                              \
  X("crc", 1, 7)                                                               \
  X("lse", 1, 8)                                                               \
  X("fullfp16", 1, 10)                                                         \
  X("rdm", 1, 12)                                                              \
  X("jsconv", 1, 13)                                                           \
  X("complxnum", 1, 14)                                                        \
  X("rcpc", 1, 15)                                                             \
  X("sha3", 1, 17)                                                             \
  X("sm4", 1, 19)                                                              \
  X("dotprod", 1, 20)                                                          \
  X("sve", 1, 22)                                                              \
  X("fp16fml", 1, 23)                                                          \
  X("sve2", 2, 1)                                                              \
  X("i8mm", 2, 13)                                                             \
  X("bf16", 2, 14)                                                             \
  X("sme", 2, 23)                                                              \
  X("sme2", 2, 37)

/*===--------------------------------------------------------------------===*\
|* 6. Executables
\*===--------------------------------------------------------------------===*/

#define HWGQ_TRAILER_MAGIC "HWGQEXE" /* with its NUL: 8 bytes */

/** The last bytes of an executable made by --emit=exe: the program hwgq-run,
    a finished module file, this trailer. */
struct hwgq_trailer {
  uint64_t module_offset; /**< from the start of the file */
  uint64_t module_size;
  char magic[8]; /**< HWGQ_TRAILER_MAGIC */
};

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* HWGQ_ABI_H */
