"""The saved view of a project in W&B that compares strategies."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from tools.display.looks import LIGHT, legs, styles
from tools.mirror.modes import PROJECT, silence
from tools.mirror.tracking import QUERIED, X_AXIS
from tools.record import rows

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import LinePlot
    from wandb_workspaces.workspaces import Section, Workspace

RUNS = 1000  # most runs in a panel; W&B's own default is 10

WIDTH, HEIGHT = 12, 9  # of a panel; a row of panels has room for 24

AXES = {X_AXIS: "labeled images", "effort": "annotations"}

GROUPS = ("control", "queried")

RANKING = {
    "pairs": "share of pairs in the right order",
    "spearman": "Spearman's correlation with the loss",
}

STEPS = (*rows.STEPS, "ranking")  # of a cycle, whose seconds are logged

NOTE = (
    "Lines and bars are means over seeds, bands are standard deviations. Seeds share their "
    "numbers of labeled images; their numbers of annotations differ, and W&B averages those "
    "that lie near each other. On few labels a module can rank no better than chance, which is "
    "0.5 of the pairs."
)


class BoardError(Exception):
    """A view that cannot be built or saved; the message says what to do."""


def build(
    name: str, metric: str, entity: str, project: str = PROJECT, lower: bool = False
) -> Workspace:
    """Build the view of a config's runs; needs no network.

    Args:
        name: of the config, the group of its runs in W&B.
        metric: key of its task's metric.
        entity: user or team in W&B.
        project: of the entity.
        lower: whether less of the metric is better.

    Raises:
        BoardError: if wandb-workspaces is not installed.
    """
    silence()
    try:
        from wandb_workspaces import expr, workspaces
    except ImportError as error:
        raise BoardError(
            f"the board needs wandb-workspaces: pip install -e '.[board]' ({error})"
        ) from error
    sections = [_curves(metric, lower), _ranking(), _queried(), _seconds()]
    columns = [
        "config:strategy.value",
        "config:seed.value",
        f"summary:{rows.AREA}",
        f"summary:{rows.final(metric)}",
    ]
    board = workspaces.Workspace(
        entity=entity,
        project=project,
        name=f"{name}: strategies",
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis=X_AXIS, smoothing_type="none", max_runs=RUNS),
        runset_settings=workspaces.RunsetSettings(
            filters=expr.And(expr.Metric("Group") == name),
            groupby=[expr.Config("strategy")],
            pinned_columns=columns,
            group_colors={leg: LIGHT[look.colour] for leg, look in styles(legs()).items()},
        ),
    )
    # a name of W&B's form that follows from the view's, so that any machine finds it again
    board._internal_name = f"nw-{hashlib.sha1(name.encode()).hexdigest()[:11]}-v"
    return board


def spec(board: Workspace) -> dict[str, Any]:
    """Return what is sent of a view, as JSON holds it."""
    return json.loads(board._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def save(board: Workspace) -> str:
    """Create the view, or write over the one that exists, and return its address.

    Raises:
        BoardError: if W&B refuses it or there is no project yet.
    """
    from wandb_workspaces.workspaces import Workspace

    try:
        try:
            board._internal_id = Workspace.from_url(board.url)._internal_id
        except ValueError as error:
            if "not found in project" not in str(error):
                raise
        board.save()
        return board.url
    except Exception as error:  # of the network, of W&B and of two packages
        what = (
            f"the view of {board.entity}/{board.project} was not saved ({type(error).__name__}: "
            f"{error})"
        )
        raise BoardError(
            f"{what}; a project is there once a run was sent, as tools/wandb_push.py does"
        ) from error


def _curves(metric: str, lower: bool) -> Section:
    from wandb_workspaces.reports.v2 import BarPlot, Config, Layout, MarkdownPanel
    from wandb_workspaces.workspaces import Section

    final = rows.final(metric)
    name = rows.measured(metric, lower)
    bars = [
        BarPlot(
            title=title,
            metrics=[key],
            groupby=Config("strategy"),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            aggregate=True,
            max_runs_to_show=RUNS,
            max_bars_to_show=100,
            layout=_layout(2 + place),
        )
        for place, (key, title) in enumerate(
            {rows.AREA: f"area under {name}", final: f"last {name}"}.items()
        )
    ]
    curves = [
        _line(metric, f"{name} over {label}", place, x)
        for place, (x, label) in enumerate(AXES.items())
    ]
    note = MarkdownPanel(markdown=NOTE, layout=Layout(x=0, y=2 * HEIGHT, w=2 * WIDTH, h=3))
    return Section(name="strategies", is_open=True, panels=[*curves, *bars, note])


def _ranking() -> Section:
    from wandb_workspaces.workspaces import Section

    keys = [
        (f"ranking/{group}/{key}", f"{group}: {text}")
        for key, text in RANKING.items()
        for group in GROUPS
    ]
    return Section(name="how well the module ranks", is_open=True, panels=[
        _line(key, title, place) for place, (key, title) in enumerate(keys)
    ])  # fmt: skip


def _queried() -> Section:
    """Return the pictures of the first and last samples of each query."""
    from wandb_workspaces.reports.v2 import Layout, MediaBrowser
    from wandb_workspaces.workspaces import Section

    pictures = MediaBrowser(
        title="first and last samples of a query",
        media_keys=[QUERIED],
        num_columns=6,
        layout=Layout(x=0, y=0, w=2 * WIDTH, h=2 * HEIGHT),
    )
    return Section(name="what was queried", is_open=False, panels=[pictures])


def _seconds() -> Section:
    from wandb_workspaces.workspaces import Section

    return Section(
        name="time per cycle",
        is_open=True,
        panels=[
            _line(f"seconds/{step}", f"seconds a cycle: {step}", place)
            for place, step in enumerate(STEPS)
        ],
    )


def _line(key: str, title: str, place: int, x: str = X_AXIS) -> LinePlot:
    """Return a panel with a key's mean and standard deviation by strategy."""
    from wandb_workspaces.reports.v2 import Config, LinePlot

    return LinePlot(
        title=title,
        x=x,
        y=[key],
        title_x=AXES[x],
        groupby=Config("strategy"),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        aggregate=True,
        smoothing_type="none",
        smoothing_factor=0,
        legend_position="east",  # beside the curves' ends
        max_runs_to_show=RUNS,
        point_visualization_method="sampling",
        layout=_layout(place),
    )


def _layout(place: int) -> Any:
    """Return the place of a panel; two of them are in a row."""
    from wandb_workspaces.reports.v2 import Layout

    return Layout(x=place % 2 * WIDTH, y=place // 2 * HEIGHT, w=WIDTH, h=HEIGHT)


def own_entity() -> str:
    """Return the user's own entity, as W&B has it.

    Raises:
        BoardError: if the user is not logged in or W&B does not answer.
    """
    import wandb

    try:
        return os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity or ""
    except Exception as error:
        raise BoardError(
            f"W&B did not return your entity ({type(error).__name__}: {error}); add --entity"
        ) from error
