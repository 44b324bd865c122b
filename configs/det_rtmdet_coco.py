"""Active learning on COCO 2017 with RTMDet-tiny, begun from weights of ImageNet.

    python tools/al_train.py configs/det_rtmdet_coco.py --strategy learning_loss --seed 0

Cost: 5 trainings of 30 epochs on 2,346 to 11,730 images (2% to 10% of COCO, as studies with few
labels take), 33,060 iterations of 32 images in all; 4 scoring passes, 449,688 images in all. Disk:
at most 0.2 GB of checkpoints at a time. Data: `task.data_root` holds COCO 2017: the folders
train2017, val2017 and annotations. Your own boxes in COCO's json enter in the same way, with
`classes` and the lists of `train` and `test`.

No published curve has just these settings, so compare strategies with each other.

Smoke test of the same code, two cycles on a few images in minutes on a CPU:

    python tools/al_train.py configs/det_rtmdet_coco.py --smoke --cfg-options task.pretrained=None
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import AdamW

from tasks.detection import Detection

task = dict(
    type=Detection,
    data_root="data/coco",
    format="coco",
    train=["train2017:annotations/instances_train2017.json"],  # 118,287 images
    test=["val2017:annotations/instances_val2017.json"],  # 5,000 images
    classes="coco",
    network=dict(type="mmdet", config="rtmdet/rtmdet_tiny_8xb32-300e_coco.py"),  # 640 x 640
    pretrained="backbone",  # ImageNet weights, as the config names them
    augmentation="flip",
)
budget = dict(initial=2346, query=2346, cycles=5)
training = dict(
    epochs=30,
    batch_size=32,
    optimizer=dict(type=AdamW, lr=5e-4, weight_decay=0.05),
    schedule=[
        dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=200),
        dict(type=CosineAnnealingLR, eta_min=2.5e-5, begin=15, T_max=15),
    ],
    clip_grad=dict(max_norm=35, norm_type=2),
    start="scratch",
    workers=8,
    checkpoint_every=2,
)
module = dict(mode="auto", weight=1.0, detach_epoch=24)
scoring = dict(batch_size=64, workers=8, control=500, embedding="level1")
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(test_limit=16, network=dict(size=(192, 192))),
    budget=dict(initial=8, query=4, cycles=2),
    training=dict(
        epochs=2,
        batch_size=4,
        schedule=[dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=200)],
        workers=1,
        checkpoint_every=1,
    ),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=8, workers=1, control=8),
    subset=16,
    keep=2,
)
