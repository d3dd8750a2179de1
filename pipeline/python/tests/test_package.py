"""Router, gateway and tracker from Python, on the frozen artifact."""

import json
import math
import os
import struct
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from routewright import Gateway, OutcomeLog, Router, Tracker

ARTIFACT = Path(__file__).parents[3] / "tests/golden/artifact-v1"


class TestRouter(unittest.TestCase):
    def setUp(self):
        self.router = Router(ARTIFACT)

    def test_golden_decisions_are_repeated(self):
        self.assertGreater(self.router.verify(), 0)
        for line in (ARTIFACT / "golden.jsonl").read_text().splitlines():
            golden = json.loads(line)
            extras = {key: next(iter(value.values())) for key, value in golden["extras"].items()}
            decision = self.router.route(
                golden["query"],
                timestamp=golden["timestamp"] / 1e6,
                query_type=golden["query_type"],
                complexity=golden["complexity"],
                static_path=golden["static_path"],
                session_id=golden["session_id"],
                extras=extras,
            )
            self.assertEqual((decision.path, decision.learned_path, decision.fallback), (golden["path"], golden["learned_path"], golden["fallback"]))
            expected = [struct.unpack(">d", bytes.fromhex(bits))[0] for bits in golden["success"]]
            known = {path: value for path, value in zip(self.router.paths, expected) if not math.isnan(value)}
            self.assertEqual(decision.success, known)
            self.assertEqual((decision.propensity, decision.artifact_digest), (1.0, self.router.digest))

    def test_rows_and_predictions_agree_with_decisions(self):
        queries = ["restart the server", "tell me a story"]
        rows = self.router.features(queries, timestamp=1000.0)
        self.assertEqual(len(rows), 2 * 4 * len(self.router.columns))
        success, latency_ms, imitation = self.router.predict(rows)
        self.assertEqual([len(part) for part in (success, latency_ms, imitation)], [2 * 8 * len(self.router.paths)] * 3)
        first = struct.unpack(f"<{len(self.router.paths)}d", success[: 8 * len(self.router.paths)])
        decision = self.router.route_many(queries, timestamp=1000.0)[0]
        self.assertEqual(decision.success, {path: value for path, value in zip(self.router.paths, first) if not math.isnan(value)})

    def test_a_damaged_artifact_is_an_error_that_names_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in ARTIFACT.iterdir():
                (Path(folder) / file.name).write_bytes(file.read_bytes())
            (Path(folder) / "forest.bin").write_bytes(b"nothing")
            with self.assertRaisesRegex(ValueError, "forest.bin"):
                Router(folder)
        with self.assertRaises(OSError):
            Router("/nowhere")

    def test_the_environment_names_the_artifact(self):
        with mock.patch.dict(os.environ, {"MODEL_PATH": str(ARTIFACT)}):
            self.assertEqual(Router().digest, self.router.digest)
        with mock.patch.dict(os.environ, {"MODEL_PATH": ""}), self.assertRaisesRegex(ValueError, "MODEL_PATH"):
            Router()

    def test_a_vector_is_handed_over(self):
        self.assertIsNone(self.router.sentence_source)
        decision = self.router.route("restart the server", timestamp=1000.0, sentence=[0.5, 0.5])
        self.assertEqual(decision.success, self.router.route("restart the server", timestamp=1000.0).success)
        with self.assertRaises(ValueError):
            self.router.route("restart the server", sentence=["x"])

    def test_wrong_extras_are_named(self):
        with self.assertRaisesRegex(ValueError, "context.load"):
            self.router.route("x", extras={"context": {"load": [1, 2]}})


class TestGateway(unittest.TestCase):
    def test_propensities_are_logged_and_sum_to_one(self):
        router, path = Router(ARTIFACT), Router(ARTIFACT).paths[0]
        gateway = Gateway(mode="live", treatment_share=0.5, explore=0.2, salt="test")
        with tempfile.TemporaryDirectory() as folder:
            log = OutcomeLog(folder)
            for row in range(20):
                trace_id = f"trace-{row}"
                shared = gateway.decide(router, "restart the server", unit=f"user-{row}", trace_id=trace_id, static_path=path)
                self.assertAlmostEqual(sum(shared.propensities.values()), 1.0, places=9)
                self.assertEqual(shared.propensity, shared.propensities[shared.path])
                self.assertEqual(shared.group, gateway.group(f"user-{row}"))
                log.record(trace_id, router, shared, "restart the server", static_path=path)
            log.record_outcome("trace-3", {"success": True, "latency_ms": 12.5})
            log.flush()
            [file] = Path(folder).glob("*-routing-outcomes.jsonl")
            lines = [json.loads(line) for line in file.read_text().splitlines()]
        self.assertEqual(len(lines), 21)
        self.assertEqual((lines[-1]["trace_id"], lines[-1]["execution_outcome"]["success"]), ("trace-3", True))

    def test_the_environment_comes_on_top_of_the_settings(self):
        with mock.patch.dict(os.environ, {"AB_TEST_PERCENTAGE": "0.25", "ENABLE_NEURAL": "false"}):
            settings = Gateway(environment=True, treatment_share=0.9, salt="x").settings
        self.assertEqual((settings["treatment_share"], settings["use_learned_model"], settings["mode"], settings["salt"]), (0.25, False, "live", "x"))
        with mock.patch.dict(os.environ, {"AB_TEST_PERCENTAGE": "25"}), self.assertRaisesRegex(ValueError, "AB_TEST_PERCENTAGE"):
            Gateway(environment=True)

    def test_settings_that_cannot_be_meant_are_refused(self):
        with self.assertRaisesRegex(ValueError, "treatment_share"):
            Gateway(treatment_share=10)
        with self.assertRaisesRegex(ValueError, "traffic"):
            Gateway(traffic=0.1)


class TestTracker(unittest.TestCase):
    def test_each_thread_has_a_routing_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            tracker = Tracker(Path(folder) / "performance.jsonl")

            def route(number):
                for row in range(25):
                    tracker.start_routing(f"task {number}-{row}")
                    tracker.mark_layer_start("keyword")
                    tracker.record_layer_attempt("keyword", 0.9, "a", True)
                    tracker.finalize_routing("a", "keyword", 0.9)

            threads = [threading.Thread(target=route, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            events = tracker.get_recent_events(limit=1000)
            self.assertEqual(len({event["task_description"] for event in events}), 200)
            self.assertTrue(all(len(event["routing_layers"]) == 1 for event in events))
            self.assertEqual(tracker.counts()["dropped"], 0)

    def test_misuse_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            tracker = Tracker(Path(folder) / "performance.jsonl")
            with self.assertRaisesRegex(RuntimeError, "start_routing"):
                tracker.mark_layer_start("keyword")
            tracker.start_routing("x")
            with self.assertRaisesRegex(ValueError, "oracle"):
                tracker.record_layer_attempt("oracle", 0.5)
            with self.assertRaisesRegex(KeyError, "route-0"):
                tracker.record_outcome(True, event_id="route-0")


if __name__ == "__main__":
    unittest.main()
