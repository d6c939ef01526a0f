# Finds MLIR 22 and defines how hwgq's libraries and programs are built:
# hwgq_library(NAME files... LINK libs...) and hwgq_program(NAME files... LINK libs...).
# All C++ that includes MLIR shares one precompiled header.

find_package(MLIR CONFIG REQUIRED)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

set(HWGQ_INCLUDES ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/dialects
                  ${PROJECT_BINARY_DIR}/include ${PROJECT_BINARY_DIR}/dialects)
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
include_directories(${HWGQ_INCLUDES})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND ${LLVM_DEFINITIONS})

function(_hwgq_cxx target)
  target_compile_definitions(${target} PRIVATE ${LLVM_DEFINITIONS_LIST})
  if(NOT LLVM_ENABLE_RTTI)
    target_compile_options(${target} PRIVATE -fno-rtti)
  endif()
  if(NOT LLVM_ENABLE_EH)
    target_compile_options(${target} PRIVATE -fno-exceptions)
  endif()
endfunction()

# The holder of the precompiled header; every library reuses it.
add_library(HwgqPch OBJECT ${PROJECT_SOURCE_DIR}/cmake/Pch.cpp)
_hwgq_cxx(HwgqPch)
target_precompile_headers(HwgqPch PRIVATE
  $<$<CONFIG:Debug>:${PROJECT_SOURCE_DIR}/cmake/PchDebug.h>
  ${PROJECT_SOURCE_DIR}/cmake/Pch.h)

function(hwgq_library name)
  cmake_parse_arguments(ARG "NO_PCH" "" "LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  _hwgq_cxx(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  add_dependencies(${name} hwgq-headers ${ARG_DEPENDS})
  if(NOT ARG_NO_PCH)
    target_precompile_headers(${name} REUSE_FROM HwgqPch)
  endif()
endfunction()

function(hwgq_program name)
  cmake_parse_arguments(ARG "NO_PCH;NO_INSTALL" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  # The precompiled header is made with -fPIC, which serves programs as well.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  _hwgq_cxx(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} MLIR LLVM)
  add_dependencies(${name} hwgq-headers)
  if(NOT ARG_NO_PCH)
    target_precompile_headers(${name} REUSE_FROM HwgqPch)
  endif()
  if(NOT ARG_NO_INSTALL)
    install(TARGETS ${name} RUNTIME)
  endif()
endfunction()
