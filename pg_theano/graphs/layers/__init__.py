"""The expression of each kind of layer, a module by its name: see `layers.Layer` and `graphs/networks.py`."""
