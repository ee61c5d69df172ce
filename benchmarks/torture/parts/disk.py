"""Disks that are full, folders that are read-only"""

from __future__ import annotations

from collections.abc import Mapping

from part import Figures, Part, Row
from parts.kills import measured


def full(found: Mapping[str, Figures], name: str, what: str) -> list[Row]:
    one = found.get(name)
    if one is None:
        return []
    points = one["points"]
    return [
        Row(
            f"{what} at every point at which a run writes: one line that names the file, exit code 2, the last good "
            "checkpoint intact; with room again it goes on to the same numbers",
            f"{points} points: {one['refused']} refused so, {one['unharmed']} had no need of the disk, {one['intact']} "
            f"intact, {one['equal']} equal",
            one["refused"] + one["unharmed"] == one["intact"] == one["equal"] == points,
        )
    ]


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = full(found, "stays full", "a disk that gets full, and stays so,")
    made += full(found, "full for a moment", "a disk that is full for a moment")
    if there := found.get("starved"):
        cases = {name: one for name, one in there.items() if isinstance(one, dict)}
        right = {
            name: one["intact"]
            and one["equal"]
            and (
                (one["code"] == 2 and (len(one["lines"]) == 1 or name == "both are full"))
                or (one["code"] == 0 and not one["lines"] and name in ("stderr is full", "files of 8000 bytes"))
            )
            for name, one in cases.items()
        }
        disks = [name for name in cases if name.startswith("a disk")]
        limits = [name for name in cases if name.startswith("files of")]
        others = [name for name in cases if name not in (*disks, *limits)]
        for what, names in (
            (f"real small disks (tmpfs), {len(disks)} sizes", disks),
            (f"a limit to the size of files (RLIMIT_FSIZE), {len(limits)} sizes", limits),
            ("; ".join(others) + " (/dev/full, a file system mounted read-only)", others),
        ):
            kept = sum(right[name] for name in names)
            made.append(Row(f"{what}: the same", f"{kept} of {len(names)}", kept == len(names) > 0))
    return made


PART = Part(
    {
        "stays full": lambda: measured("full", 1, 1),
        "full for a moment": lambda: measured("full", 1, 0),
        "starved": lambda: measured("starved"),
    },
    rows,
)
