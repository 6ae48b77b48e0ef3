"""Make adapt.json: what adapt-python says about small fixed data. Run by hand, in an environment of its own.

pip install adapt==0.4.5 tensorflow-cpu && python make_adapt_reference.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from adapt.feature_based import CORAL, SA
from adapt.instance_based import KLIEP, KMM, TrAdaBoost
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression

chance = np.random.default_rng(0)
y = np.arange(60) % 2
mix = np.array([[1.0, 0.4, 0.0], [0.0, 1.0, 0.3], [0.2, 0.0, 1.0]])
source = (chance.normal(0, 1, (60, 3)) + 1.2 * y[:, None]).round(3)
target = ((chance.normal(0, 1, (60, 3)) + 1.2 * y[:, None]) @ mix + 0.5).round(3)


def listed(values: object) -> object:
    return np.asarray(values, float).round(6).tolist()


coral = CORAL(lambda_=1e-9, random_state=0).fit_transform(source, target)
z, zt = ((rows - rows.mean(0)) / rows.std(0) for rows in (source, target))
subspace = SA(n_components=2)
aligned, asked = subspace.fit_transform(z, zt), subspace.transform(zt, domain="tgt")
gamma = 1 / (2 * float(np.median(cdist(target, target, "sqeuclidean")[cdist(target, target) > 0])))
kliep = KLIEP(
    kernel="rbf", gamma=gamma, max_centers=100, lr=[1e-3, 1e-2, 0.1], max_iter=20000, random_state=0
)
kmm = KMM(kernel="rbf", gamma=gamma, B=10, eps=1e-9, random_state=0)
shared = 12
boosted = TrAdaBoost(
    LogisticRegression(), Xt=target[:shared], yt=y[:shared], n_estimators=20, random_state=0, verbose=0
).fit(source, y)
found = {
    "versions": {name: version(name) for name in ("adapt", "tensorflow-cpu", "scikit-learn", "numpy")},
    "source": listed(source),
    "target": listed(target),
    "y": y.tolist(),
    "coral": listed(coral),
    "subspace": [listed(aligned), listed(asked)],
    "gamma": gamma,
    "kliep": listed(kliep.fit_weights(source, target)),
    "kmm": listed(kmm.fit_weights(source, target)),
    "tradaboost": {
        "known": shared,
        "answers": [int(each) for each in np.ravel(boosted.predict(target))],
    },
}
Path(__file__).with_name("adapt.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
