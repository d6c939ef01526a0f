#!/usr/bin/env bash
# Installs what building and testing hwgq needs on Debian 12, and only what is missing:
# Debian packages, and a Python environment of the checkout's own in .venv.
# Safe to repeat. Needs root or sudo only when a package is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(
  # compiler
  clang-22 lld-22 llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools
  liblld-22-dev libclang-rt-22-dev clang-format-22 libzstd-dev zlib1g-dev
  libprotobuf-dev protobuf-compiler cmake ninja-build ccache
  python3 python3-dev python3-venv
  # tests
  libgtest-dev libgmock-dev libbenchmark-dev libonnx-testdata
  qemu-user libc6-dev-arm64-cross libgcc-12-dev-arm64-cross
)

installed() { # the packages of the list that dpkg has fully installed, one a line
  dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
    sed -n 's/ installed$//p' | sort -u
}

missing=()
have=$(installed "${packages[@]}" || true)
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$have" || missing+=("$package")
done

if ((${#missing[@]})); then
  echo "setup: installing ${missing[*]}"
  as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null ||
      { echo "error: root or sudo is needed to install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }
  apt update || echo "setup: apt-get update failed; trying with the lists at hand"
  apt install --no-install-recommends "${missing[@]}"
fi

# The environment is complete when the stamp in it equals the requirements; it is
# written last, so that an interrupted installation is taken up again.
stamp=.venv/requirements.installed
if ! cmp -s scripts/requirements.txt "$stamp" || ! .venv/bin/python -c '' 2>/dev/null; then
  echo "setup: installing Python packages into .venv"
  /usr/bin/python3 -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -r scripts/requirements.txt
  cp scripts/requirements.txt "$stamp"
fi
