"""Active learning on PASCAL VOC 2007+2012 with Faster R-CNN-R50, as mmdet trains it on VOC.

    python tools/al_train.py configs/det_fasterrcnn_voc.py --strategy learning_loss --seed 0

Cost: 8 trainings of 26 epochs on 1,000 to 8,000 images, 117,000 iterations of 8 images in all; 7
scoring passes, 87,857 images in all. Disk: at most 1.3 GB of checkpoints at a time. Data:
`task.data_root` holds VOC2007 (trainval and test) and VOC2012 (trainval).

Any other detector of mmdet is one line away: `network = dict(type="mmdet", config="...")` with a
name of its configs, see docs/detectors.md. No published curve has just these settings, so compare
strategies with each other.

Smoke test of the same code, two cycles of a Faster R-CNN-R18 in minutes on a CPU:

    python tools/al_train.py configs/det_fasterrcnn_voc.py --smoke
"""

from mmengine.optim import LinearLR, MultiStepLR
from torch.optim import SGD

from tasks.detection import Detection

task = dict(
    type=Detection,
    data_root="data/VOCdevkit",
    train=["VOC2007/trainval", "VOC2012/trainval"],  # 16,551 images
    test=["VOC2007/test"],  # 4,952 images
    network=dict(
        type="mmdet",
        config="faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        size=(1000, 600),  # as mmdet's configs for VOC
    ),
    pretrained="backbone",  # ImageNet weights, as the config names them
    difficult="ignore",
    augmentation="flip",
    eval_mode="11points",  # the VOC2007 metric
)
budget = dict(initial=1000, query=1000, cycles=8)
training = dict(
    epochs=26,
    batch_size=8,
    optimizer=dict(type=SGD, lr=5e-3, momentum=0.9, weight_decay=1e-4),  # mmdet's for 8 images
    schedule=[
        dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=500),
        dict(type=MultiStepLR, milestones=[20], gamma=0.1),
    ],
    clip_grad=dict(max_norm=35, norm_type=2),
    start="scratch",
    workers=4,
    checkpoint_every=2,
)
module = dict(mode="auto", weight=1.0, detach_epoch=20)
scoring = dict(batch_size=16, workers=4, control=500, embedding="level2")
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(
        train=["VOC2007/trainval"],
        test_limit=24,
        pretrained=None,
        network=dict(
            config="faster_rcnn/faster-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py", size=(256, 192)
        ),
    ),
    budget=dict(initial=12, query=6, cycles=2),
    training=dict(
        epochs=2,
        batch_size=6,
        schedule=[dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=500)],
        workers=1,
        checkpoint_every=1,
    ),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=8, workers=1, control=8),
    subset=24,
    keep=2,
)
