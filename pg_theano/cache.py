"""List, size and clear what compiling has left behind: `python -m pg_theano.cache`."""

import argparse
import shutil
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_theano.compiler.cached import cache_folder, read_manifest
from pg_theano.system import commands, opening
from pg_theano.system.console import say
from pg_theano.types import UserError


def entries(folder: Path | None = None) -> list[dict[str, Any]]:
    """One row an artifact, newest first: file, function, what it computes, bytes, and when it was written."""
    rows = []
    for path in sorted((folder or cache_folder()).glob("artifacts/*.stablehlo"), key=lambda p: -p.stat().st_mtime):
        manifest = read_manifest(path)
        rows.append(
            {
                "file": path.name,
                "function": manifest["function"] if manifest else "damaged",
                "about": manifest.get("about", "") if manifest else "",
                "bytes": path.stat().st_size,
                "written": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(path.stat().st_mtime)),
            }
        )
    return rows


def machine_code(folder: Path | None = None) -> tuple[int, int]:
    """(files, bytes) of machine code that is kept."""
    files = [path for path in ((folder or cache_folder()) / "xla").rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)


def clear(folder: Path | None = None) -> int:
    """Remove artifacts and machine code, and others' right to write there; returns the bytes freed."""
    folder = folder or cache_folder()
    if opening.others_may_write(folder):
        try:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o022)
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made yours alone ({error.strerror}); expected a folder of yours"
            ) from None
    freed = machine_code(folder)[1] + sum(row["bytes"] for row in entries(folder))
    for name in ("artifacts", "xla"):
        try:
            shutil.rmtree(folder / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{folder / name}: cannot be removed ({error.strerror})") from None
    return freed


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("cache", __doc__, "python -m pg_theano.cache --clear")
    parser.add_argument("--clear", action="store_true", help="remove everything; the next run compiles anew")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _cache, argv)


def _cache(arguments: argparse.Namespace) -> int:
    rows, (files, size) = entries(), machine_code()
    result: dict[str, Any] = {"folder": str(cache_folder()), "artifacts": rows}
    result["machine_code"] = {"files": files, "bytes": size}
    if arguments.clear:
        result["freed_bytes"] = clear()
    if arguments.json:
        commands.answer(result)
        return 0
    for row in rows:
        say(f"{row['written']}  {row['bytes'] / 1000:8.1f} kB  {row['function']:<14} {row['about']}")
    total = sum(row["bytes"] for row in rows)
    say(
        f"{cache_folder()}: {len(rows)} artifacts, {total / 1e6:.1f} MB; "
        f"machine code {files} files, {size / 1e6:.1f} MB"
    )
    if arguments.clear:
        say(f"cleared: {result['freed_bytes'] / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
