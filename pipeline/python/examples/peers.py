"""Times other runtimes on the artifact's own forests, one row at a time and 10,000 at once: python peers.py ARTIFACT ROWS PATH.

ROWS: a file of feature rows as `Router.features` writes them. PATH: the path whose success forest is timed. Needs numpy, onnx,
onnxruntime, scikit-learn, treelite and tl2cgen (which needs a C compiler). ONNX Runtime and the compiled trees run the very same forest and
are compared with the native predictions first; scikit-learn cannot load it and runs a forest of its own of the same number of trees, grown
on the same rows to about as many nodes. One thread each.
"""

import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
import tl2cgen
import treelite
from onnx import helper, numpy_helper
from sklearn.ensemble import RandomForestRegressor

import routewright

BATCH = 10_000


def single(name: str, act, rows: numpy.ndarray, n: int = 2000) -> None:
    for position in range(n // 10):
        act(rows[position : position + 1])
    times = []
    for position in range(n):
        row = rows[position % len(rows)][None, :]
        start = time.perf_counter()
        act(row)
        times.append(time.perf_counter() - start)
    times = numpy.array(times) * 1e6
    p50, p99, p999 = numpy.percentile(times, [50, 99, 99.9])
    print(f"{name:44} batch 1: {1e6 / times.mean():12,.0f} rows/s   p50 {p50:9.2f}  p99 {p99:9.2f}  p99.9 {p999:9.2f} µs")


def batch(name: str, act, rows: numpy.ndarray) -> None:
    act(rows)
    start, cpu = time.perf_counter(), time.process_time()
    act(rows)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{name:44} batch {len(rows)}: {len(rows) / wall:10,.0f} rows/s   {cpu:.3f} CPU s")


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


def main() -> None:
    router = routewright.Router(sys.argv[1])
    rows = numpy.frombuffer(open(sys.argv[2], "rb").read(), "<f4").reshape(-1, len(router.columns))
    rows = numpy.ascontiguousarray(numpy.resize(rows, (BATCH, rows.shape[1])))
    target = router.paths.index(sys.argv[3])
    model = onnx.load_from_string(router.onnx_files()["success.onnx"])
    trees = trees_of(model, target)
    expected = numpy.frombuffer(router.predict(rows.tobytes())[0], "<f8").reshape(BATCH, -1)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(router.onnx_files()["success.onnx"], options, providers=["CPUExecutionProvider"])
    everything = lambda part: session.run(None, {"features": part})[0]
    print(f"ONNX Runtime {onnxruntime.__version__}: largest difference {numpy.nanmax(numpy.abs(everything(rows) - expected)):.1e}")
    single("ONNX Runtime, Python, success of all paths", everything, rows)
    batch("ONNX Runtime, Python, success of all paths", everything, rows)

    compiled = to_treelite(trees, rows.shape[1])
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/forest.so"
        start = time.perf_counter()
        tl2cgen.export_lib(compiled, toolchain="gcc", libpath=library, params={"parallel_comp": 1}, verbose=False)
        print(f"tl2cgen {tl2cgen.__version__}: {len(trees)} trees compiled in {time.perf_counter() - start:.0f} s")
        predictor = tl2cgen.Predictor(library, nthread=1, verbose=False)
        predict = lambda part: predictor.predict(tl2cgen.DMatrix(part, dtype="float32"))
        single("tl2cgen, Python, success of one path", predict, rows)
        batch("tl2cgen, Python, success of one path", predict, rows)

    def size(node) -> int:
        return 1 + size(node["left"]) + size(node["right"]) if isinstance(node, dict) else 1

    n_nodes = sum(size(tree) for tree in trees)
    filled = numpy.nan_to_num(rows)
    labels = (expected[:, target] > numpy.random.default_rng(1).random(BATCH)).astype(float)
    forest = RandomForestRegressor(len(trees), max_leaf_nodes=max(2, n_nodes // len(trees) // 2), max_features="sqrt", n_jobs=1, random_state=1)
    forest.fit(filled, labels)
    print(f"scikit-learn: {sum(tree.tree_.node_count for tree in forest.estimators_)} nodes, the artifact's forest has {n_nodes}")
    single("scikit-learn, success of one path", forest.predict, filled, 200)
    batch("scikit-learn, success of one path", forest.predict, filled)


if __name__ == "__main__":
    main()
