"""NumPy and ONNX of each kind of layer, a module by its name: see `parameters.Layer` and `policies/networks.py`."""
