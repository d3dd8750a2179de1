"""The integration guide's own tests, and its usage example; run in a folder of their own, where the default log lies."""

import os
import tempfile
import unittest

from routewright import Rules
from seed_router import MLEnhancedRouter


class TestRoutingIntegration(unittest.TestCase):
    def setUp(self):
        self.before = os.getcwd()
        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)
        self.router = MLEnhancedRouter()

    def tearDown(self):
        del self.router
        os.chdir(self.before)
        self.folder.cleanup()

    def test_keyword_routing(self):
        """Test keyword layer routing"""
        result = self.router.route_task(
            task_description="Deploy API to production"
        )
        self.assertEqual(result["selected_master"], "cicd-master")
        self.assertEqual(result["routing_method"], "keyword")

    def test_performance_tracking(self):
        """Test that routing is tracked"""
        result = self.router.route_task(
            task_description="Fix bug in authentication"
        )

        # Check event was logged
        events = self.router.perf_tracker.get_recent_events(limit=1)
        self.assertEqual(len(events), 1)
        self.assertEqual(events[0]["task_description"], "Fix bug in authentication")

    def test_outcome_recording(self):
        """Test outcome recording"""
        result = self.router.route_task(
            task_description="Implement dark mode"
        )

        # Record outcome
        self.router.record_task_outcome(
            event_id=self.router.current_event_id,
            task_completed=True,
            was_correct_master=True,
            quality_score=0.95
        )

        # Verify outcome was recorded
        events = self.router.perf_tracker.get_recent_events(limit=1)
        self.assertIsNotNone(events[0]["outcome"])
        self.assertTrue(events[0]["outcome"]["task_completed"])

    def test_usage_example(self):
        """The guide's basic usage; two layers are tried, the log lies where the guide looks for it"""
        result = self.router.route_task(
            task_description="Fix authentication bug in login system",
            task_metadata={
                "task_id": "task-123",
                "priority": "high",
                "source": "user"
            }
        )
        self.assertEqual((result["selected_master"], result["routing_method"]), ("coordinator-master", "clarification"))
        self.router.record_task_outcome(
            event_id=self.router.current_event_id,
            task_completed=True,
            was_correct_master=True,
            completion_time_minutes=45,
            quality_score=0.95
        )
        event = self.router.perf_tracker.get_recent_events(limit=1)[0]
        self.assertEqual([layer["layer_name"] for layer in event["routing_layers"]], ["keyword", "clarification"])
        self.assertEqual((event["task_id"], event["outcome"]["completion_time_minutes"]), ("task-123", 45.0))
        self.assertTrue(os.path.exists("coordination/routing/performance.jsonl"))

    def test_rules_decide_as_the_keyword_layer(self):
        """`Rules` is the guide's keyword layer as data"""
        rules = Rules()
        for text in ["Deploy API", "Audit the build", "Update documentation", "fix it, a bug", "lunch?"]:
            self.assertEqual(rules.route(text), self.router._keyword_match(text))


if __name__ == "__main__":
    unittest.main()
