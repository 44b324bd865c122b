"""Positive control on drawn shapes: active learning must win.

    python tools/make_sandbox.py cls --control positive --root data/sandbox
    python tools/al_train.py configs/cls_positive.py --strategy learning_loss

The pool is 210 frames of a few places by day and 30 places at night, each once; the test set weighs
both evenly. `docs/controls.md` says what must come out, and what did.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import SGD

from tasks.classification import Classification

task = dict(
    type=Classification,
    data_root="data/sandbox/shapes_positive",
    network="resnet10_cifar_w8",
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    padding=1,
)
budget = dict(initial=24, query=15, cycles=3)
training = dict(
    start="warm",  # few labels are few steps, and days must not be forgotten
    epochs=40,
    batch_size=8,
    optimizer=dict(type=SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=[
        dict(type=LinearLR, start_factor=0.1, by_epoch=False, begin=0, end=20),
        dict(type=CosineAnnealingLR, eta_min=1e-4, convert_to_iter_based=True),
    ],
    workers=0,
    checkpoint_every=40,
)
module = dict(weight=0.1, detach_epoch=32)
scoring = dict(batch_size=100, workers=0, control=100)
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(test_limit=45),
    budget=dict(initial=20, query=10, cycles=2),
    training=dict(epochs=2, batch_size=10, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(control=20),
    subset=60,
)
