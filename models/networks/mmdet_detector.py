"""Any detector of mmdet: its maps as taps, a loss for each image, its boxes as distributions.

A detector is built of its config and stays mmdet's own, weights and names included. What is here
calls it: features once for a batch, and from them the losses that mmdet trains on, each image's
own, and predictions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from models.networks import weights
from models.networks.mmdet_config import Blueprint, DetectorError, of_classes, pretrained_parts
from models.networks.numbered import NumberedCoder, NumberedSSDHead
from models.output import Tap
from models.process.seeding import derive_seed, seeded

from mmcv.ops import batched_nms  # isort: skip  # noqa: F401  # after `install`, by mmdet_config
