"""What the documentation shows is done here, as it stands there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import ran, small

import pg_theano
from pg_theano import export

DOCS = Path(__file__).parent.parent / "docs"

pytestmark = pytest.mark.usefixtures("elsewhere")


def blocks(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.S)


@pytest.mark.slow
def test_the_page_on_handing_over(tmp_path):
    """Its twenty lines of NumPy act as the policy does. Caught, when planted: a bias taken away; tanh for the
    sigmoid; the normaliser left out."""
    config = small(environment={"id": "CartPole-v1"}, normalize={"observations": True}, budget={"updates": 3})
    ran(config, tmp_path / "runs" / "cartpole")
    export.export("runs/cartpole", "npz")
    shutil.copytree(DOCS.parent / "configs", tmp_path / "configs")
    loaded, reader, callback = blocks("hand-over.md")
    names = {}
    exec(loaded, names)  # noqa: S102 - our own documentation
    assert names["env"].action_space.contains(names["action"]) and np.isclose(names["probs"].sum(), 1)
    exec(reader, names)  # noqa: S102
    obs = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    np.testing.assert_array_equal(names["act"](obs), pg_theano.load("runs/cartpole")(obs))
    exec(callback, names)  # noqa: S102
    assert names["result"].figures["status"] in ("stopped", "solved")


def test_links_between_pages_lead_somewhere():
    """Caught, when planted: a page renamed."""
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)\s#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" in target or target == "x":
                continue
            made = ("benchmarks/reliability.md", "generated/")
            assert (page.parent / target).exists() or any(one in target for one in made), f"{page.name}: {target}"


def test_every_page_of_the_site_is_reachable():
    """Caught, when planted: a page that no toctree names."""
    named = re.findall(r"^([a-z][\w/-]+)$", "\n".join(blocks("index.md", r"\{toctree\}")), re.M)
    there = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert there == {name for name in named if not name.startswith("generated/")}
