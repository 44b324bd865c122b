"""Positive control on drawn figures: active learning must win.

    python tools/make_sandbox.py pose --control positive --root data/sandbox
    python tools/al_train.py configs/pose_positive.py --strategy learning_loss

The pool is 210 frames of a few places by day and 30 places at night, each once; the test set weighs
both evenly. `docs/controls.md` says what must come out, and what did.
"""

from mmengine.optim import MultiStepLR
from torch.optim import RMSprop

from tasks.pose import Pose

task = dict(
    type=Pose,
    data_root="data/sandbox/figures_positive",
    stacks=1,
    features=32,
    depth=2,
    input_size=64,
    scale=0.1,
    rotation=5.0,
    flip=0.0,  # the figures' right is red and their left is blue, which a mirror does not change
)
budget = dict(initial=24, query=15, cycles=3)
training = dict(
    start="warm",  # few labels are few steps, and days must not be forgotten
    epochs=30,
    batch_size=4,
    optimizer=dict(type=RMSprop, lr=2.5e-3),
    schedule=[dict(type=MultiStepLR, milestones=[24], gamma=0.1)],
    workers=0,
    checkpoint_every=30,
)
module = dict(weight=1e-4, detach_epoch=20)  # 1e-3 costs a network of this size .05 in area
scoring = dict(batch_size=50, workers=0, control=100)
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(test_limit=40),
    budget=dict(initial=16, query=8, cycles=2),
    training=dict(epochs=2, schedule=[], checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(control=16),
    subset=60,
)
