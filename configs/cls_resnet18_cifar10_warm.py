"""CIFAR-10 with ResNet-18, where each cycle trains the last cycle's network on.

    python tools/al_train.py configs/cls_resnet18_cifar10_warm.py --strategy learning_loss --seed 0

As `configs/cls_resnet18_cifar10.py`, whose docstring has cost, data and the paper's numbers, but
for the start. The paper leaves it open; the public reproduction in PyTorch that later code builds
on trains on, and at 2,000 labels of a small network that was worth .05 of accuracy.
`docs/strategies.md` has all known differences.

Smoke test of the same code, two cycles on a few images in a minute on a CPU:

    python tools/al_train.py configs/cls_resnet18_cifar10_warm.py --smoke
"""

from mmengine.config import read_base

with read_base():
    from .cls_resnet18_cifar10 import (  # noqa: F401
        budget,
        committee,
        module,
        scoring,
        seed,
        smoke,
        strategy,
        subset,
        task,
        training,
    )

training.update(start="warm")
