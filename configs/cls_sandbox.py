"""Active learning on drawn shapes with a small residual network: the whole loop in a minute on two
CPU cores.

    python tools/make_sandbox.py cls --root data/sandbox
    python tools/al_train.py configs/cls_sandbox.py

The images (2,000 in the pool, 1,000 to test; circles, squares and triangles in three colours, 30%
of them hard: small, dull, crossed by a bar) are made: the numbers compare strategies on this
machine and are comparable with nothing else. Accuracy of random at 96 ... 480 labels, seed 0: .554
.610 .677 .824 .864.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import SGD

from tasks.classification import Classification

task = dict(
    type=Classification,
    data_root="data/sandbox/shapes",
    network="resnet10_cifar_w8",
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    padding=2,
)
budget = dict(initial=96, query=96, cycles=5)  # whole batches
training = dict(
    epochs=45,
    batch_size=32,
    optimizer=dict(type=SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=[
        dict(type=LinearLR, start_factor=0.1, by_epoch=False, begin=0, end=20),
        dict(type=CosineAnnealingLR, eta_min=1e-4, convert_to_iter_based=True),
    ],
    workers=0,
    checkpoint_every=15,
)
module = dict(weight=1.0, detach_epoch=30)
scoring = dict(batch_size=100, workers=0, control=200)
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["layer*"])
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
