"""The expression of each kind of layer, a module by its name: see `parameters.Layer` and `graphs/networks.py`."""
