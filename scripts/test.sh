#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests: lit, units, end to end, Python.
# The last line is `N passed, N failed, N skipped`; the status is 0 when none failed.
#
#   scripts/test.sh [--all] [--build=DIR] [--preset=NAME] [--no-setup] [CMAKE OPTIONS...]
#
#   --all      full products of models, targets, kernels and batches instead of pairs
#   --preset   a preset of CMakePresets.json (default release), e.g. debug-asan
#   --no-setup do not look for missing packages
# Everything else, such as -DHWGQ_WERROR=ON, goes to CMake.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release setup=1 options=()
for argument in "$@"; do
  case "$argument" in
    --all) export HWGQ_TEST_ALL=1 ;;
    --preset=*) preset=${argument#*=} ;;
    --no-setup) setup=0 ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -D* | -U*) options+=("$argument") ;;
    *) echo "error: unknown option $argument" >&2; exit 1 ;;
  esac
done
build=build
if [[ $preset == debug-asan ]]; then
  build=build-asan
  export HWGQ_SANITIZED=1
  # LLVM's own libraries are not instrumented: its containers and its allocators, which
  # poison what instrumented code frees, cross the border.
  export ASAN_OPTIONS=detect_container_overflow=0:allow_user_poisoning=0:${ASAN_OPTIONS:-}
  export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
fi
jobs=$(nproc)

((setup)) && scripts/setup.sh
cmake --preset "$preset" -DHWGQ_FUZZ=ON "${options[@]}" -Wno-dev --log-level=WARNING
cmake --build "$build" --parallel "$jobs"

results=$build/test-results
rm -rf "$results"
mkdir -p "$results"
failed=0
step() { # step NAME COMMAND...: runs it, notes a failure, goes on
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  "$@" || { failed=1; echo "== $name failed"; }
  echo "== $name took $((SECONDS - start)) s"
}

step lit python3 /usr/lib/llvm-22/bin/lit -q -j "$jobs" \
  --xunit-xml-output "$results/lit.xml" "$build/test"
step units ctest --test-dir "$build" --output-on-failure --no-tests=ignore -j "$jobs" \
  --output-junit "$PWD/$results/units.xml" --quiet

# pytest runs in as many processes as there are processors, each with every n-th test; a
# test uses one thread, unless threads are what it tests.
python_tests() { # python_tests FOLDER
  local pids=() shard status=0 name=${1##*/}
  for ((shard = 0; shard < jobs; shard++)); do
    HWGQ_BUILD=$build PYTHONPATH=$build/python .venv/bin/python -m pytest "$1" -q -rs \
      --shard="$shard/$jobs" -p no:cacheprovider --durations=5 \
      --junitxml="$results/$name-$shard.xml" >"$results/$name-$shard.log" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  cat "$results/$name"-*.log
  return $status
}
step e2e python_tests test/e2e
# The sanitizers leave the package out: Python is not instrumented.
[[ $preset == debug-asan ]] || step python python_tests test/python

network_table() { # build/networks.md, the table of docs/Status.md
  PYTHONPATH=$build/python HWGQ_BUILD=$build .venv/bin/python scripts/status.py --networks | tee "$build/networks.md"
  [[ ${PIPESTATUS[0]} == 0 ]] && ! grep -q "| NO |\|refused" "$build/networks.md"
}
[[ -z ${HWGQ_TEST_ALL:-} ]] || step networks network_table

.venv/bin/python scripts/count-tests.py "$results" || failed=1
exit $failed
