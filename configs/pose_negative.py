"""Negative control on drawn figures: whoever chases loss must lose.

    python tools/make_sandbox.py pose --control negative --root data/sandbox
    python tools/al_train.py configs/pose_negative.py --strategy oracle_loss

As `configs/pose_positive.py`, but half of the pool are hard images with the joints of another one,
and the test set has none of them. `docs/controls.md` says what must come out, and what did.
"""

from mmengine.config import read_base

with read_base():
    from .pose_positive import (  # noqa: F401
        budget,
        module,
        scoring,
        seed,
        smoke,
        strategy,
        subset,
        task,
        training,
    )

task.update(data_root="data/sandbox/figures_negative")
# with fewer first labels the network knows too little to be surprised by false ones
budget.update(initial=40, query=40)
