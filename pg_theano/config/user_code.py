"""User code that a config names: shown before it is imported, recorded with the run, compared when the run is read.

    code = check(config, folders, say)                            # of a new run: "code" of its run.json
    check(config, folders, say, recorded=facts.get("code"))       # of a run that is read

A config runs code where it names module:name. A file is recorded by the SHA-256 of its source and of every file beside
it that it imports (`importing.sources_of` finds them without running anything), an installed package by its name and
version. Modules that are imported in other ways, and data, are not covered.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.spec.reading import names_in
from pg_theano.system import handed, importing
from pg_theano.system.console import say
from pg_theano.system.importing import facts_of, is_own
from pg_theano.types import UserError

NEW = object()
"""The value of `recorded` for a new run, which has recorded nothing yet."""
KNOBS = ("environment.id", "environment.wrappers", "environment.dynamics", "policy.name", "algorithm.objective")


def named(config: Config) -> list[tuple[str, str]]:
    """(knob, module:name) of everything in a config that runs code."""
    environment = config.environment
    found = [
        ("environment.id", environment.id if environment.dynamics is None else ""),
        *(("environment.wrappers", name) for name, _ in environment.wrapped()),
        ("environment.dynamics", environment.dynamics or ""),
        ("policy.name", config.policy.name),
        *(("policy.network", name) for name in _own_layers(config)),
        ("algorithm.objective", config.algorithm.objective),
    ]
    return [(knob, name) for knob, name in found if is_own(name)]


def _own_layers(config: Config) -> list[str]:
    """The layers of a user's own that a config names."""
    policy, found = config.policy, []
    waiting: list[Any] = [policy.network, policy.value_network, *(policy.encoders or {}).values()]
    for written in waiting:
        for one in written if isinstance(written, list) else ():
            kind, fields = next(iter(one.items()), ("", None)) if isinstance(one, Mapping) else (one, None)
            if isinstance(kind, str) and is_own(kind):
                found.append(kind)
            elif isinstance(fields, list | Mapping):  # the layers inside
                waiting.append(fields if isinstance(fields, list) else fields.get("layers"))
    return found


def check(
    config: Config,
    folders: Sequence[Path],
    say: Callable[[str], None],
    recorded: Any = NEW,
    more: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Says what will be imported and from where, and returns what to record of it, by module. Imports nothing.

    `more` is user code that a search may choose, beside its base's. Raises `UserError` if user code is refused, or if
    it differs from what was recorded and `--allow-import` was not given.
    """
    found: dict[str, Any] = {}
    for knob, name in [*named(config), *(pair for pair in more if is_own(pair[1]))]:
        if (given := handed.facts(name)) is not None:
            found[name] = dict(given)
            if recorded is NEW and given.get("compiled"):
                say(f"{name}: its source is in no file and no cell; the run records its compiled code instead")
            if recorded is not NEW and not importing.allowed():
                _compare_given(name, given, recorded)
            continue
        if importing.refused():
            raise UserError.of(
                knob,
                f"got {name}, which runs code; expected none with --no-user-code; try it without, once you "
                "have read that module",
            )
        if isinstance(recorded, Mapping) and name in recorded:  # a class or an object, and not a module
            raise UserError.of(
                knob, f"{name} was given in Python", "it once more", "run(resume=..., environment=...), or Agent.load"
            )
        importing.refuse_pythons_own(name, knob)
        module = name.partition(":")[0]
        if module not in found:
            found[module] = facts_of(module, folders)
            if recorded is not NEW and not importing.allowed():
                _compare(knob, name, found[module], recorded)
            if found[module] is not None:
                say(f"imports {name} from {_shown(found[module])} ({knob})")
    return {module: facts for module, facts in found.items() if facts is not None}


def check_run(config: Config, facts: Mapping[str, Any]) -> None:
    """Checks the user code of a run that is read: what the run recorded, and no other in its spec. Says it on stderr.

    Raises `UserError` if it differs.
    """
    recorded = names_in(facts["spec"]) if isinstance(facts["spec"], Mapping) else {}
    ours = {"policy": config.policy.name, "objective": config.algorithm.objective}
    ours["dynamics"] = config.environment.dynamics or "built in"
    for part, name in ours.items():
        other = recorded.get(part)
        if isinstance(other, str) and other != name and (is_own(other) or part == "policy"):
            raise UserError.of(
                "run.json", f"got {other} as its {part}; expected its config's, {name}; try a whole copy"
            )
    ours_too = _own_layers(config)
    waiting: list[Any] = [recorded.get("network")]
    for one in waiting:  # what a stranger may have written: [kind, its fields], and lists of them
        waiting += one if isinstance(one, list) else one.values() if isinstance(one, Mapping) else ()
        pair = isinstance(one, list) and len(one) == 2 and one[0] == "own" and isinstance(one[1], Mapping)
        if pair and one[1].get("name") not in ours_too:
            got = f"got {one[1].get('name')!s:.60} as a layer"
            raise UserError.of("run.json", f"{got}; expected its config's; try a whole copy")
    check(config, [Path(facts["folder"])], to_stderr, recorded=facts.get("code"))


def to_stderr(text: str) -> None:
    say(text, sys.stderr)


def _compare(knob: str, name: str, now: Mapping[str, Any] | None, recorded: Any) -> None:
    then = recorded.get(name.partition(":")[0]) if isinstance(recorded, Mapping) else None
    same = isinstance(then, Mapping) and now is not None and then.get("sha256") == now.get("sha256")
    if same and now is not None and isinstance(then, Mapping) and then.get("package") == now.get("package"):
        return
    before = _shown(then) if isinstance(then, Mapping) else "nothing"
    raise UserError.of(
        knob,
        f"got {name} from {_shown(now) if now else 'nowhere'}; expected what the run recorded, {before}; "
        "nothing was imported; try --allow-import, once you have read that module",
    )


def _compare_given(name: str, now: Mapping[str, Any], recorded: Any) -> None:
    then = recorded.get(name) if isinstance(recorded, Mapping) else None
    for kind, what, size in (("sha256", "source, SHA-256", 12), ("compiled", "code, compiled by Python", 17)):
        before, found = (str(one.get(kind) or "") if isinstance(one, Mapping) else "" for one in (then, now))
        comparable = before and found and (kind == "sha256" or before.split()[0] == found.split()[0])
        if comparable and before != found:
            got, wanted = f"{name} has another {what} {found[:size]}", f"that of the run, {before[:size]}"
            raise UserError.at("environment", got, wanted, "--allow-import, if it is meant")


def _shown(facts: Mapping[str, Any]) -> str:
    if "package" in facts:
        return f"{facts['package']} {facts.get('version') or ''}".strip()
    files = facts.get("files")
    beside = f" and {files - 1} beside it" if isinstance(files, int) and files > 1 else ""
    return f"{facts.get('file')}{beside}, SHA-256 {str(facts.get('sha256'))[:12]}"
