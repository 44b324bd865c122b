"""The toy task as a config: 3 cycles in about a second."""

from torch.optim import SGD

from tests.toy import Toy

task = dict(type=Toy)
budget = dict(initial=10, query=5, cycles=3)
training = dict(epochs=4, batch_size=4, optimizer=dict(type=SGD, lr=0.05, momentum=0.9), workers=0)
module = dict(width=8, detach_epoch=3)
scoring = dict(batch_size=8, workers=0, control=10)
strategy = "learning_loss"
seed = 0

smoke = dict(budget=dict(cycles=2), training=dict(epochs=2), module=dict(detach_epoch=1))
