#!/usr/bin/env bash
# Trains examples/digits anew: model.onnx, test_images.npy and test_labels.npy (a minute on
# one core). Uses Debian's PyTorch and scikit-learn, installed if missing; neither building
# nor testing hwgq needs them. Arguments go to examples/digits/train.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(python3-torch python3-sklearn python3-numpy)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  as_root=()
  [[ $(id -u) -eq 0 ]] || as_root=(sudo)
  "${as_root[@]}" apt-get -q update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y install --no-install-recommends "${packages[@]}"
fi
/usr/bin/python3 examples/digits/train.py "$@"
