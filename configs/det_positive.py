"""Positive control on drawn scenes: active learning must win.

    python tools/make_sandbox.py det --control positive --root data/sandbox
    python tools/al_train.py configs/det_positive.py --strategy learning_loss

The pool is 210 frames of a few places by day and 30 places at night, each once; the test set weighs
both evenly. `docs/controls.md` says what must come out, and what did.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import AdamW

from tasks.detection import Detection

task = dict(
    type=Detection,
    data_root="data/sandbox/VOCdevkit_positive",
    train=["VOC2007/trainval"],
    test=["VOC2007/test"],
    classes=["circle", "square", "triangle"],
    network="small_ssd",
    pretrained=None,
    augmentation="flip",
)
budget = dict(initial=16, query=15, cycles=3)
training = dict(
    epochs=30,
    batch_size=8,
    optimizer=dict(type=AdamW, lr=1e-2),
    schedule=[
        dict(type=LinearLR, start_factor=0.04, by_epoch=False, begin=0, end=40),
        dict(type=CosineAnnealingLR, eta_min=1e-6, convert_to_iter_based=True),
    ],
    clip_grad=dict(max_norm=10),
    workers=0,
    checkpoint_every=30,
)
module = dict(weight=0.1, detach_epoch=24)
scoring = dict(batch_size=32, workers=0, control=100)
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(test_limit=40),
    budget=dict(initial=16, query=8, cycles=2),
    training=dict(epochs=2, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(control=16),
    subset=48,
)
