"""Forests side by side: routewright against scikit-learn, LightGBM, XGBoost, ONNX Runtime and shap, on the same numbers.

    python -m venv peers && peers/bin/pip install scikit-learn lightgbm xgboost onnx onnxruntime shap
    cargo build --release -p routewright-forest --example train
    peers/bin/python tests/peers/forest.py fit --rows 1000 10000 100000 --repeats 5
    peers/bin/python tests/peers/forest.py predict --rows 100000
    peers/bin/python tests/peers/forest.py shap

The data is the product's measuring table: make_classification with 40 columns (15 informative, 5 redundant), 4 classes, flip_y 0.05, and
10,000 test rows. Everything runs in a process of its own with two threads; CPU seconds are user + system of that process's fit alone.
Results are compared before times: `predict` and `shap` fail when ours differ from the peer's.
"""
import argparse, json, os, resource, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.environ.get("FOREST_TRAIN", os.path.join(HERE, "../../target/release/examples/train"))
N_TEST, N_COLUMNS, N_CLASSES, THREADS = 10_000, 40, 4, 2


def table(folder, rows):
    """Writes the table once: raw numbers, row after row."""
    import numpy as np
    from sklearn.datasets import make_classification
    place = os.path.join(folder, f"rows{rows}")
    if not os.path.exists(os.path.join(place, "test.u16")):
        os.makedirs(place, exist_ok=True)
        x, y = make_classification(rows + N_TEST, N_COLUMNS, n_informative=15, n_redundant=5, n_classes=N_CLASSES, flip_y=0.05, random_state=7)
        x, y = x.astype("<f4"), y.astype("<u2")
        for name, part in (("train", slice(0, rows)), ("test", slice(rows, None))):
            np.ascontiguousarray(x[part]).tofile(os.path.join(place, name + ".f32"))
            y[part].tofile(os.path.join(place, name + ".u16"))
    return place


def read(place):
    import numpy as np
    x = lambda name: np.fromfile(os.path.join(place, name + ".f32"), "<f4").reshape(-1, N_COLUMNS)
    y = lambda name: np.fromfile(os.path.join(place, name + ".u16"), "<u2").astype(int)
    return x("train"), y("train"), x("test"), y("test")


def model(name, trees, seed):
    """A peer's model with the settings of a plain random forest, and how to ask it for probabilities (or means)."""
    if name == "sklearn":
        from sklearn.ensemble import RandomForestClassifier
        return RandomForestClassifier(trees, n_jobs=THREADS, random_state=seed), "predict_proba"
    if name == "sklearn-regressor":
        from sklearn.ensemble import RandomForestRegressor
        return RandomForestRegressor(trees, n_jobs=THREADS, random_state=seed), "predict"
    if name == "lightgbm-rf":
        import lightgbm
        return lightgbm.LGBMClassifier(boosting_type="rf", n_estimators=trees, num_leaves=4095, min_child_samples=1, min_child_weight=0.0,
            subsample=0.632, subsample_freq=1, feature_fraction_bynode=0.15, n_jobs=THREADS, random_state=seed, verbose=-1), "predict_proba"
    if name == "lightgbm":
        import lightgbm
        return lightgbm.LGBMClassifier(n_estimators=trees, n_jobs=THREADS, random_state=seed, verbose=-1), "predict_proba"
    if name == "xgboost-rf":
        import xgboost
        return xgboost.XGBRFClassifier(n_estimators=trees, max_depth=0, grow_policy="lossguide", max_leaves=4095, min_child_weight=0.0, reg_lambda=1e-6,
            subsample=0.632, colsample_bynode=0.15, tree_method="hist", n_jobs=THREADS, random_state=seed), "predict_proba"
    raise SystemExit(f"no peer `{name}`")


def peer(arguments):
    """One fit of one peer, in this process; prints one line of JSON."""
    import numpy as np
    from sklearn.metrics import log_loss
    x, y, x_test, y_test = read(arguments.place)
    fitted, ask = model(arguments.name, arguments.trees, arguments.seed)
    before = resource.getrusage(resource.RUSAGE_SELF)
    clock = time.perf_counter()
    fitted.fit(x, y)
    seconds = time.perf_counter() - clock
    after = resource.getrusage(resource.RUSAGE_SELF)
    line = {"name": arguments.name, "rows": len(x), "trees": arguments.trees, "fit_seconds": seconds,
        "fit_cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "peak_megabytes": after.ru_maxrss // 1024}
    repeats = max(1, -(-arguments.predict // len(x_test)))
    clock = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(repeats):
        answers = getattr(fitted, ask)(x_test)
    after = resource.getrusage(resource.RUSAGE_SELF)
    line["predict_seconds"] = time.perf_counter() - clock
    line["predict_cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    line["rows_per_second"] = repeats * len(x_test) / line["predict_seconds"]
    if ask == "predict":
        line["rmse"] = float(np.sqrt(np.mean((answers - y_test) ** 2)))
    else:
        line["accuracy"] = float(np.mean(answers.argmax(1) == y_test))
        line["log_loss"] = float(log_loss(y_test, np.clip(answers, 1e-15, 1), labels=range(N_CLASSES)))
    print(json.dumps(line))


def run(command, **more):
    environment = {**os.environ, "RAYON_NUM_THREADS": str(THREADS), **more}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    if found.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {found.stderr}")
    return json.loads(found.stdout.strip().splitlines()[-1])


def ours(place, task, trees, seed, *more):
    return run([OURS, place, f"task={task}", f"trees={trees}", f"seed={seed}", *more])


def theirs(place, name, trees, seed, predict=0):
    # Idle OpenMP threads that spin take the processor away from whoever works on a busy machine.
    return run([sys.executable, __file__, "peer", "--place", place, "--name", name, "--trees", str(trees), "--seed", str(seed),
        "--predict", str(predict)], OMP_WAIT_POLICY="passive")


def summary(lines):
    """The median of every number of some runs, their mean for scores."""
    out = dict(lines[0])
    for key, value in lines[0].items():
        if isinstance(value, float):
            pick = statistics.mean if key in ("accuracy", "log_loss", "rmse") else statistics.median
            out[key] = pick(line[key] for line in lines)
    return out


def show(lines):
    for line in lines:
        score = "  ".join(f"{key} {line[key]:.4f}" for key in ("accuracy", "log_loss", "rmse") if key in line)
        print(f"{line['rows']:>8} rows  {line['name']:<24} {line['trees']:>4} trees  fit {line['fit_cpu']:8.3f} CPU s  {line['fit_seconds']:8.3f} s"
              f"  peak {line['peak_megabytes']:>6} MB  {score}", flush=True)


def fit(arguments):
    pairs = {"sklearn": "classifier", "sklearn-regressor": "regressor", "lightgbm-rf": "classifier", "lightgbm": "boosting", "xgboost-rf": "classifier"}
    for rows in arguments.rows:
        place = table(arguments.data, rows)
        done = {}
        for name in arguments.peers:
            task = pairs[name]
            if task not in done:
                done[task] = summary([ours(place, task, arguments.trees, seed) for seed in range(arguments.repeats)])
                show([done[task]])
            found = summary([theirs(place, name, arguments.peer_trees or arguments.trees, seed) for seed in range(arguments.repeats)])
            show([found])
            mine, score = done[task], "rmse" if task == "regressor" else "log_loss"
            scale = found["trees"] / mine["trees"]
            print(f"          CPU 1/{found['fit_cpu'] / mine['fit_cpu'] / scale:.1f}, peak {mine['peak_megabytes'] / found['peak_megabytes']:.2f} of it,"
                  f" {score} {100 * (mine[score] / found[score] - 1):+.2f} %", flush=True)


def predict(arguments):
    """A million predictions: ours, scikit-learn's, LightGBM's, and ONNX Runtime's on our exported model, which must agree with ours."""
    import numpy as np, onnx, onnxruntime
    rows = arguments.rows[0]
    place = table(arguments.data, rows)
    files = [os.path.join(place, name) for name in ("model.onnx", "answers.f64")]
    for task, output in (("classifier", "probabilities"),):
        mine = ours(place, task, arguments.trees, 1, f"onnx={files[0]}", f"answers={files[1]}", "predict=1000000")
        onnx.checker.check_model(onnx.load(files[0]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])
        x_test = read(place)[2]
        answers = np.fromfile(files[1], "<f8").reshape(len(x_test), -1)
        found = session.run([output], {"features": x_test})[0]
        difference = float(np.abs(found - answers).max())
        print(f"{task}: largest difference of ONNX Runtime's answers {difference:.2e}")
        if difference > 1e-6:
            raise SystemExit("the exported model answers otherwise")
        clock, cpu = time.perf_counter(), time.process_time()
        for _ in range(100):
            session.run([output], {"features": x_test})
        seconds = time.perf_counter() - clock
        print(f"{mine['name']:<24} {mine['rows_per_second']:>12.0f} rows/s  {mine['predict_cpu']:.2f} CPU s per million")
        print(f"{'onnxruntime':<24} {100 * len(x_test) / seconds:>12.0f} rows/s  {time.process_time() - cpu:.2f} CPU s per million")
    for name in ("sklearn", "lightgbm-rf", "lightgbm"):
        found = theirs(place, name, arguments.trees, 1, 1_000_000)
        print(f"{name:<24} {found['rows_per_second']:>12.0f} rows/s  {found['predict_cpu']:.2f} CPU s per million")


def shap_values(arguments):
    """TreeSHAP of 100 rows against the shap package on the same trees."""
    import numpy as np, shap
    place = table(arguments.data, arguments.rows[0])
    file = os.path.join(place, "shap.json")
    for task in ("classifier", "regressor"):
        ours(place, task, 20, 1, "leaf=5", f"shap={file}")
        dump = json.load(open(file))
        trees = []
        for nodes in dump["trees"]:
            pick = lambda key, default: np.array([node.get(key, default) for node in nodes])
            children = np.array([node.get("children", [-1, -1]) for node in nodes])
            default = np.array([node["children"][node["missing"]] if "children" in node else -1 for node in nodes])
            values = np.array([node.get("values", [0.0] * dump["outputs"]) for node in nodes], dtype=np.float64)
            trees.append({"children_left": children[:, 0], "children_right": children[:, 1], "children_default": default,
                "features": pick("feature", -2), "thresholds": pick("threshold", -2.0).astype(np.float64), "values": values / len(dump["trees"]),
                "node_sample_weight": pick("cover", 0.0).astype(np.float64)})
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
    parser.add_argument("action", choices=["fit", "predict", "shap", "peer"])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000])
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--peer-trees", type=int, default=0, help="trees of the peers where theirs would take too long; ratios are scaled to ours")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--peers", nargs="+", default=["sklearn", "sklearn-regressor", "lightgbm-rf", "xgboost-rf", "lightgbm"])
    parser.add_argument("--data", default="/tmp/routewright-peers")
    parser.add_argument("--place")
    parser.add_argument("--name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--predict", type=int, default=0)
    arguments = parser.parse_args()
    {"fit": fit, "predict": predict, "shap": shap_values, "peer": peer}[arguments.action](arguments)


if __name__ == "__main__":
    main()
