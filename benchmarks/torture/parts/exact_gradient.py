"""The exact gradient of an enumerated task against what every estimator expects (kinds: `python -m pg_theano.bias`)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_exact as exact

BOUND = 1e-8


def measured(estimators: Iterable[exact.Estimator]) -> Figures:
    found = {one.name: exact.measured(one) for one in estimators}
    worst = max(found, key=lambda name: found[name].error)
    biases = {one.name: [found[one.name].bias, found[one.name].angle, one.why] for one in estimators}
    return {"number": len(found), "largest": found[worst].error, "worst": worst, "biases": biases}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    if "unbiased" in found:
        figures = found["unbiased"]
        promise = f"{figures['number']} estimators expect the gradient of J, by differences, to {BOUND:g}"
        told = f"largest difference {figures['largest']:.1e} ({figures['worst']})"
        made.append(Row(promise, told, figures["largest"] <= BOUND))
    for name, (bias, angle, why) in found.get("biased", {"biases": {}})["biases"].items():
        off = "nothing is expected" if angle != angle else f"{angle:.1f}° off"
        told = f"{100 * bias:.1f} % of ‖∇J‖, {off}: {why}"
        made.append(Row(f"named: {name}", told, bool(why) and bias > BOUND))
    return made


PART = Part(
    {
        "unbiased": functools.partial(measured, exact.UNBIASED),
        "biased": functools.partial(measured, exact.BIASED),
    },
    rows,
)
