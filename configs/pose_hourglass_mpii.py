"""Active learning on MPII Human Pose with a stacked hourglass of two stacks: the paper's
experiment.

    python tools/al_train.py configs/pose_hourglass_mpii.py --strategy learning_loss --seed 0

Data: `task.data_root` holds `images/` and `annot/` with train.json, valid.json and gt_valid.mat, as
for HRNet and mmpose; 22,246 persons in the pool, 2,958 to test. Cost: 10 trainings of 125 epochs on
1,000 to 10,000 persons, 1,146,250 iterations of 6 persons in all; 9 scoring passes over 5,000
persons each.

Expected (Yoo and Kweon, CVPR 2019, read off figure 8, 3 trials; PCKh@.5 at 1,000 ... 10,000
labels):

    learning_loss  .584 .677 .717 .740 .759 .773 .784 .792 .796 .805
    random         .614 .692 .722 .738 .753 .762 .772 .776 .781 .786

Smoke test of the same code, two cycles on a few persons in minutes on a CPU:

    python tools/al_train.py configs/pose_hourglass_mpii.py --smoke
"""

from mmengine.optim import MultiStepLR
from torch.optim import RMSprop

from tasks.pose import Pose

task = dict(
    type=Pose,
    data_root="data/mpii",
    stacks=2,  # paper, section 4.3
    features=256,  # Newell et al. 2016
    blocks=1,
    input_size=256,
    sigma=1.0,
    pose_loss="annotated",  # open in the paper; "all" favours persons with many annotated joints
    scale=0.25,  # paper, section 4.3
    rotation=30.0,
    colour=0.2,
    flip_test=False,
)
budget = dict(initial=1000, query=1000, cycles=10)  # paper, section 4.3
training = dict(
    epochs=125,  # paper, section 4.3
    batch_size=6,
    optimizer=dict(type=RMSprop, lr=2.5e-4, alpha=0.99),
    schedule=[dict(type=MultiStepLR, milestones=[100], gamma=0.1)],
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
    weight=1e-4,  # lambda; paper, section 4.3: as small as the heatmaps' mean squared error
    detach_epoch=75,  # paper, section 4.3
)
scoring = dict(batch_size=16, workers=4, control=500)
committee = dict(members=3, passes=10, dropout=0.1, dropout_at=["hourglasses.*"])
strategy = "learning_loss"
subset = 5000  # paper, section 4.3
seed = 0

smoke = dict(
    task=dict(test_limit=24),
    budget=dict(initial=12, query=6, cycles=2),
    training=dict(epochs=2, schedule=[], workers=1, checkpoint_every=1),
    module=dict(detach_epoch=1),
    scoring=dict(batch_size=8, workers=1, control=8),
    subset=24,
    keep=2,
)
