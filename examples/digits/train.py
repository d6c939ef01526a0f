#!/usr/bin/env python3
"""Trains the example network and writes model.onnx, test_images.npy and test_labels.npy.

A convolutional network with 1-bit weights and 2-bit HWGQ activations (Cai et al., "Deep
Learning with Low Precision by Half-wave Gaussian Quantization", CVPR 2017) on the UCI
handwritten digits that scikit-learn ships. The layers are ordered as HWGQ orders them:
convolution, pooling, batch norm, quantiser; the first and the last layer stay float.

Runs with Debian 12's python3-torch and python3-sklearn; see scripts/train-digits.sh.
"""

import argparse
import pathlib
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

STEP = 0.538  # distance of the levels of the 2-bit quantiser that fits N(0, 1) best
SEED = 20170721
TEST_IMAGES = 400


class HalfWave(torch.autograd.Function):
    """Levels 0, s, 2s, 3s; breakpoints 0, 1.5s, 2.5s, each belonging to the level below."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        steps = (x > 0).float() + (x > 1.5 * STEP).float() + (x > 2.5 * STEP).float()
        return steps * STEP

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * ((x > 0) & (x <= 3 * STEP))


class Binarise(torch.autograd.Function):
    """alpha * sign(w): alpha = mean |w| of each output filter, sign(0) = +1."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        alpha = w.abs().mean(dim=tuple(range(1, w.dim())), keepdim=True)
        return torch.where(w >= 0, torch.tensor(1.0), torch.tensor(-1.0)) * alpha

    @staticmethod
    def backward(ctx, grad):
        (w,) = ctx.saved_tensors
        return grad * (w.abs() <= 1)


class BinaryConv2d(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, Binarise.apply(self.weight), None, self.stride, self.padding)


class BinaryLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, Binarise.apply(self.weight))


class Quant(nn.Module):
    def forward(self, x):
        return HalfWave.apply(x)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.MaxPool2d(2, stride=1, padding=0),
        nn.BatchNorm2d(32),
        Quant(),
        BinaryConv2d(32, 64, 3, padding=1, bias=False),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.BatchNorm2d(64),
        Quant(),
        BinaryConv2d(64, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        Quant(),
        nn.Flatten(),
        BinaryLinear(64 * 3 * 3, 128, bias=False),
        nn.BatchNorm1d(128),
        Quant(),
        nn.Linear(128, 10),
    )


def shifted(images, generator):
    """Each image moved by -1, 0 or 1 pixels along each axis."""
    padded = F.pad(images, (1, 1, 1, 1))
    offsets = torch.randint(0, 3, (len(images), 2), generator=generator)
    return torch.stack([padded[i, :, dy : dy + 8, dx : dx + 8] for i, (dy, dx) in enumerate(offsets.tolist())])


def train(model, images, labels, epochs):
    generator = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(images), generator=generator).split(64):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(shifted(images[batch], generator)), labels[batch], label_smoothing=0.05)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        schedule.step()
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}: loss {total / len(images):.4f}", flush=True)
    model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]  # 0, 1/16, ..., 1: exact in float32
    labels = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SEED
    )

    model = network()
    train(model, torch.from_numpy(train_x), torch.from_numpy(train_y), args.epochs)
    with torch.no_grad():
        predicted = model(torch.from_numpy(test_x)).argmax(1).numpy()
    print(f"accuracy on {len(test_y)} held-out images: {100 * np.mean(predicted == test_y):.2f} %")

    # The two signs in Binarise are meant to become constants of the graph.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    args.output.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        torch.from_numpy(test_x[:2]),
        str(args.output / "model.onnx"),
        opset_version=16,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}},
    )
    np.save(args.output / "test_images.npy", test_x)
    np.save(args.output / "test_labels.npy", test_y)


if __name__ == "__main__":
    main()
