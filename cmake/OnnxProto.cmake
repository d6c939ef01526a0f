# Finds onnx.proto and defines the library onnx-proto, its C++ from protoc.
# The file is that of PyPI's onnx (Debian's stops at IR version 8): the CMake
# or environment variable HWGQ_ONNX_PROTO, else, for a wheel, of what the wheel
# is built with, else the .venv that scripts/setup.sh makes in the checkout (or,
# for a git worktree, in the main one).
find_package(Protobuf REQUIRED)

set(HWGQ_ONNX_PROTO "$ENV{HWGQ_ONNX_PROTO}" CACHE FILEPATH "onnx.proto of PyPI's onnx package")
if(NOT HWGQ_ONNX_PROTO OR NOT EXISTS "${HWGQ_ONNX_PROTO}")
  set(found)
  if(SKBUILD)
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c "from importlib.util import find_spec
print(find_spec('onnx').submodule_search_locations[0])"
      OUTPUT_VARIABLE package OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(GLOB found "${package}/onnx.proto")
  endif()
  set(roots ${PROJECT_SOURCE_DIR})
  execute_process(
    COMMAND git rev-parse --path-format=absolute --git-common-dir
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    OUTPUT_VARIABLE git_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(git_dir)
    cmake_path(GET git_dir PARENT_PATH git_root)
    list(APPEND roots ${git_root})
  endif()
  foreach(root ${roots})
    file(GLOB candidates ${root}/.venv/lib/python3*/site-packages/onnx/onnx.proto)
    list(APPEND found ${candidates})
  endforeach()
  if(NOT found)
    message(FATAL_ERROR "onnx.proto was not found: run scripts/setup.sh, or set HWGQ_ONNX_PROTO "
                        "to the onnx.proto of an installed PyPI package onnx (1.20 or later)")
  endif()
  list(GET found 0 first)
  set(HWGQ_ONNX_PROTO ${first} CACHE FILEPATH "onnx.proto of PyPI's onnx package" FORCE)
endif()
message(STATUS "onnx.proto: ${HWGQ_ONNX_PROTO}")

# Our own C++ namespace is hwgq::onnx; the package does not show in files.
set(onnx_dir ${PROJECT_BINARY_DIR}/onnx-proto)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${HWGQ_ONNX_PROTO})
file(READ ${HWGQ_ONNX_PROTO} text)
string(REPLACE "package onnx;" "package onnx_proto;" text "${text}")
file(CONFIGURE OUTPUT ${onnx_dir}/onnx/onnx.proto CONTENT "${text}" @ONLY)
add_custom_command(
  OUTPUT ${onnx_dir}/onnx/onnx.pb.cc ${onnx_dir}/onnx/onnx.pb.h
  COMMAND protobuf::protoc --proto_path=${onnx_dir} --cpp_out=${onnx_dir} onnx/onnx.proto
  DEPENDS ${onnx_dir}/onnx/onnx.proto VERBATIM)
add_library(onnx-proto STATIC ${onnx_dir}/onnx/onnx.pb.cc)
target_include_directories(onnx-proto SYSTEM PUBLIC ${onnx_dir})
target_compile_options(onnx-proto PRIVATE -w)
target_link_libraries(onnx-proto PUBLIC protobuf::libprotobuf-lite)
