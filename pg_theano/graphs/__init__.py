"""The symbolic half: all that is mathematics, as PyTensor expressions. Symbols in, symbols out."""
