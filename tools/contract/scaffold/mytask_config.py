"""A config of one's own task, to begin with: three cycles take seconds on a CPU.

python tools/check_task.py mytask_config.py
python tools/al_train.py mytask_config.py --strategy learning_loss --seed 0
python tools/al_sweep.py mytask_config.py --strategies random entropy learning_loss --seeds 0 1 2
"""

from mmengine.optim import CosineAnnealingLR
from torch.optim import Adam

from tools.contract.scaffold.mytask import MyTask

# TODO: the settings of your class, such as data_root="data/mine"
task = dict(type=MyTask, pool=200, test=100)
budget = dict(initial=20, query=20, cycles=3)  # TODO: samples labeled at first and in each cycle
training = dict(
    epochs=10,  # TODO: of each cycle, from new weights on all that is labeled
    batch_size=10,
    optimizer=dict(type=Adam, lr=3e-3),
    schedule=[dict(type=CosineAnnealingLR, convert_to_iter_based=True)],
    workers=0,
)
module = dict(detach_epoch=8)  # of the loss-prediction module: from this epoch on it learns alone
scoring = dict(batch_size=50, workers=0, control=40)
strategy = "learning_loss"
seed = 0

smoke = dict(
    budget=dict(initial=10, query=5, cycles=2), training=dict(epochs=2), module=dict(detach_epoch=1)
)
