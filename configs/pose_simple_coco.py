"""Active learning on COCO's keypoints with a backbone of timm and three deconvolutions, pretrained
on ImageNet.

    python tools/al_train.py configs/pose_simple_coco.py --strategy learning_loss --seed 0

Data: `task.data_root` holds `train2017/`, `val2017/` and `annotations/` with
person_keypoints_train2017.json and person_keypoints_val2017.json; persons with an annotated joint
make the pool and the test set, crowds and persons without are ignored as in COCO's evaluation. The
boxes are given, none are detected. Another backbone is `task.network="simple:convnextv2_nano"`, an
HRNet `task.network="hrnet:hrnet_w32"`. Cost: 10 trainings of 140 epochs on 1,000 to 10,000 persons,
241,220 iterations of 32 persons in all; 9 scoring passes over 5,000 persons each.

Expected: nothing published has this protocol. Xiao et al. 2018 reach an AP of .704 with all of
train2017 and detected boxes.

Smoke test of the same code on drawn figures, two cycles in minutes on a CPU from random weights:

    python tools/make_sandbox.py pose --root data/sandbox
    python tools/al_train.py configs/pose_simple_coco.py --smoke
"""

from mmengine.optim import MultiStepLR
from torch.optim import Adam

from tasks.pose import Pose

task = dict(
    type=Pose,
    format="coco",
    data_root="data/coco",
    train="train2017:annotations/person_keypoints_train2017.json",
    test="val2017:annotations/person_keypoints_val2017.json",
    network="simple:resnet50",
    pretrained=True,  # what timm has of ImageNet
    input_size=[192, 256],  # width, height; this and what follows: Xiao et al. 2018, section 3.1
    sigma=2.0,
    scale=0.3,
    rotation=40.0,
    colour=0.0,
    flip_test=True,
    pose_loss="annotated",  # "all" is the paper's, which favours persons with many annotated joints
)
budget = dict(initial=1000, query=1000, cycles=10)
training = dict(
    epochs=140,
    batch_size=32,
    optimizer=dict(type=Adam, lr=1e-3),
    schedule=[dict(type=MultiStepLR, milestones=[90, 120], gamma=0.1)],
    start="scratch",
    workers=4,
    checkpoint_every=5,
)
module = dict(
    mode="auto",
    width=128,
    pooling="gap",
    objective="ranking",
    margin=1.0,
    weight=1e-4,  # as with the hourglass: the loss is as small
    detach_epoch=84,  # 60% of the epochs, as there
)
scoring = dict(batch_size=32, workers=4, control=500)
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["deconvolutions.*"])
strategy = "learning_loss"
subset = 5000
seed = 0

smoke = dict(
    task=dict(
        data_root="data/sandbox/figures",
        train="images:annot/person_keypoints_train.json",
        test="images:annot/person_keypoints_valid.json",
        network="simple:resnet10t",
        pretrained=None,
        input_size=64,
        flip=0.0,  # the figures' right is red and their left is blue
        flip_test=False,
        test_limit=24,
    ),
    budget=dict(initial=12, query=6, cycles=2),
    training=dict(epochs=2, batch_size=6, schedule=[], workers=1, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=8, workers=1, control=8),
    subset=24,
    keep=2,
)
