//===- ChecksumTest.cpp - The checksum of module files --------------------===//
#include "RecordBuilder.h"

#include "gtest/gtest.h"
#include <set>

static uint64_t sum(const std::string &bytes, uint64_t field = 1000) {
  return hwgq_checksum(bytes.data(), bytes.size(), field);
}

TEST(Checksum, EverySingleChangeCounts) {
  for (size_t size : {1, 7, 8, 31, 32, 33, 64, 100}) {
    std::string bytes(size, 'x');
    uint64_t before = sum(bytes);
    for (size_t bit = 0; bit < size * 8; ++bit) {
      bytes[bit / 8] = char(bytes[bit / 8] ^ (1 << bit % 8));
      EXPECT_NE(sum(bytes), before) << size << " bytes, bit " << bit;
      bytes[bit / 8] = char(bytes[bit / 8] ^ (1 << bit % 8));
    }
  }
}

TEST(Checksum, LengthCounts) {
  std::set<uint64_t> seen;
  for (size_t size = 0; size < 200; ++size)
    EXPECT_TRUE(seen.insert(sum(std::string(size, '\0'))).second) << size;
}

TEST(Checksum, OrderOfWordsCounts) {
  std::string a(64, '\0'), b = a;
  a[0] = b[32] = 1;
  EXPECT_NE(sum(a), sum(b));
}

TEST(Checksum, FieldIsTakenAsZero) {
  for (uint64_t field = 0; field < 92; ++field) {
    std::string with(100, 'x'), without = with;
    for (uint64_t i = field; i < field + 8; ++i)
      without[i] = 0;
    EXPECT_EQ(sum(with, field), sum(without)) << field;
    EXPECT_EQ(sum(with, field), sum(without, field)) << field;
  }
}
