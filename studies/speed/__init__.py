"""Speed beside PyTorch and ONNX Runtime, all interleaved in one run on one machine."""
