"""What all tests share: no network, no login of the user's, quiet threads."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.wandb_stub import Stub

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ |= {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
torch.set_num_threads(1)
# as where a shell started the tests in the background
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


LONG = (  # minutes in all: `make test` runs them, CI leaves them out to end in half an hour
    "tests/acquisition/test_bag_distances.py::test_the_second_stage_of_1000_picks_takes_seconds",
    "tests/acquisition/test_kcenter.py::test_memory_stays_near_the_setting",
    "tests/models/test_memory.py",
    "tests/models/test_mmdet_heads.py::test_an_image_loses_the_same_in_a_batch_and_alone",
    "tests/models/test_shared_memory.py",
    "tests/tasks/test_bad_images.py::test_memory_stays_within_its_bound",
    "tests/tasks/test_detection_networks.py::test_a_detector_of_mmdet_keeps_the_contract",
    "tests/tasks/test_keypoints.py::test_a_trained_network_finds_joints",
    "tests/tasks/test_keypoints.py::test_strategies_run_on_the_configs_smoke_variant",
    "tests/tasks/test_timm_classification.py::test_every_strategy_works_on_frozen_features",
    "tests/tools/benchmarks/test_benchmarks.py::test_a_run_is_split_into_its_steps",
    "tests/tools/benchmarks/test_benchmarks.py::test_vectors_take_their_own_memory_and_in_a_file_none",
    "tests/tools/benchmarks/test_scale.py",
    "tests/tools/cluster/test_scoring_on_ray.py",
    "tests/tools/compare/test_compare_mirror.py::test_every_number_is_mirrored",
    "tests/tools/compare/test_compare_statistics.py::test_that_many_seeds_are_enough",
    "tests/tools/contract/test_check_task.py::test_a_metric_without_a_prefix_is_no_warning",
    "tests/tools/contract/test_detectors.py::test_a_detector_that_trains",
    "tests/tools/deploy/test_al_export.py::test_a_classifier_of_a_run_is_loaded_by_torch_alone[1]",
    "tests/tools/deploy/test_al_export.py::test_a_detector_of_a_run_is_loaded_by_mmdet_alone",
    "tests/tools/deploy/test_al_export.py::test_detectors_of_mmdet_are_loaded_by_mmdet_alone[retinanet]",
    "tests/tools/deploy/test_al_export.py::test_detectors_of_mmdet_are_loaded_by_mmdet_alone[ssd300]",
    "tests/tools/deploy/test_al_export.py::test_detectors_of_mmdet_are_loaded_by_mmdet_alone[ssdlite]",
    "tests/tools/deploy/test_al_export.py::test_classifiers_have_torchvisions_names[mobilenet",
    "tests/tools/deploy/test_al_export.py::test_classifiers_of_timm_have_timms_names[test_vit]",
    "tests/tools/deploy/test_al_export.py::test_pose_networks_of_timm_are_loaded_by_torch_and_timm[simple",
    "tests/tools/label/test_push_and_pull.py::test_a_pool_scored_on_ray_gives_the_same_batch",
    "tests/tools/mirror/test_tracking.py::test_after_a_stop_and_a_resume_offline_each_row_is_synced_once[F",
    "tests/tools/mirror/test_tracking.py::test_rows_of_a_torn_file_are_written_anew[0]",
    "tests/tools/sweep/test_al_sweep.py::test_a_signal_is_passed_on_and_the_same_command_goes_on[told1]",
    "tests/tools/sweep/test_al_sweep.py::test_a_signal_is_passed_on_and_the_same_command_goes_on[told2]",
    "tests/tools/sweep/test_al_sweep_ray.py",
    "tests/tools/sweep/test_in_process.py::test_after_a_run_that_fails_or_is_killed_the_next_one_has_a_new_process",
    "tests/tools/sweep/test_in_process.py::test_runs_on_frozen_features_too",
    "tests/tools/train/test_noisy_people.py::test_each_task_learns_from_noisy_people",
    "tests/tools/verify/test_al_verify.py::test_picks_of_every_strategy_are_replayed",
    "tests/whole/test_clashes.py::test_files_beside_a_config_are_found_and_packages_there_break_nothing",
    "tests/whole/test_encodings.py::test_a_run_with_names_beyond_ascii_is_healthy_in_an_ascii_locale",
    "tests/whole/test_end_to_end.py::test_killed_and_started_again_it_ends_the_same[cycles",
    "tests/whole/test_end_to_end.py::test_told_to_stop_it_says_how_to_go_on_and_ends_the_same[2]",
    "tests/whole/test_guards.py",
    "tests/whole/test_label_torture.py",
    "tests/whole/test_layouts_end_to_end.py",
    "tests/whole/test_processes.py::test_a_process_that_dies_ends_the_run_and_the_same_command_goes_on",
    "tests/whole/test_start.py::test_the_start_of_runs_and_commands_is_measured",
    "tests/whole/test_torture.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that two workers finish at about the same time."""
    for item in items:
        if item.nodeid.startswith(LONG):
            item.add_marker(pytest.mark.long)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


_settled: tuple[Path | None, int] = (None, 0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What lives before a file of tests, or came with libraries, is set aside from garbage
    collection.

    mmengine collects garbage whenever it reads a data set, and goes through all that mmdet brings:
    0.3 s each time, most of the time of a test of detection.
    """
    global _settled
    file, modules = _settled
    if item.path != file or len(sys.modules) > modules + 50:
        _settled = (item.path, len(sys.modules))
        gc.collect()
        gc.freeze()


@pytest.fixture
def real_data() -> Path:
    """Folder of the real data, or a skip that says why."""
    folder = os.environ.get("AL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip(
            f"AL_DATA is {folder!r}: set it to a folder with VOCdevkit to run the tests on real "
            "images"
        )
    return Path(folder).resolve()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The home folder of a user who is not logged in to W&B."""
    from tests.wandb_stub import nobody_logged_in  # imports wandb

    with nobody_logged_in(tmp_path / "home") as folder:
        yield folder


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A W&B server on the loopback."""
    from tests.wandb_stub import serving

    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny images, a folder for each class; tests that change it take `own_image_folder`."""
    from tests import imagekit

    return imagekit.make_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture
def own_image_folder(tmp_path: Path) -> Path:
    """The same as `image_folder`, for one test alone."""
    from tests import imagekit

    return imagekit.make_folder(tmp_path / "data")
