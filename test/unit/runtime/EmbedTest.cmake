# Uses the installed runtime as a program outside of the repository would.
cmake_minimum_required(VERSION 3.20)
set(work ${BUILD}/test/embed)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})

# must(WHAT OUT COMMAND...): runs, or ends the test.
function(must what out)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text ERROR_VARIABLE text
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what}: ${status}\n${text}")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(expect text pattern)
  if(NOT text MATCHES "${pattern}")
    message(FATAL_ERROR "no '${pattern}' in:\n${text}")
  endif()
endfunction()

foreach(part runtime tools/hwgq-run)
  must("install" out ${CMAKE_COMMAND} --install ${BUILD}/${part}
    --prefix ${work}/installed)
endforeach()

# Objects and headers as hwgq-compile would write them.
foreach(pair first=scale second=fixed)
  string(REGEX MATCH "(.*)=(.*)" all ${pair})
  set(name ${CMAKE_MATCH_1})
  set(module ${CMAKE_MATCH_2})
  must("compile" out ${CC} -std=c11 -O2 -fPIC -I${SOURCE}/include
    -ffp-contract=off -D${module}_hwgq_module=${name}_hwgq_module
    "-DRECORD=\"${MODULES}/${module}.inc\"" -c
    ${SOURCE}/test/unit/runtime/modules/${module}.c -o ${work}/${name}.o)
  file(WRITE ${work}/${name}.h
    "#include <hwgq_abi.h>\n"
    "extern const struct hwgq_module_entry ${name}_hwgq_module;\n")
endforeach()

set(flags "")
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE}")
endif()
must("configure" out ${CMAKE_COMMAND} -S ${SOURCE}/examples/embed
  -B ${work}/build -G ${GENERATOR} -DCMAKE_C_COMPILER=${CC}
  "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror ${flags}"
  -DCMAKE_PREFIX_PATH=${work}/installed
  -DFIRST=${work}/first.o -DSECOND=${work}/second.o)
must("build" out ${CMAKE_COMMAND} --build ${work}/build)

must("run_module" out ${work}/build/run_module ${MODULES}/scale.so)
expect("${out}" "out/y:0 \\(f32\\): 1 1 1")
must("two_modules" out ${work}/build/two_modules)
expect("${out}" "first\nout/y:0 \\(f32\\): 1 1 1.*second\nsum \\(i64\\)")
must("installed hwgq-run" out ${work}/installed/bin/hwgq-run
  ${MODULES}/scale.so --random)
expect("${out}" "out/y:0  f32\\[1x4x8\\]")

# The runtime needs libc and nothing else.
must("ldd" out ldd ${work}/installed/bin/hwgq-run)
if(NOT SANITIZE AND out MATCHES "LLVM|MLIR|stdc\\+\\+")
  message(FATAL_ERROR "hwgq-run links more than libc:\n${out}")
endif()
