"""The saved view: what it shows by the keys that runs really log, and that the same one is
updated.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from acquisition.names import STRATEGIES
from models.output import Output
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tests.wandb_reader import RunFile, fragments, read_run
from tests.wandb_stub import Stub
from tools import al_train, wandb_board
from tools.display.looks import LIGHT, styles

wandb = pytest.importorskip("wandb")
pytest.importorskip(
    "wandb_workspaces", reason="wandb-workspaces is not here: pip install -e '.[board]'"
)
pytestmark = pytest.mark.usefixtures("home")

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
SHORT = ["budget.cycles=2", "training.epochs=2", "module.detach_epoch=1", "committee.members=2"]
LINE, BAR, MEDIA = "Run History Line Plot", "Bar Chart", "Media Browser"


class Signs(Toy):
    """The toy task with probabilities of two classes, which committees are asked for."""

    fields = Toy.fields | {"probs"}

    def forward(self, network, batch, want) -> Output:
        out = super().forward(network, batch, want)
        high = torch.sigmoid(network(batch["x"])[1])
        return replace(
            out, probs=torch.stack([high, 1 - high], -1)[:, None] if "probs" in want else None
        )


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> list[RunFile]:
    """What the loop itself sent to W&B: of a strategy with the module, and of one with a
    committee.
    """
    found = []
    for strategy, task in (
        ("learning_loss", "tests.toy.Toy"),
        ("ensemble_variance", f"{__name__}.Signs"),
    ):
        folder = tmp_path_factory.mktemp(strategy) / "run"
        given = [TOY, "--wandb", "offline", "--strategy", strategy, "--work-dir", str(folder)]
        assert al_train.main([*given, "--cfg-options", f"task.type={task}", *SHORT]) == 0
        wandb.teardown()
        found.append(read_run(fragments(folder)[0]))
    return found


def printed(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert wandb_board.main([TOY, "--print", *more]) == 0
    return json.loads(capsys.readouterr().out)


def panels(spec: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    sections = spec["section"]["panelBankConfig"]["sections"]
    return [
        panel["config"]
        for section in sections
        for panel in section["panels"]
        if panel["viewType"] == kind
    ]


@pytest.mark.slow
def test_every_key_of_the_view_is_one_that_runs_log(logged: list[RunFile], capsys):
    spec = printed(capsys)
    rows = [set().union(*out.history) for out in logged]
    for config in panels(spec, LINE):
        assert any({config["xAxis"], *config["metrics"]} <= keys for keys in rows), config[
            "chartTitle"
        ]
    (media,) = panels(spec, MEDIA)
    # a list of pictures has a record for each of its fields
    assert media["mediaKeys"] == ["queried"]
    assert all({"queried._type", "queried.count"} <= keys for keys in rows), rows
    for config in panels(spec, BAR):
        assert all(set(config["metrics"]) <= out.summary.keys() for out in logged), config[
            "chartTitle"
        ]
    runs = spec["section"]["runSets"][0]
    for column in runs["runFeed"]["columnOrder"][1:]:
        section, _, key = column.partition(":")
        assert section in ("config", "summary")
        for out in logged:
            assert key.removesuffix(".value") in (
                out.config if section == "config" else out.summary
            ), column
    assert [f["value"] for f in runs["filters"]["filters"]] == [logged[0].run.run_group]
    assert spec["section"]["settings"]["xAxis"] in rows[0]


def test_the_view_compares_strategies_without_a_click(capsys):
    spec = printed(capsys)
    curves, bars = panels(spec, LINE), panels(spec, BAR)
    grouped = {
        "groupBy": "strategy.value",
        "groupAgg": "mean",
        "groupArea": "stddev",
        "aggregate": True,
    }
    assert all(
        config[key] == value for config in [*curves, *bars] for key, value in grouped.items()
    )
    assert all(config["limit"] == 1000 and config["smoothingType"] == "none" for config in curves)
    assert all(config["legendPosition"] == "east" for config in curves)
    drawn = [(config["metrics"], config["xAxis"]) for config in curves]
    assert drawn[:2] == [(["score"], "labeled"), (["score"], "effort")]
    ranking = [
        f"ranking/{group}/{key}"
        for key in ("pairs", "spearman")
        for group in ("control", "queried")
    ]
    seconds = [f"seconds/{step}" for step in ("train", "evaluate", "committee", "score", "ranking")]
    assert drawn[2:] == [([key], "labeled") for key in [*ranking, *seconds]]
    assert [config["metrics"] for config in bars] == [["area_under_curve"], ["final/score"]]
    runs = spec["section"]["runSets"][0]
    (wanted,) = runs["filters"]["filters"]
    assert (wanted["key"], wanted["op"]) == ({"section": "run", "name": "group"}, "=")
    assert runs["grouping"] == [{"section": "config", "name": "strategy.value"}]


def test_panels_of_a_section_do_not_lie_on_each_other(capsys):
    for section in printed(capsys)["section"]["panelBankConfig"]["sections"]:
        cells = [
            (x, y)
            for at in (panel["layout"] for panel in section["panels"])
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(cells) == len(set(cells)) > 0 and max(x for x, _ in cells) < 24, section["name"]


def test_group_and_metric_are_the_configs(capsys):
    (wanted,) = printed(capsys, "--smoke")["section"]["runSets"][0]["filters"]["filters"]
    assert wanted["value"] == "toy_config-smoke"
    assert wandb_board.main(["configs/cls_sandbox.py", "--print"]) == 0
    spec = json.loads(capsys.readouterr().out)
    assert [config["metrics"] for config in panels(spec, BAR)] == [
        ["area_under_curve"],
        ["final/accuracy"],
    ]


def test_a_second_call_updates_the_same_view(stub: Stub, capsys):
    stub.runs["a run"] = {}
    assert wandb_board.main([TOY]) == 0
    ((name, first),) = stub.views.items()
    assert (first["entityName"], first["projectName"], first["displayName"]) == (
        "me",
        "losstap",
        "toy_config: strategies",
    )
    assert first["type"] == "project-view" and first["given"] is None
    said = capsys.readouterr().out
    assert (
        said
        == f"toy_config: strategies: {stub.url}/me/losstap?nw={name.removeprefix('nw-').removesuffix('-v')}\n"
    )
    stub.views[name] = {**first, "spec": first["spec"].replace("labeled images", "changed by hand")}
    assert wandb_board.main([TOY]) == 0
    assert [*stub.views] == [name]
    assert stub.views[name]["given"] == first["id"]
    assert (
        "labeled images" in stub.views[name]["spec"]
        and "changed by hand" not in stub.views[name]["spec"]
    )
    assert capsys.readouterr().out == said
    assert wandb_board.main([TOY, "--smoke", "--entity", "team", "--project", "other"]) == 0
    other = next(view for key, view in stub.views.items() if key != name)
    assert (other["entityName"], other["projectName"]) == ("team", "other")


def test_a_project_that_is_not_there_and_a_server_that_refuses_are_said(stub: Stub, capsys):
    assert wandb_board.main([TOY]) == 2
    said = capsys.readouterr().out
    assert said.startswith(
        "error: the view of me/losstap was not saved (ValueError: Project `me/losstap` not found."
    )
    assert "a project is there once a run was sent" in said
    stub.accept = False
    assert wandb_board.main([TOY, "--entity", "me"]) == 2
    assert capsys.readouterr().out.startswith("error: the view of me/losstap was not saved (")
    assert wandb_board.main([TOY]) == 2
    assert capsys.readouterr().out.startswith("error: W&B did not return your entity (")
    assert stub.views == {}


def test_without_a_login_a_config_or_the_package_it_says_what_to_do(
    capsys, monkeypatch: pytest.MonkeyPatch
):
    assert wandb_board.main([TOY]) == 2
    assert capsys.readouterr().out.startswith(
        "error: not logged in to W&B: `wandb login` first, or --print"
    )
    assert wandb_board.main([TOY.replace("toy_c", "toy_k"), "--print"]) == 2
    assert "toy_konfig.py: 1 problem(s)" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert wandb_board.main([TOY, "--print"]) == 2
    assert capsys.readouterr().out.startswith(
        "error: the board needs wandb-workspaces: pip install -e '.[board]'"
    )
    assert "WANDB_API_KEY" not in os.environ


def test_strategies_have_the_colours_of_the_reports(capsys):
    settings = printed(capsys)["section"]["customRunColors"]
    found = {
        re.search(r"[a-z_]+(-(joint|detached|off))?(-warm)?(?=[^a-z_-]*$)", key)[0]: hue
        for key, hue in settings.items()
    }
    assert (
        found["learning_loss"] == found["learning_loss-joint"] == "#1d5bde"
        and found["random"] == "#6b7280"
    )
    assert len(found) == 8 * len(STRATEGIES) and found == {
        leg: LIGHT[look.colour] for leg, look in styles(found).items()
    }
