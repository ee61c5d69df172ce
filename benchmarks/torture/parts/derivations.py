"""Three derivations of every gradient: symbolic, by hand, numerical, over random shapes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_derivations as derivations

SHAPES = 100
GROUPS = {
    "layers": derivations.LAYERS,
    "distributions": derivations.DISTRIBUTIONS,
    "objectives": derivations.OBJECTIVES,
}


def measured(names: Iterable[str]) -> Figures:
    found = {name: derivations.worst(name, seed=1, number=SHAPES) for name in names}
    return {
        "number": len(found),
        "by_hand": max(one[0] for one in found.values()),
        "numerical": max(one[1] for one in found.values()),
    }


def rows(found: Mapping[str, Figures]) -> list[Row]:
    return [
        Row(
            f"{figures['number']} {group}, {SHAPES} random shapes each: symbolic and by hand to "
            f"{derivations.BY_HAND:g}, against differences to {derivations.NUMERICAL:g}",
            f"{figures['by_hand']:.1e} and {figures['numerical']:.1e}",
            figures["by_hand"] <= derivations.BY_HAND and figures["numerical"] <= derivations.NUMERICAL,
        )
        for group, figures in found.items()
    ]


PART = Part({group: functools.partial(measured, list(names)) for group, names in GROUPS.items()}, rows)
