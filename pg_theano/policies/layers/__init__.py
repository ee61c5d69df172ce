"""NumPy and ONNX of each kind of layer, a module by its name: see `layers.Layer` and `policies/networks.py`."""
