"""Active learning on PASCAL VOC 2007+2012 with SSD300-VGG16: the paper's experiment.

    python tools/al_train.py configs/det_ssd_voc.py --strategy learning_loss --seed 0

Cost: 10 trainings of 300 epochs on 1,000 to 10,000 images, 516,900 iterations of 32 images in all;
9 scoring passes, 103,959 images in all. Disk: at most 1.3 GB of checkpoints at a time. Data:
`task.data_root` holds VOC2007 (trainval and test) and VOC2012 (trainval).

Expected (Yoo and Kweon, CVPR 2019, read off figure 6, 3 trials; mAP at 1,000 ... 10,000 labels):

    learning_loss  .524 .609 .649 .669 .690 .703 .715 .721 .727 .734
    random         .524 .608 .642 .663 .675 .686 .693 .701 .704 .712

Smoke test of the same code, two cycles on a few images of VOC2007 in minutes on a CPU:

    python tools/al_train.py configs/det_ssd_voc.py --smoke --cfg-options task.pretrained=None
"""

from mmengine.optim import LinearLR, MultiStepLR
from torch.optim import SGD

from tasks.detection import Detection

task = dict(
    type=Detection,
    data_root="data/VOCdevkit",
    train=["VOC2007/trainval", "VOC2012/trainval"],  # 16,551 images (paper, section 4.2)
    test=["VOC2007/test"],  # 4,952 images
    network="ssd300_vgg16",
    pretrained="open-mmlab://vgg16_caffe",  # ImageNet weights, as mmdet's ssd300_voc0712.py
    image_loss="mean",  # open in the paper; undivided losses favour crowded images
    difficult="ignore",
    augmentation="ssd",  # Liu et al. 2016, section 2.2
    eval_mode="11points",  # the VOC2007 metric
)
budget = dict(initial=1000, query=1000, cycles=10)  # paper, section 4.2
training = dict(
    epochs=300,  # paper, section 4.2
    batch_size=32,
    optimizer=dict(type=SGD, lr=1e-3, momentum=0.9, weight_decay=5e-4),
    schedule=[
        # warm-up of mmdet's SSD config
        dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=500),
        dict(type=MultiStepLR, milestones=[240], gamma=0.1),  # paper: 1e-4 for the last 60 epochs
    ],
    start="scratch",  # open in the paper
    workers=4,
    checkpoint_every=5,
)
module = dict(
    mode="auto",
    width=128,  # paper, section 3.2
    pooling="gap",
    objective="ranking",
    margin=1.0,
    weight=1.0,  # lambda; paper, section 4.2
    detach_epoch=240,  # open in the paper; one public implementation cuts here, others never
)
scoring = dict(batch_size=32, workers=4, control=500, embedding="conv7")
committee = dict(
    members=3,
    passes=10,
    dropout=0.1,
    dropout_at=["backbone.features.32", "backbone.features.34", "neck.extra_layers.*"],
)
strategy = "learning_loss"
subset = None  # the paper scores the whole pool of VOC
seed = 0

smoke = dict(
    task=dict(train=["VOC2007/trainval"], test_limit=24),
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
