"""Active learning for semantic segmentation on PASCAL VOC 2012: an example of a task that losstap
does not know.

    python tools/check_task.py tests/examples/seg_voc.py
    python tools/al_train.py tests/examples/seg_voc.py --strategy learning_loss --seed 0

Data: `task.data_root` holds JPEGImages, SegmentationClass and ImageSets/Segmentation. The network
starts from random weights, so the numbers are comparable with nothing that is published.

Smoke test, two cycles in half a minute on a CPU:

    python tools/al_train.py tests/examples/seg_voc.py --smoke
"""

from mmengine.optim import LinearLR, PolyLR

# from this config's own folder; any other one on Python's path would do
from segmentation import Segmentation
from torch.optim import AdamW

task = dict(type=Segmentation, data_root="data/VOCdevkit/VOC2012")
budget = dict(initial=150, query=150, cycles=6)
training = dict(
    epochs=100,
    batch_size=16,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=1e-2),
    schedule=[
        dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=50),
        dict(type=PolyLR, power=0.9, eta_min=1e-6, convert_to_iter_based=True),
    ],
    workers=4,
    checkpoint_every=10,
)
module = dict(weight=0.1, detach_epoch=60)
scoring = dict(batch_size=32, workers=4, control=200)
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(size=64),
    budget=dict(initial=6, query=4, cycles=2),
    training=dict(epochs=2, batch_size=4, schedule=[], workers=0, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=8, workers=0, control=4),
)
