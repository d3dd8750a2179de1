"""Decides with the ONNX models instead of the native forests, and compares: python onnx_router.py ARTIFACT [QUERIES|LOG [OUT]].

Needs onnxruntime and numpy. The feature rows come from the package; `features.json` of the artifact names and explains the columns.
With OUT, rows and native predictions are written there for other runtimes (see onnx_router.mjs). LOG, in place of QUERIES, is a log of
routing outcomes (JSON lines) whose queries are asked.
"""

import json
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
    artifact, asked = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "10000"
    router = routewright.Router(artifact)
    if asked.isdigit():
        texts = queries(int(asked))
    else:
        texts = [json.loads(line)["query"] for line in open(asked, encoding="utf-8") if line.strip()]
    count = len(texts)
    request = {"timestamp": 2e9, "static_path": router.paths[0]}
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
            compare_decisions(router, json.loads((Path(artifact) / "manifest.json").read_text()), texts, request, found)


def compare_decisions(router: routewright.Router, manifest: dict, texts: list[str], request: dict, success: numpy.ndarray) -> None:
    """Chooses by the rules of the manifest on ONNX probabilities, and compares with the router's own choices."""
    rules = manifest["thresholds"]
    if rules["rank"] != "probability" or rules["lambda_latency"] or rules["lambda_cost"] or rules["success_tolerance"]:
        print("decisions: not compared, the artifact weighs more than success")
        return
    decided = router.route_many(texts, **request)
    few = numpy.array([manifest["support"].get(path, 0) < rules["min_support"] for path in router.paths])
    static = router.paths.index(request["static_path"])
    same = 0
    for row, decision in zip(success, decided):
        path = choose(row, few, static, rules)
        same += decision.path == router.paths[path]
    print(f"decisions: {same} of {len(decided)} are the router's own, {sum(d.path != request['static_path'] for d in decided)} not the static path")
    assert same == len(decided)


def choose(success: numpy.ndarray, few: numpy.ndarray, static: int, rules: dict) -> int:
    """The path to take: the likeliest to succeed, unless too little speaks against the static one. `few`: paths with too few rows."""
    candidates = numpy.where(few | numpy.isnan(success), -1.0, success)
    learned = int(candidates.argmax())
    if candidates[learned] < 0.0:
        return static
    fixed = success[static]
    confidence = 1.0 - (1.0 - success[learned]) * (1.0 if numpy.isnan(fixed) else fixed)
    is_small = not numpy.isnan(fixed) and success[learned] - fixed < rules["min_gain"]
    return static if is_small or confidence < rules["min_confidence"] else learned


if __name__ == "__main__":
    main()
