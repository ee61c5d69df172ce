"""What kinds of knobs there are: numbers within bounds, names, schedules, and sections of further knobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pg_theano.types import Problem

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
FUNCTION = r"[\w.]+:\w+"  # module:name of the user's own
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of a run, a search, and whatever is called after one
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


def knob(default: Any, meaning: str, **bounds: Any) -> Any:
    """A knob that has a default. Its meaning is what `-h` and the schema say of it."""
    return Field(default, description=meaning, **bounds)


def wrong(knob: str, got: str, expected: str = "", advice: str = "") -> ValueError:
    """What a validator raises of one knob of its section: see `Problem.of`."""
    return ValueError(Problem.of(knob, got, expected, advice))


Value = TypeVar("Value")
INPUT = "input"
Input = Annotated[Value, INPUT]
"""A knob whose value is an input of the graph: another value compiles nothing anew."""


class Section(BaseModel):
    """A part of the config: strict types, no unknown keys, never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Schedule(Section):
    """k counts updates from 0. exponential_decay: initial·exp(−decay_rate·k); a negative rate grows."""

    kind: Literal["constant", "linear", "exponential_decay"] = knob("constant", "shape over updates")
    initial: Finite = Field(description="value at update 0")
    final: Finite | None = knob(None, "linear: value from update `over_updates` on")
    over_updates: Count | None = knob(None, "linear: updates from initial to final")
    decay_rate: Finite | None = knob(None, "exponential_decay: per update; negative grows")
    minimum: Finite | None = knob(None, "never below this")
    maximum: Finite | None = knob(None, "never above this")

    @model_validator(mode="after")
    def complete(self) -> Schedule:
        if self.kind == "linear" and (self.final is None or self.over_updates is None):
            raise ValueError(
                "got kind linear without `final` or `over_updates`; expected both; try "
                f"{{kind: linear, initial: {self.initial:g}, final: 0, over_updates: 1000}}"
            )
        if self.kind == "exponential_decay" and self.decay_rate is None:
            raise ValueError("got kind exponential_decay without `decay_rate`; expected it; try decay_rate: 0.01")
        if self.kind != "linear" and (self.final is not None or self.over_updates is not None):
            raise ValueError(
                f"got `final` or `over_updates` with kind {self.kind}; expected kind linear; try kind: linear"
            )
        if self.kind != "exponential_decay" and self.decay_rate is not None:
            raise ValueError(
                f"got `decay_rate` with kind {self.kind}; expected kind exponential_decay; try kind: exponential_decay"
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"got minimum {self.minimum:g} above maximum {self.maximum:g}; expected it below; try exchanging them"
            )
        return self
