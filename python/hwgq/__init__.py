"""Compiles trained low-bit ONNX networks to exact native code."""
