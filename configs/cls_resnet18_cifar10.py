"""Active learning on CIFAR-10 with ResNet-18: the paper's experiment.

    python tools/al_train.py configs/cls_resnet18_cifar10.py --strategy learning_loss --seed 0

Cost: 10 trainings of 200 epochs on 1,000 to 10,000 images, 87,000 iterations of 128 images in all;
9 scoring passes over 10,000 images each. Disk: at most 0.6 GB of checkpoints at a time. Data:
torchvision's CIFAR-10 (170 MB), downloaded with its checksum where `task.data_root` does not hold
it. CIFAR-100: `task.format=cifar100`.

Expected (Yoo and Kweon, CVPR 2019, read off figure 4, 5 trials; accuracy at 1,000 ... 10,000
labels):

    learning_loss  .511 .650 .763 .819 .849 .868 .880 .892 .901 .910
    random         .511 .621 .704 .760 .804 .827 .843 .855 .865 .876

Smoke test of the same code, two cycles on a few images in a minute on a CPU; where there are no
CIFAR files, from a folder of images below `data/cifar` with `--cfg-options task.format=folder`:

    python tools/al_train.py configs/cls_resnet18_cifar10.py --smoke
"""

from mmengine.optim import MultiStepLR
from torch.optim import SGD

from tasks.classification import Classification

task = dict(
    type=Classification,
    data_root="data/cifar",
    format="cifar10",  # 50,000 and 10,000 images (paper, section 4.1)
    download=True,
    # paper, section 4.1: ResNet-18 whose first convolution is 3x3 without pooling
    network="resnet18_cifar",
    augmentation="crop",  # paper, section 4.1: flip, random crop
    padding=4,  # open in the paper (2 or 4); public implementations agree
    flip=0.5,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
budget = dict(initial=1000, query=1000, cycles=10)  # paper, section 4.1
training = dict(
    epochs=200,  # paper, section 4.1
    batch_size=128,
    optimizer=dict(type=SGD, lr=0.1, momentum=0.9, weight_decay=5e-4),
    # paper: .01 for the last 40 epochs
    schedule=[dict(type=MultiStepLR, milestones=[160], gamma=0.1)],
    start="scratch",  # open in the paper; cls_resnet18_cifar10_warm.py trains on
    workers=4,
    checkpoint_every=20,
)
module = dict(
    mode="auto",
    width=128,  # paper, section 3.2
    pooling="gap",
    objective="ranking",
    margin=1.0,
    weight=1.0,  # lambda; paper, section 4.1
    detach_epoch=120,  # paper, section 4.1
)
# the images are in memory: a worker costs more than it brings
scoring = dict(batch_size=500, workers=0, control=500)
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["layer*"])
strategy = "learning_loss"
subset = 10_000  # paper, section 4.1
seed = 0

smoke = dict(
    task=dict(test_limit=100),
    budget=dict(initial=40, query=20, cycles=2),
    training=dict(epochs=2, schedule=[], batch_size=20, workers=1, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=50, control=20),
    subset=60,
    keep=2,
)
