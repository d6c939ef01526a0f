// Before all else in Debug builds: libMLIR is built with NDEBUG, and without it
// llvm::Statistic, which passes hold, has members that the library never sets.
#ifndef NDEBUG
#define NDEBUG
#include "llvm/ADT/Statistic.h"
#undef NDEBUG
#endif
