"""Peer of `routewright bench replay`: Open Bandit Pipeline's six estimators on the same log, each with its own bootstrap.

usage: replay.py FOLDER PATHS RESAMPLES
  FOLDER holds columns as raw little-endian numbers: arms and learned (u16), rewards, propensities and predictions (f64; rows x paths)
Prints one JSON object: tool, version, and per estimator value, lower, upper, cpu_seconds (of this process; one thread).
"""

import json
import os
import sys
import time
from importlib.util import find_spec
from types import ModuleType

for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]:
    os.environ[name] = "1"

import numpy as np

# obp imports these for learners and figures that are not used here: names are enough, the estimators below compute with numpy.
UNUSED = {"torch": ["nn", "nn.functional", "optim", "utils", "utils.data"], "matplotlib": ["pyplot"], "seaborn": []}


class Names(ModuleType):
    """A module in which every name is an empty class."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


for library, parts in UNUSED.items():
    if find_spec(library) is None:
        for name in [library] + [f"{library}.{part}" for part in parts]:
            sys.modules[name] = Names(name)
            parent, _, own = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], own, sys.modules[name])

import obp
from obp import ope

folder, n_paths, resamples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def column(name, kind):
    return np.fromfile(os.path.join(folder, name), dtype=kind)


action = column("arms", "<u2").astype(int)
learned = column("learned", "<u2").astype(int)
n = len(action)
target = np.zeros((n, n_paths, 1))
target[np.arange(n), learned, 0] = 1.0
given = {
    "reward": column("rewards", "<f8"),
    "action": action,
    "pscore": column("propensities", "<f8"),
    "action_dist": target,
    "position": np.zeros(n, dtype=int),
    "estimated_rewards_by_reg_model": column("predictions", "<f8").reshape(n, n_paths, 1),
}
estimators = {
    "replay": ope.ReplayMethod(),
    "ips": ope.InverseProbabilityWeighting(),
    "snips": ope.SelfNormalizedInverseProbabilityWeighting(),
    "dm": ope.DirectMethod(),
    "dr": ope.DoublyRobust(),
    "sndr": ope.SelfNormalizedDoublyRobust(),
}
found = {}
for name, estimator in estimators.items():
    started = time.process_time()
    value = float(estimator.estimate_policy_value(**given))
    interval = estimator.estimate_interval(**given, n_bootstrap_samples=resamples, random_state=1)
    spent = time.process_time() - started
    ends = [float(interval[key]) for key in ("95.0% CI (lower)", "95.0% CI (upper)")]
    found[name] = {"value": value, "lower": ends[0], "upper": ends[1], "cpu_seconds": spent}
print(json.dumps({"tool": "Open Bandit Pipeline", "version": obp.__version__, "estimators": found}))
