"""Decides with the ONNX models instead of the native forests, and compares: python onnx_router.py ARTIFACT [QUERIES [OUT]].

Needs onnxruntime and numpy. The feature rows come from the package; `features.json` of the artifact names and explains the columns.
With OUT, rows and native predictions are written there for other runtimes (see onnx_router.mjs).
"""

import sys
from pathlib import Path

import numpy
import onnxruntime

import routewright

TOLERANCE = 1e-6


def queries(count: int) -> list[str]:
    things = ["server", "database", "login page", "monthly report", "story", "python function", "weather in Oslo", "backup", "proof"]
    verbs = ["restart", "explain", "write", "check", "compare", "plan", "fix", "show", "why does it break:"]
    return [f"{verbs[row % 9]} the {things[row // 9 % 9]} number {row % 97}{'?' * (row % 2)} {'please ' * (row % 4)}" for row in range(count)]


def main() -> None:
    artifact, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    router = routewright.Router(artifact)
    static_path = router.paths[0]
    texts = queries(count)
    request = {"timestamp": 2e9, "static_path": static_path}
    rows = router.features(texts, **request)
    features = numpy.frombuffer(rows, "<f4").reshape(count, len(router.columns))
    native = [numpy.frombuffer(part, "<f8").reshape(count, len(router.paths)) for part in router.predict(rows)]
    files = router.onnx_files()
    if len(sys.argv) > 3:
        out = Path(sys.argv[3])
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
        (out / "features.bin").write_bytes(rows)
        for name, part in zip(["success", "latency", "classifier"], native):
            (out / f"{name}.bin").write_bytes(part.astype("<f8").tobytes())
    for name, expected, output in zip(["success", "latency", "classifier"], native, ["probabilities", "latency_ms", "probabilities"]):
        if f"{name}.onnx" not in files:
            print(f"{name}: the artifact has no such model")
            continue
        session = onnxruntime.InferenceSession(files[f"{name}.onnx"], providers=["CPUExecutionProvider"])
        [found] = session.run([output], {"features": features})
        assert (numpy.isnan(found) == numpy.isnan(expected)).all(), f"{name}: other paths have a model"
        scale = numpy.maximum(1.0, numpy.abs(expected))
        difference = float(numpy.nanmax(numpy.abs(found - expected) / scale))
        print(f"{name}: {count} rows x {expected.shape[1]} paths, largest difference {difference:.2e}")
        assert difference <= TOLERANCE, f"{name} differs by {difference}"
        if name == "success":
            choose(router, texts, request, found)


def choose(router: routewright.Router, texts: list[str], request: dict, success: numpy.ndarray) -> None:
    """The same decisions: the path of highest success where the router has no weight on latency and cost."""
    decided = router.route_many(texts, **request)
    chosen = [router.paths[int(numpy.nanargmax(row))] for row in success]
    supported = [decision for decision in decided if decision.learned_path is not None]
    same = sum(decision.learned_path == path for decision, path in zip(decided, chosen))
    print(f"decisions: {same} of {len(supported)} learned paths are the path of highest ONNX probability")
    assert same == len(supported)


if __name__ == "__main__":
    main()
