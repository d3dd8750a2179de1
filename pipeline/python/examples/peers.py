"""Times other runtimes on one of the artifact's own forests, one row at a time and 10,000 at once: python peers.py ARTIFACT LOG PATH.

LOG: a log of routing outcomes (JSON lines), whose queries are asked. PATH: the path whose success forest is timed; `routewright bench
decisions` times the same forest natively. Needs numpy, onnx, onnxruntime, scikit-learn, treelite and tl2cgen (which needs a C compiler).
Every runtime runs the very same trees, and is compared with the native predictions before it is timed. One thread each; rates are per
second of CPU time, percentiles by the clock on the wall.
"""

import json
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
import tl2cgen
import treelite
from onnx import helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree._tree import Tree

import routewright

BATCH = 10_000


def single(name: str, act, rows: numpy.ndarray, n: int = 2000) -> None:
    parts = [rows[position % len(rows)][None, :] for position in range(n)]
    for part in parts[: n // 10]:
        act(part)
    times, cpu = [], time.process_time()
    for part in parts:
        start = time.perf_counter()
        act(part)
        times.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    p50, p99, p999 = numpy.percentile(numpy.array(times) * 1e6, [50, 99, 99.9])
    print(f"{name:42} batch 1: {n / cpu:12,.0f} rows per CPU s   p50 {p50:9.2f}  p99 {p99:9.2f}  p99.9 {p999:9.2f} µs", flush=True)


def batch(name: str, act, rows: numpy.ndarray) -> None:
    act(rows)
    best = numpy.inf
    for _ in range(5):
        cpu = time.process_time()
        act(rows)
        best = min(best, time.process_time() - cpu)
    print(f"{name:42} batch {len(rows)}: {len(rows) / best:10,.0f} rows per CPU s", flush=True)


def compare(name: str, found: numpy.ndarray, expected: numpy.ndarray) -> None:
    difference = float(numpy.nanmax(numpy.abs(found - expected)))
    print(f"{name}: largest difference from the native predictions {difference:.1e} on {len(expected)} rows")
    assert difference < 1e-6, name


def attributes(model: onnx.ModelProto) -> dict:
    [node] = [node for node in model.graph.node if node.op_type == "TreeEnsemble" and node.input[0] == "doubles"]
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def trees_of(model: onnx.ModelProto, target: int) -> list[dict]:
    """The trees of one path: nested dictionaries, leaves as numbers."""
    part = attributes(model)
    splits, weights = numpy_helper.to_array(part["nodes_splits"]), numpy_helper.to_array(part["leaf_weights"])

    def grow(node: int, is_leaf: int):
        if is_leaf:
            return float(weights[node]), part["leaf_targetids"][node]
        left, goal = grow(part["nodes_truenodeids"][node], part["nodes_trueleafs"][node])
        right, _ = grow(part["nodes_falsenodeids"][node], part["nodes_falseleafs"][node])
        known = bool(part["nodes_missing_value_tracks_true"][node])
        return {"feature": part["nodes_featureids"][node], "split": float(splits[node]), "missing": known, "left": left, "right": right}, goal

    grown = [grow(root, 0) for root in part["tree_roots"]]
    return [tree for tree, goal in grown if goal == target]


def to_treelite(trees: list[dict], n_features: int) -> treelite.Model:
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

    builder = ModelBuilder(
        threshold_type="float32",
        leaf_output_type="float32",
        metadata=Metadata(
            num_feature=n_features, task_type="kRegressor", average_tree_output=False, num_target=1, num_class=[1], leaf_vector_shape=(1, 1)
        ),
        tree_annotation=TreeAnnotation(num_tree=len(trees), target_id=[0] * len(trees), class_id=[0] * len(trees)),
        postprocessor=PostProcessorFunc(name="identity"),
        base_scores=[0.0],
    )
    for tree in trees:
        builder.start_tree()
        queue, count = [(tree, 0)], 1
        while queue:
            node, key = queue.pop(0)
            builder.start_node(key)
            if isinstance(node, dict):
                builder.numerical_test(
                    feature_id=node["feature"], threshold=node["split"], default_left=node["missing"], opname="<=", left_child_key=count, right_child_key=count + 1
                )
                queue += [(node["left"], count), (node["right"], count + 1)]
                count += 2
            else:
                builder.leaf(node)
            builder.end_node()
        builder.end_tree()
    return builder.commit()


def to_sklearn(trees: list[dict], n_features: int) -> RandomForestClassifier:
    """The trees inside a classifier of scikit-learn, which cannot be built but from its own fitted trees."""
    forest = RandomForestClassifier(len(trees), max_depth=1, n_jobs=1, random_state=1)
    forest.fit(numpy.random.default_rng(1).normal(size=(64, n_features)).astype("f4"), numpy.arange(64) % 2)
    dtype = forest.estimators_[0].tree_.__getstate__()["nodes"].dtype
    for estimator, tree in zip(forest.estimators_, trees):
        flat, depths = [tree], [0]
        for node, depth in zip(flat, depths):
            if isinstance(node, dict):
                node["at"] = len(flat)
                flat += [node["left"], node["right"]]
                depths += [depth + 1, depth + 1]
        nodes, values = numpy.zeros(len(flat), dtype), numpy.zeros((len(flat), 1, 2))
        for position, node in enumerate(flat):
            if isinstance(node, dict):
                nodes[position]["left_child"], nodes[position]["right_child"] = node["at"], node["at"] + 1
                nodes[position]["feature"], nodes[position]["threshold"] = node["feature"], node["split"]
                nodes[position]["missing_go_to_left"] = node["missing"]
            else:
                nodes[position]["left_child"] = nodes[position]["right_child"] = -1
                nodes[position]["feature"], nodes[position]["threshold"] = -2, -2.0
                values[position, 0] = [1.0 - node, node]
        grown = Tree(n_features, numpy.array([2]), 1)
        grown.__setstate__({"max_depth": max(depths), "node_count": len(flat), "nodes": nodes, "values": values})
        estimator.tree_ = grown
    return forest


def one_forest(model: onnx.ModelProto, target: int) -> bytes:
    """A model of one path's trees alone, whose weights sum to the mean."""
    part = attributes(model)
    goals = part["leaf_targetids"]

    def goal(node: int, is_leaf: int) -> int:
        return goals[node] if is_leaf else goal(part["nodes_truenodeids"][node], part["nodes_trueleafs"][node])

    roots = [root for root in part["tree_roots"] if goal(root, 0) == target]
    kept = {name: value for name, value in part.items() if name not in ("tree_roots", "n_targets", "leaf_targetids")}
    node = helper.make_node(
        "TreeEnsemble", ["doubles"], ["sums"], domain="ai.onnx.ml", tree_roots=roots, n_targets=1, leaf_targetids=[0] * len(goals), **kept
    )
    cast = helper.make_node("Cast", ["features"], ["doubles"], to=onnx.TensorProto.DOUBLE)
    columns = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    graph = helper.make_graph(
        [cast, node],
        "one forest",
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["rows", columns])],
        [helper.make_tensor_value_info("sums", onnx.TensorProto.DOUBLE, ["rows", 1])],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version).SerializeToString()


def main() -> None:
    router = routewright.Router(sys.argv[1])
    queries = [json.loads(line)["query"] for line in open(sys.argv[2], encoding="utf-8") if line.strip()][:BATCH]
    rows = numpy.frombuffer(router.features(queries, static_path=sys.argv[3]), "<f4").reshape(-1, len(router.columns))
    rows = numpy.ascontiguousarray(numpy.resize(rows, (BATCH, rows.shape[1])))
    target = router.paths.index(sys.argv[3])
    success = router.onnx_files()["success.onnx"]
    model = onnx.load_from_string(success)
    trees = trees_of(model, target)
    # The regressor's own output: the model's success is calibrated after it.
    expected = numpy.array([sum_of(trees, row) for row in rows[:200]])
    calibrated = numpy.frombuffer(router.predict(rows.tobytes())[0], "<f8").reshape(BATCH, -1)

    batch("native, Python, success and latency of all", lambda part: router.predict(part.tobytes()), rows)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    open_session = lambda content: onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    session = open_session(success)
    everything = lambda part: session.run(["probabilities"], {"features": part})[0]
    compare(f"ONNX Runtime {onnxruntime.__version__}, success of all paths", everything(rows), calibrated)
    single("ONNX Runtime, Python, success of all paths", everything, rows)
    batch("ONNX Runtime, Python, success of all paths", everything, rows)
    alone = open_session(one_forest(model, target))
    sums = lambda part: alone.run(None, {"features": part})[0]
    compare("ONNX Runtime, success of one path", sums(rows)[:200, 0], expected)
    single("ONNX Runtime, Python, success of one path", sums, rows)
    batch("ONNX Runtime, Python, success of one path", sums, rows)

    compiled = to_treelite(trees, rows.shape[1])
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/forest.so"
        start = time.perf_counter()
        tl2cgen.export_lib(compiled, toolchain="gcc", libpath=library, params={"parallel_comp": 1}, verbose=False)
        print(f"tl2cgen {tl2cgen.__version__}: {len(trees)} trees compiled in {time.perf_counter() - start:.0f} s")
        predictor = tl2cgen.Predictor(library, nthread=1, verbose=False)
        predict = lambda part: predictor.predict(tl2cgen.DMatrix(part, dtype="float32"))
        compare("tl2cgen", predict(rows).reshape(-1)[:200], expected)
        single("tl2cgen, Python, success of one path", predict, rows)
        batch("tl2cgen, Python, success of one path", predict, rows)
    gtil = lambda part: treelite.gtil.predict(compiled, part, nthread=1)
    compare(f"treelite {treelite.__version__}, its own interpreter", gtil(rows).reshape(-1)[:200], expected)
    batch("treelite, Python, success of one path", gtil, rows)

    # Leaves hold their share of the mean; scikit-learn takes the mean itself.
    forest = to_sklearn([scaled(tree, len(trees)) for tree in trees], rows.shape[1])
    predict_proba = lambda part: forest.predict_proba(part)[:, 1]
    compare("scikit-learn", predict_proba(rows)[:200], expected)
    single("scikit-learn predict_proba, success of one path", predict_proba, rows, 200)
    batch("scikit-learn predict_proba, success of one path", predict_proba, rows)


def sum_of(trees: list[dict], row: numpy.ndarray) -> float:
    total = 0.0
    for node in trees:
        while isinstance(node, dict):
            value = row[node["feature"]]
            node = node["left"] if (node["missing"] if numpy.isnan(value) else value <= node["split"]) else node["right"]
        total += node
    return total


def scaled(node, factor: int):
    if not isinstance(node, dict):
        return node * factor
    return {**node, "left": scaled(node["left"], factor), "right": scaled(node["right"], factor)}


if __name__ == "__main__":
    main()
