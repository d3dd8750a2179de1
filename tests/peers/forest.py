"""Other people's forests on the tables of `routewright bench train`: scikit-learn, LightGBM, XGBoost, ONNX Runtime, shap.

    python -m venv peers && peers/bin/pip install scikit-learn lightgbm xgboost onnx onnxruntime shap
    routewright bench train --peer-python peers/bin/python
    peers/bin/python tests/peers/forest.py shap --ours target/release/routewright

`bench train` runs the other actions, each in a process of its own, and reads the line of JSON that they print. CPU seconds are user + system
of the fit (or the predictions) alone. The table is scikit-learn's: make_classification with 40 columns (15 informative, 5 redundant),
4 classes, flip_y 0.05, and 10,000 test rows.
"""
import argparse, json, os, resource, subprocess, tempfile, time

N_TEST, N_COLUMNS, N_CLASSES = 10_000, 40, 4

# Leaves of a tree at most: a table of so many rows and more would take the boosters' memory past this machine's.
MOST_LEAVES = 4095


def table(arguments):
    """Writes a table: raw numbers, row after row."""
    import numpy as np
    from sklearn.datasets import make_classification
    rows = arguments.rows
    x, y = make_classification(rows + N_TEST, N_COLUMNS, n_informative=15, n_redundant=5, n_classes=N_CLASSES, flip_y=0.05, random_state=7)
    x, y = x.astype("<f4"), y.astype("<u2")
    for name, part in (("train", slice(0, rows)), ("test", slice(rows, None))):
        np.ascontiguousarray(x[part]).tofile(os.path.join(arguments.place, name + ".f32"))
        y[part].tofile(os.path.join(arguments.place, name + ".u16"))
    print(rows)


def read(place):
    import numpy as np
    x = lambda name: np.fromfile(os.path.join(place, name + ".f32"), "<f4").reshape(-1, N_COLUMNS)
    y = lambda name: np.fromfile(os.path.join(place, name + ".u16"), "<u2").astype(int)
    return x("train"), y("train"), x("test"), y("test")


def model(name, trees, seed, threads, rows):
    """A peer's model with the settings of a plain random forest, and how to ask it for probabilities (or means)."""
    common, leaves = {"n_jobs": threads, "random_state": seed}, min(MOST_LEAVES, rows)
    if name == "sklearn":
        from sklearn.ensemble import RandomForestClassifier
        return RandomForestClassifier(trees, **common), "predict_proba"
    if name == "sklearn-regressor":
        from sklearn.ensemble import RandomForestRegressor
        return RandomForestRegressor(trees, **common), "predict"
    if name == "lightgbm-rf":
        import lightgbm
        return lightgbm.LGBMClassifier(boosting_type="rf", n_estimators=trees, num_leaves=leaves, min_child_samples=1, min_child_weight=0.0,
            subsample=0.632, subsample_freq=1, feature_fraction_bynode=0.15, verbose=-1, **common), "predict_proba"
    if name == "lightgbm":
        import lightgbm
        return lightgbm.LGBMClassifier(n_estimators=trees, verbose=-1, **common), "predict_proba"
    if name == "xgboost-rf":
        import xgboost
        return xgboost.XGBRFClassifier(n_estimators=trees, max_depth=0, grow_policy="lossguide", max_leaves=leaves, min_child_weight=0.0,
            reg_lambda=1e-6, subsample=0.632, colsample_bynode=0.15, tree_method="hist", **common), "predict_proba"
    raise SystemExit(f"no peer `{name}`")


class Clock:
    """Wall and CPU seconds since it was made."""
    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), self._cpu()

    @staticmethod
    def _cpu():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def read(self):
        return time.perf_counter() - self.wall, self._cpu() - self.cpu


def peer(arguments):
    """One fit of one peer."""
    import numpy as np
    from sklearn.metrics import log_loss
    x, y, x_test, y_test = read(arguments.place)
    fitted, ask = model(arguments.name, arguments.trees, arguments.seed, arguments.threads, len(x))
    clock = Clock()
    fitted.fit(x, y)
    fit_seconds, fit_cpu = clock.read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    repeats = max(1, -(-arguments.predict // len(x_test)))
    clock = Clock()
    for _ in range(repeats):
        answers = getattr(fitted, ask)(x_test)
    predict_seconds, predict_cpu = clock.read()
    line = {"name": arguments.name, "rows": len(x), "trees": arguments.trees, "fit_seconds": fit_seconds, "fit_cpu": fit_cpu,
        "peak_megabytes": peak, "predicted_rows": repeats * len(x_test), "predict_seconds": predict_seconds, "predict_cpu": predict_cpu}
    if ask == "predict":
        line["rmse"] = float(np.sqrt(np.mean((answers - y_test) ** 2)))
    else:
        line["accuracy"] = float(np.mean(answers.argmax(1) == y_test))
        line["log_loss"] = float(log_loss(y_test, np.clip(answers, 1e-15, 1), labels=range(N_CLASSES)))
    print(json.dumps(line))


def onnx(arguments):
    """ONNX Runtime on our exported model: how far its answers are from ours, and how fast they come."""
    import numpy as np, onnx, onnxruntime
    onnx.checker.check_model(onnx.load(arguments.model))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    x_test = read(arguments.place)[2]
    answers = np.fromfile(arguments.answers, "<f8").reshape(len(x_test), -1)
    ask = lambda: session.run(["probabilities"], {"features": x_test})[0]
    difference = float(np.abs(ask() - answers).max())
    repeats = max(1, -(-arguments.predict // len(x_test)))
    clock = Clock()
    for _ in range(repeats):
        ask()
    wall, cpu = clock.read()
    print(json.dumps({"difference": difference, "name": f"onnxruntime {onnxruntime.__version__}", "rows": repeats * len(x_test),
        "wall_seconds": wall, "cpu_seconds": cpu}))


def shap_values(arguments):
    """TreeSHAP of 100 rows against the shap package on the same trees."""
    import numpy as np, shap
    with tempfile.TemporaryDirectory() as place:
        arguments.place, file = place, os.path.join(place, "contributions.json")
        table(arguments)
        for task in ("classifier", "regressor"):
            subprocess.run([arguments.ours, "--quiet", "bench", "train", "--table", place, "--task", task, "--trees", "20", "--leaf", "5",
                "--predict", "0", "--contributions", file], check=True, stdout=subprocess.DEVNULL)
            dump = json.load(open(file))
            trees = []
            for nodes in dump["trees"]:
                pick = lambda key, default: np.array([node.get(key, default) for node in nodes])
                children = np.array([node.get("children", [-1, -1]) for node in nodes])
                default = np.array([node["children"][node["missing"]] if "children" in node else -1 for node in nodes])
                values = np.array([node.get("values", [0.0] * dump["outputs"]) for node in nodes], dtype=np.float64)
                trees.append({"children_left": children[:, 0], "children_right": children[:, 1], "children_default": default,
                    "features": pick("feature", -2), "thresholds": pick("threshold", -2.0).astype(np.float64),
                    "values": values / len(dump["trees"]), "node_sample_weight": pick("cover", 0.0).astype(np.float64)})
            rows = np.array([row["row"] for row in dump["rows"]], dtype=np.float64)
            explainer = shap.TreeExplainer({"trees": trees, "num_outputs": dump["outputs"]}, feature_perturbation="tree_path_dependent")
            found = np.asarray(explainer.shap_values(rows, check_additivity=False)).reshape(len(rows), N_COLUMNS, dump["outputs"])
            expected = np.array([row["contributions"] for row in dump["rows"]]).reshape(len(rows), N_COLUMNS, dump["outputs"])
            difference = float(np.abs(found - expected).max())
            print(f"{task}: largest difference of {found.size} contributions to shap {shap.__version__}: {difference:.2e}")
            if difference > 1e-9:
                raise SystemExit("contributions differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["table", "peer", "onnx", "shap"])
    parser.add_argument("--place", help="folder of the table")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--name", help="the peer")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--predict", type=int, default=0, help="predictions at least")
    parser.add_argument("--model", help="our ONNX file")
    parser.add_argument("--answers", help="our predictions")
    parser.add_argument("--ours", default="routewright", help="our program")
    arguments = parser.parse_args()
    {"table": table, "peer": peer, "onnx": onnx, "shap": shap_values}[arguments.action](arguments)


if __name__ == "__main__":
    main()
