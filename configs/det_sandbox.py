"""Active learning on drawn scenes with a small SSD: the whole loop in two minutes on two CPU cores.

    python tools/make_sandbox.py det --root data/sandbox
    python tools/al_train.py configs/det_sandbox.py

The scenes (800 in the pool, 400 to test; circles, squares and triangles with clutter, 30% of them
hard: small, of low contrast, occluded) are made, so the numbers compare strategies on this machine
and are comparable with nothing else.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import AdamW

from tasks.detection import Detection

task = dict(
    type=Detection,
    data_root="data/sandbox/VOCdevkit",
    train=["VOC2007/trainval"],
    test=["VOC2007/test"],
    classes=["circle", "square", "triangle"],
    network="small_ssd",
    pretrained=None,
    augmentation="flip",
)
budget = dict(initial=40, query=40, cycles=4)
training = dict(
    epochs=40,
    batch_size=8,
    optimizer=dict(type=AdamW, lr=1e-2),
    schedule=[
        dict(type=LinearLR, start_factor=0.04, by_epoch=False, begin=0, end=75),
        dict(type=CosineAnnealingLR, eta_min=1e-6, convert_to_iter_based=True),
    ],
    clip_grad=dict(max_norm=10),
    workers=1,
    checkpoint_every=5,
)
# lambda 1 costs a detector of this size several points of mAP
module = dict(weight=0.1, detach_epoch=32)
scoring = dict(batch_size=32, workers=1, control=100)
committee = dict(
    members=3,
    passes=10,
    dropout=0.1,
    dropout_at=["backbone.stages.2", "backbone.stages.3", "neck.extra_layers.*"],
)
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
