"""Files as a failing disk leaves them."""


def damages(whole, rng, *, cuts, flips):
    """Contents that differ from a whole file: cut at random lengths (0 and all but a byte among them), then with one
    bit flipped each."""
    lengths = [0, len(whole) - 1, *rng.integers(0, len(whole), size=cuts - 2)]
    yield from (whole[:length] for length in lengths)
    for place, bit in zip(rng.integers(0, len(whole), size=flips), rng.integers(0, 8, size=flips), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        yield bytes(damaged)
