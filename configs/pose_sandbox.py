"""Active learning on drawn figures with a small hourglass: the whole loop in three minutes on two
CPU cores.

    python tools/make_sandbox.py pose --root data/sandbox
    python tools/al_train.py configs/pose_sandbox.py

The figures (1,000 in the pool, 400 to test; 30% of them hard: small, dull, in rare poses, behind
bars) are made: the numbers compare strategies on this machine and are comparable with nothing else.
PCKh of random at 48 ... 192 labels, seed 0: .638 .793 .838 .891.
"""

from mmengine.optim import MultiStepLR
from torch.optim import RMSprop

from tasks.pose import Pose

task = dict(
    type=Pose,
    data_root="data/sandbox/figures",
    stacks=1,
    features=64,
    depth=2,
    input_size=64,
    scale=0.15,
    rotation=10.0,
    flip=0.0,  # the figures' right is red and their left is blue, which a mirror does not change
)
budget = dict(initial=48, query=48, cycles=4)  # whole batches
training = dict(
    epochs=45,
    batch_size=8,
    optimizer=dict(type=RMSprop, lr=2.5e-3),
    schedule=[dict(type=MultiStepLR, milestones=[36], gamma=0.1)],
    workers=0,
    checkpoint_every=15,
)
module = dict(weight=1e-3, detach_epoch=30)
scoring = dict(batch_size=50, workers=0, control=200)
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["hourglasses.*"])
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
