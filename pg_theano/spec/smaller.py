"""What shapes the graphs of the smaller modules: an environment by itself, and a distribution of parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Stepped:
    """A compiled environment by itself, to be stepped from outside: what shapes its graphs."""

    dynamics: str
    source: str | None
    dtype: str
    widths: ClassVar[Sequence[int]] = ()

    @property
    def about(self) -> str:
        return f"program {self.dynamics.rpartition('.')[2]} {self.dtype}"

    def shaping(self) -> dict[str, Any]:
        return {"dynamics": self.dynamics, "dynamics_source": self.source, "dtype": self.dtype}


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian over `num_params` parameters that is moved by its gradient (PGPE): what shapes its graphs."""

    num_params: int
    optimizer: str
    dtype: str
    widths: ClassVar[Sequence[int]] = ()

    @property
    def about(self) -> str:
        return f"pgpe {self.optimizer} {self.dtype} {self.num_params} parameters"

    def shaping(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
