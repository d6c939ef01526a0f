# Toolchain file: clang for AArch64 Linux with Debian's cross libc
# (libc6-dev-arm64-cross, libgcc-12-dev-arm64-cross). Programs run by
#   qemu-aarch64 -L /usr/aarch64-linux-gnu PROGRAM
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(triple aarch64-linux-gnu)
find_program(HWGQ_CROSS_CLANG NAMES clang-22 clang REQUIRED)
set(CMAKE_C_COMPILER ${HWGQ_CROSS_CLANG})
set(CMAKE_C_COMPILER_TARGET ${triple})
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -fuse-ld=lld)
set(CMAKE_FIND_ROOT_PATH /usr/${triple})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/${triple})
