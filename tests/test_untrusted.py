"""Files from strangers: nothing runs, nothing hangs, nothing fills the memory, nothing leads elsewhere."""

import contextlib
import csv
import io
import json
import os
import stat
import tracemalloc
import zipfile

import helpers_fuzz
import numpy as np
import pytest
from helpers_runs import ran, resumed, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pg_theano import cache
from pg_theano.compiler import cached
from pg_theano.policies import kept
from pg_theano.runs import curves, exported, records
from pg_theano.system import opening, yaml_lines
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

# -- arrays


def npz(*members, compression=zipfile.ZIP_STORED):
    """A zip with these (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(descr="'<f4'", order="False", shape="(2,)", numbers=b"\0" * 8):
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + numbers


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0), (1, 2, 3)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "?", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_saved_is_read(shape, dtype, order):
    """Caught, when planted: F order read as C."""
    value = np.asarray(np.arange(np.prod(shape)).reshape(shape), dtype=dtype, order=order)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{"a/b": value})
    found = opening.arrays_of(buffer.getvalue())["a/b"]
    assert found.dtype == value.dtype
    assert found.shape == value.shape
    assert np.array_equal(found, value)
    assert found.flags.writeable


EVIL_ARRAYS = {
    "8 TB claimed": npz(("a.npy", npy(shape="(1000000000000, 2)"))),
    "8 TB claimed by an empty one": npz(("a.npy", npy(shape="(1000000000000, 0)", numbers=b""))),
    "a size that overflows": npz(("a.npy", npy(shape="(9223372036854775807, 9223372036854775807, 4)"))),
    "a negative shape": npz(("a.npy", npy(shape="(-2,)"))),
    "objects": npz(("a.npy", npy(descr="'|O'"))),
    "a structure": npz(("a.npy", npy(descr="[('x', '<f4')]"))),
    "text": npz(("a.npy", npy(descr="'<U2'"))),
    "no such number": npz(("a.npy", npy(descr="'<f3'"))),
    "code in its header": npz(("a.npy", npy(shape="(__import__('os').getpid(),)"))),
    "a nested header": npz(("a.npy", npy(shape="(" * 100 + ")" * 100))),
    "too few numbers": npz(("a.npy", npy(numbers=b"\0" * 7))),
    "too many numbers": npz(("a.npy", npy(numbers=b"\0" * 9))),
    "a bomb of 1,000:1": npz(("a.npy", npy(shape="(10000000,)", numbers=b"\0" * 40_000_000)), compression=8),
    "outside": npz(("../a.npy", npy())),
    "outside, inside": npz(("a/../../b.npy", npy())),
    "absolute": npz(("/etc/a.npy", npy())),
    "a drive": npz(("c:\\a.npy", npy())),
    "no array": npz(("a.txt", b"hello")),
    "a pickle": npz(("a.npy", b"\x80\x04N.")),
    "no zip": b"PK\x03\x04" + b"\0" * 50,
    "nothing": b"",
    "1,001 arrays": npz(*((f"a{i}.npy", npy()) for i in range(1001))),
}


@pytest.mark.parametrize("name", EVIL_ARRAYS)
def test_arrays_that_lie_are_refused_before_memory_is_taken(name):
    """Under 2 MB beside the file itself. Caught, when planted: `np.load` in its place (a bomb of 1,000:1, 8 TB)."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            opening.arrays_of(EVIL_ARRAYS[name])
        assert tracemalloc.get_traced_memory()[1] < 2_000_000 + 2 * len(EVIL_ARRAYS[name])
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two arrays 'a'"):
        opening.arrays_of(npz(("a.npy", npy()), ("a.npy", npy())))


BOX = {"kind": "Box", "dtype": "<f4", "shape": [1_000_000]}
WORD = {"kind": "Discrete", "n": 1_000, "start": 0, "dtype": "<i8", "shape": []}
BOMBS = {
    "many choices": {"kind": "MultiDiscrete", "nvec": [900_000] * 12, "start": [0] * 12, "shape": [12]},
    "tables of many choices": {"kind": "Dict", "spaces": {f"part {i}": WORD for i in range(500)}},
    "many boxes in a Dict": {"kind": "Dict", "spaces": {f"part {i}": BOX for i in range(50)}},
    "a Tuple of Dicts": {"kind": "Tuple", "spaces": [{"kind": "Dict", "spaces": {"a": BOX, "b": BOX}}] * 25},
    "one of many boxes": {"kind": "OneOf", "spaces": [BOX] * 50},
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("which", ["observation", "action"])
def test_spaces_are_refused_by_what_they_claim_together(name, which, tmp_path):
    """A policy of 7 kB took 9 GB, and 1,000 boxes in a Dict one each. Caught, when planted: each part held to the limit by
    itself; observation and action apart."""
    arrays = opening.arrays_of(helpers_fuzz.exported())
    about = json.loads(arrays["about"].tobytes())
    about["spaces"][which] = BOMBS[name] | {"dtype": "<i8"}
    np.savez(tmp_path / "policy.npz", **arrays | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"policy\.npz: not a policy .*a space of more than 10,000,000 numbers"):
            kept.from_file(tmp_path / "policy.npz")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_file_takes_the_memory_of_its_bytes(tmp_path):
    """Not of the most that it may have: 8 GB, for each checkpoint too. Caught, when planted: `read(most + 1)`."""
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    tracemalloc.start()
    try:
        assert opening.read(tmp_path / "file", 8_000_000_000) == b"x" * 10_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path, monkeypatch):
    """Caught, when planted: what was there as it was opened, and a byte."""
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    real = os.fstat
    monkeypatch.setattr(opening.os, "fstat", lambda file: os.stat_result([*real(file)[:6], 10, *real(file)[7:]]))
    assert opening.read(tmp_path / "file", 50_000) == b"x" * 50_000
    with pytest.raises(UserError, match="grew past 49,999 bytes"):
        opening.read(tmp_path / "file", 49_999)


def test_a_lie_in_a_checkpoint_is_an_error_that_names_it(tmp_path):
    """Sealed by its author, as a stranger can. Caught, when planted: ValueError not translated."""
    helpers_fuzz.corpus(tmp_path)
    facts = json.dumps({"format": 1, "arrays": "SHA", "facts": {}}).encode()
    with pytest.raises(UserError, match=r"update-00000001\.npz: damaged checkpoint: a: claims 8,000,000,000,000 bytes"):
        helpers_fuzz.checkpoint(tmp_path, facts + helpers_fuzz.BETWEEN + EVIL_ARRAYS["8 TB claimed"])


# -- JSON and YAML


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[" * 500 + "]" * 500, '{"a":' * 200 + "1" + "}" * 200, "9" * 1_000_000, "{", "\xff", ""],
    ids=["unclosed", "500 levels", "200 objects", "a million digits", "half", "no UTF-8", "nothing"],
)
def test_json_that_is_deep_or_long_is_no_json(content):
    """Caught, when planted: RecursionError not caught; no look at the depth."""
    with pytest.raises(ValueError):
        opening.parsed(content.encode("latin-1"))


def bomb(levels=9, width=9):
    """430 bytes of YAML that unfold to 1e9 items."""
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels + 1)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (bomb(), "more than 10,000"),
        ("[" * 5_000, "more than 50 levels"),
        ("{a: " * 5_000, "more than 50 levels"),
        ("? " * 5_000, "more than 50 levels"),
        ("- " * 5_000, "more than 50 levels"),
        (f"seed: {'9' * 900_000}", "a number of 900,000 digits"),
        (f"{'9' * 900}: 1", "as a key"),
        ("a: &a [*a]", "more than 50 levels"),
        ("a: !!python/object/apply:os.system [ls]", "tag"),
    ],
)
def test_yaml_that_unfolds_nests_or_runs_is_refused(text, said):
    """Caught, when planted: no limit of digits (3 s for 900,000 of them, where Python lets them)."""
    with pytest.raises(UserError, match=said) as error:
        yaml_lines.read_text(text, "x.yaml")
    assert len(str(error.value)) < 500


# -- links, pipes, sizes


def test_links_pipes_and_giants_are_no_files(tmp_path):
    """Caught, when planted: no O_NOFOLLOW; no O_NONBLOCK (it waits for ever); no look at the size before reading."""
    (tmp_path / "file").write_bytes(b"{}")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "giant", "wb") as file:
        file.truncate(2**42)  # 4 TB, of which nothing is on the disk
    for name, said in (("link", "is a link"), ("pipe", "not a regular file"), ("giant", "4,398,046,511,104 bytes")):
        with pytest.raises(UserError, match=said):
            opening.read(tmp_path / name, 1_000_000)
    with pytest.raises(UserError, match="not a regular file"):
        opening.read(tmp_path, 1_000)
    with pytest.raises(FileNotFoundError):
        opening.read(tmp_path / "none", 1_000)


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    ran(small(environment={"id": "CartPole-v1", "num_envs": 2}, budget={"updates": 2}), folder)
    return folder


@pytest.fixture
def run(a_run, tmp_path):
    import shutil

    return shutil.copytree(a_run, tmp_path / "run")


@pytest.mark.parametrize("name", ["config.yaml", "run.json", "metrics.jsonl", "lock"])
def test_a_link_in_a_run_folder_is_not_followed(run, tmp_path, name):
    """Nor written through: `metrics.jsonl -> ~/.profile` would be cut short by a resume. Caught, when planted: os.open
    without O_NOFOLLOW in records.py."""
    victim = tmp_path / "victim"
    content = (run / name).read_bytes() + b"precious"
    victim.write_bytes(content)
    (run / name).unlink()
    (run / name).symlink_to(victim)
    with pytest.raises(UserError, match=r"is a link|missing or damaged"):
        resumed(run, "budget.updates=4")
    assert victim.read_bytes() == content


def test_a_second_name_of_the_records_is_not_written_to(run, tmp_path):
    """Caught, when planted: no look at the number of names."""
    os.link(run / "metrics.jsonl", tmp_path / "other")
    before = (tmp_path / "other").read_bytes()
    with pytest.raises(UserError, match="2 names"):
        resumed(run, "budget.updates=4")
    assert (tmp_path / "other").read_bytes() == before


def test_nothing_is_cleared_where_checkpoints_is_a_link(run, tmp_path):
    """Caught, when planted: no look before temporaries are cleared."""
    (run / "checkpoints").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / ".x.tmp").write_text("precious")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        resumed(run, "budget.updates=4")
    assert (tmp_path / "elsewhere" / ".x.tmp").exists()


def test_records_are_lines_of_few_fields(tmp_path):
    """Caught, when planted: a column for each of 100,000 names."""
    path = tmp_path / "metrics.jsonl"
    for content, said in (
        (json.dumps({f"x{i}": 1 for i in range(300)}), "300 different fields"),
        ("[1, 2]", "no record"),
        ("9" * 1_500_000, "1,000,000 characters"),
    ):
        path.write_text(content + "\n")
        with pytest.raises(UserError, match=said):
            curves.read_metrics(tmp_path)
    path.write_text(json.dumps({"update": 1, "huge": 10**400, "list": [1, 2], "x": 2}) + "\n")
    assert set(curves.read_metrics(tmp_path)) == {"record", "update", "x"}


def test_the_fields_of_all_records_count_together(tmp_path):
    """150 in each block of 2,000 lines were a column each. Caught, when planted: each block by itself."""
    lines = [json.dumps({f"{block}-{i}": 1 for i in range(150)}) for block in range(2) for _ in range(2_000)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    for read in (curves.read_metrics, lambda folder: records.read(folder / "metrics.jsonl")):
        with pytest.raises(UserError, match="records of 300 different fields; expected at most 200"):
            read(tmp_path)


def test_a_table_has_few_columns_and_no_formulas(tmp_path, monkeypatch):
    """6 MB of records made a table for over 240 s; a spreadsheet ran what began with `=`. Caught, when planted: a column
    for each name; the names not quoted; numbers quoted."""
    monkeypatch.setattr(exported.folder, "read_run", lambda path: None)
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(json.dumps({f"x{i}": 1}) for i in range(100_000)))
    with pytest.raises(UserError, match="different fields; expected at most 200"):
        exported.export(tmp_path, "csv", tmp_path.parent / "a.csv")
    values = [
        "=cmd|' /C calc'!A0",
        "+1",
        "@SUM(1)",
        " =1",
        "\t=1",
        -1.5,
        -3,
        1e-9,
        None,
        True,
        "plain - text",
        [-1],
        "é",
    ]
    record = {f"={name}": value for name, value in enumerate(values)} | {"deep": json.loads("[" * 900 + "]" * 900)}
    path.write_text(json.dumps(record) + "\n")
    with open(exported.export(tmp_path, "csv", tmp_path.parent / "b.csv"), newline="", encoding="utf-8") as file:
        head, row = csv.reader(file)
    assert head[:2] == ["'=0", "'=1"]
    assert row[:5] == [f"'{value}" for value in values[:5]]
    assert row[5:-1] == ["-1.5", "-3", "1e-09", "", "True", "plain - text", "[-1]", "é"]


@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "\\udc00\\ud800"])
def test_half_a_character_is_one_line(half, tmp_path, capsys):
    """It was a UnicodeEncodeError wherever it was printed, written or taken for a file's name. Caught, when planted: one
    of the three doors without a look."""
    with pytest.raises(ValueError):
        opening.parsed(f'{{"a": ["{half}"]}}'.encode())
    with pytest.raises(ValueError):
        opening.parsed('{"a": "é"}'.encode().replace("é".encode(), b"\xed\xa0\x80"))
    with pytest.raises(ValueError):
        opening.parsed(f'{{"a": ["{half}"]}}'.encode("utf-16"))
    with pytest.raises(UserError, match=r"x\.yaml:1: got half a character"):
        yaml_lines.read_text(f'name: "{half}"', "x.yaml")
    (tmp_path / "metrics.jsonl").write_text(f'{{"{half}": 1}}\n{{"update": 1}}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:1 is not JSON"):
        records.read(tmp_path / "metrics.jsonl")
    assert opening.parsed('{"a": "\\ud83d\\ude00 \\u00e9"}') == {"a": "😀 é"}
    assert yaml_lines.read_text('name: "\\u00e9"', "x.yaml").data == {"name": "é"}


# -- the cache


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path, monkeypatch):
    """As ssh asks it of keys: what is in it runs. Caught, when planted: no look at the mode of `xla`."""
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "cache"))
    cached.check_cache()
    cached.write_whole(tmp_path / "cache" / "xla" / "x", b"")
    cached.check_cache()
    assert stat.S_IMODE((tmp_path / "cache" / "xla").stat().st_mode) == 0o700
    for name, mode in (("xla", 0o770), ("xla", 0o707), (".", 0o777)):
        folder = tmp_path / "cache" / name
        folder.chmod(mode)
        with pytest.raises(UserError, match=r"can be written to by others .* try python -m pg_theano\.cache --clear"):
            cached.check_cache()
        cache.clear()
        cached.check_cache()
        cached.write_whole(tmp_path / "cache" / "xla" / "x", b"")
    monkeypatch.setattr(opening.os, "getuid", lambda: 12345)
    if os.stat(tmp_path).st_uid:  # root's own are always trusted
        with pytest.raises(UserError, match="belongs to user"):
            cached.check_cache()


@pytest.mark.parametrize("whose", ["others may write it", "another wrote it"])
def test_a_file_of_another_in_the_cache_is_a_miss(whose, tmp_path, monkeypatch, capsys):
    """It stayed, and ran, where the folder was made one's own as the message said. Caught, when planted: the folder alone
    looked at; one of the three readers without `mine`."""
    path, code = tmp_path / "a.stablehlo", cached.MachineCode(lambda: tmp_path, cached.warn)
    cached.write(path, {"key": "k"}, b"code")
    code.put("machine", b"code")
    if whose == "others may write it":
        for one in (path, tmp_path / "machine"):
            one.chmod(0o620)
    else:
        real = os.fstat
        monkeypatch.setattr(opening.os, "fstat", lambda file: os.stat_result([*real(file)[:4], 4321, *real(file)[5:]]))
    assert cached.read(path, "k") is None
    assert cached.read_manifest(path) is None
    assert code.get("machine") is None
    said = capsys.readouterr().err
    assert said.count("can be written to by others" if "may" in whose else "belongs to user 4321") == 2
    monkeypatch.undo()
    cached.write(path, {"key": "k"}, b"code")
    assert cached.read(path, "k") is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_the_cache_is_a_miss(tmp_path, capsys):
    path = tmp_path / "a.stablehlo"
    cached.write(path, {"key": "k"}, b"code")
    assert cached.read(path, "k") == ({"key": "k"}, b"code")
    path.rename(tmp_path / "b")
    path.symlink_to(tmp_path / "b")
    assert cached.read(path, "k") is None
    assert cached.read_manifest(path) is None
    assert "is a link" in capsys.readouterr().err


# -- mutation


def mutated(draw, content):
    """A valid file with a few bytes, or stretches, taken out, put in, written over or repeated."""
    result = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result)))
        length = draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "repeat", "end"]))
        if kind == "flip" and at < len(result):
            result[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del result[at : at + length]
        elif kind == "insert":
            tokens = [b"[", b"{", b"&a ", b"*a", b"!!python/x ", b"1e999", b"-1", b"9" * 30, b"null", b".nan", b"\0"]
            result[at:at] = draw(st.sampled_from(tokens)) if draw(st.booleans()) else draw(st.binary(max_size=8))
        elif kind == "repeat":
            result[at:at] = bytes(result[at : at + length]) * draw(st.integers(1, 50))
        else:
            del result[at:]
    return bytes(result)


@pytest.mark.parametrize("name", helpers_fuzz.READERS)
def test_a_mutated_file_is_read_or_refused_and_nothing_else(name, tmp_path):
    """200 each here, many more by atheris in the torture's part `fuzz`."""
    files, tried = helpers_fuzz.corpus(tmp_path)[name], []

    @given(st.data())
    @settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def read_or_refused(data):
        content = mutated(data.draw, data.draw(st.sampled_from(files)))
        with contextlib.suppress(UserError):
            helpers_fuzz.READERS[name](tmp_path, content)
        tried.append(content)

    for content in files:
        helpers_fuzz.READERS[name](tmp_path, content)  # the corpus itself is sound
    read_or_refused()
    assert len(set(tried) - set(files)) > 100


def test_optunas_journal_of_a_file_is_json_and_no_pickle():
    """It unpickles snapshots, of backends that have some: ours has none. A newer Optuna may differ: then see this."""
    journal = pytest.importorskip("optuna").storages.journal
    from pg_theano.search.journal import backend_class

    for backend in (journal.JournalFileBackend, backend_class(journal.JournalFileBackend)):
        assert not hasattr(backend, "load_snapshot")
        assert not hasattr(backend, "save_snapshot")
