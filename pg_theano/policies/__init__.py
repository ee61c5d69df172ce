"""A trained policy outside of training: its forward pass in NumPy, and as an ONNX graph."""
