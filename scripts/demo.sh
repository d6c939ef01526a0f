#!/usr/bin/env bash
# From a trained ONNX file to exact packed code, in one go: installs what is missing, builds
# hwgq, compiles examples/digits, runs it on the bundled held-out images, and prints
# predictions, accuracy, time, and size against float. Results stay in build/demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cmake --preset release -Wno-dev --log-level=WARNING >/dev/null
cmake --build build --parallel "$(nproc)" --target hwgq-compile hwgq-run

example=examples/digits out=build/demo
mkdir -p "$out"
show() { printf '\n$ %s\n' "$*"; "$@"; }

show build/bin/hwgq-compile "$example/model.onnx" -o "$out/digits.so" --report="$out/report.json"
show build/bin/hwgq-run "$out/digits.so" "$example/test_images.npy" \
  --labels="$example/test_labels.npy" -o "$out"
show build/bin/hwgq-run "$out/digits.so" --random --batch=1 --benchmark=1 --threads=1

echo
.venv/bin/python - "$out" "$example" <<'EOF'
import json, os, sys
import numpy as np, onnx

out, example = sys.argv[1:]
scores = np.load(f"{out}/0_scores.npy")
images = np.load(f"{example}/test_images.npy")
labels = np.load(f"{example}/test_labels.npy")
for index in range(3):
    print(f"image {index}: recognised as {scores[index].argmax()}, labelled {labels[index]}")
    for row in images[index, 0]:
        print("    " + "".join(" .:-=+*#%@"[min(9, int(value * 10))] * 2 for value in row))
accuracy = 100 * np.mean(scores.argmax(1) == labels)
print(f"accuracy {accuracy:.2f} % on {len(labels)} images that training has not seen")

report = json.load(open(f"{out}/report.json"))
weights = [tensor for tensor in onnx.load(f"{example}/model.onnx").graph.initializer if len(tensor.dims) > 1]
floats = 4 * sum(int(np.prod(tensor.dims)) for tensor in weights)
packed = sum(layer["weight_bytes"] for layer in report["layers"])
print(f"weights  {floats} bytes as float32, {packed} bytes packed: {floats / packed:.1f} times smaller")
print(f"file     {os.path.getsize(f'{example}/model.onnx')} bytes of ONNX, {report['file_bytes']} bytes of shared library")
sys.exit(0 if accuracy > 96 else 1)
EOF
