"""Active learning on any folder of images with a pretrained network of timm: a linear layer on its
features, or the whole network fine-tuned.

    python tools/al_train.py configs/cls_timm_folder.py --strategy learning_loss --seed 0

Data: `task.data_root` holds `train/<class>/*` and `test/<class>/*`, images of any size. Weights:
timm's, downloaded on first use; or a checkpoint that timm wrote, `task.pretrained=/path/to/file`.
Cost: one pass of the network over all images, whose features are kept in `task.cache` for all runs;
then seconds a cycle on a CPU. Expected: nothing is published for your images; docs/performance.md
has the seconds.

The whole network, with augmentation, takes a GPU; another learning rate, and other layers for
strategies that ask dropout:

    python tools/al_train.py configs/cls_timm_folder.py --cfg-options task.frozen=False
    training.epochs=40 training.batch_size=32 training.optimizer.lr=0.0001 training.workers=4
    committee.dropout_at=[stages.*]

Smoke test, two cycles of a tiny network from random weights in seconds:

    python tools/al_train.py configs/cls_timm_folder.py --smoke
"""

from mmengine.optim import CosineAnnealingLR
from torch.optim import Adam

from tasks.classification import Classification

task = dict(
    type=Classification,
    data_root="data/mine",
    network="timm:convnextv2_nano.fcmae_ft_in1k",  # its input size and normalisation, too
    pretrained=True,
    augmentation="resized_crop",
    frozen=True,
    views=0,  # no augmentation: a view more is a pass of the network over the pool more
)
budget = dict(initial=100, query=100, cycles=10)
training = dict(
    epochs=60,
    batch_size=500,
    # features are far from independent of each other: SGD would take ten times the epochs to come
    # to where logistic regression is
    optimizer=dict(type=Adam, lr=0.03, weight_decay=0.01),
    schedule=[dict(type=CosineAnnealingLR, eta_min=1e-4, convert_to_iter_based=True)],
    workers=0,  # features are in memory: a worker costs more than it brings
    checkpoint_every=60,
)
module = dict(weight=1.0)
scoring = dict(batch_size=1000, workers=0, control=500)
# before the linear layer
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["features"])
strategy = "learning_loss"
subset = None
seed = 0

smoke = dict(
    task=dict(network="timm:test_convnext", pretrained=None, input_size=32, test_limit=100),
    budget=dict(initial=40, query=20, cycles=2),
    training=dict(epochs=2, schedule=[], batch_size=20, checkpoint_every=1),
    scoring=dict(batch_size=50, control=20),
    subset=60,
)
