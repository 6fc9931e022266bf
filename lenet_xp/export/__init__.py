"""A saved model as files that other programs read: ONNX and safetensors."""
