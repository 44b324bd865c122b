"""Active learning on 5,000 images of CIFAR-10 with a small residual network: a quarter of an hour
on two CPU cores.

    python tools/al_train.py configs/cls_cifar10_small.py --strategy learning_loss --seed 0

Data: `task.data_root` holds `train/<class>/*` and `test/<class>/*`, 500 images of each class in
both (`tools/cifar_folders.py` writes them). Cost: 5 trainings of 200 epochs on 250 to 1,250 images,
12,000 iterations of 64 images in all (80 ms each on one core). Real images and the paper's recipe,
but a tenth of its pool, an eighth of its labels and a network of 0.3 million parameters: numbers
compare strategies, and are not comparable with the paper's. Expected (3 seeds; accuracy at 250 ...
1,250 labels): learning_loss .327 .386 .436 .499 .520, random .333 .389 .469 .509 .560; docs/run.md
says what that means.

Smoke test, two cycles in seconds:

    python tools/al_train.py configs/cls_cifar10_small.py --smoke
"""

from mmengine.optim import MultiStepLR
from torch.optim import SGD

from tasks.classification import Classification

task = dict(
    type=Classification,
    data_root="data/cifar10",
    network="resnet10_cifar_w16",
)
budget = dict(initial=250, query=250, cycles=5)
training = dict(
    epochs=200,  # as the paper
    batch_size=64,
    optimizer=dict(type=SGD, lr=0.1, momentum=0.9, weight_decay=5e-4),
    schedule=[dict(type=MultiStepLR, milestones=[160], gamma=0.1)],
    workers=1,
    checkpoint_every=50,
)
module = dict(weight=1.0, detach_epoch=120)
scoring = dict(batch_size=250, workers=0, control=500)  # images in memory
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["layer*"])
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(test_limit=100),
    budget=dict(initial=40, query=20, cycles=2),
    training=dict(epochs=2, schedule=[], batch_size=20, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=50, control=20),
    subset=60,
    keep=2,
)
