"""The integration guide's router as written there (steps 1 to 6), with the import changed; what it leaves out is filled in as `existing`."""

import random
import sys
from pathlib import Path
from typing import Dict, Optional

from routewright import RoutingPerformanceTracker


class MLEnhancedRouter:
    def __init__(
        self,
        model_path: Optional[Path] = None,
        vectorstore_path: Optional[Path] = None,
        enable_neural: bool = True,
        enable_rag: bool = True,
        ab_test_percentage: float = 0.0
    ):
        # existing initialization
        self.enable_neural = enable_neural
        self.enable_rag = enable_rag
        self.ab_test_percentage = ab_test_percentage
        self.retriever = None
        self.neural_router = None

        # Add performance tracker
        self.perf_tracker = RoutingPerformanceTracker()
        self.current_event_id = None

        print("Performance tracker initialized", file=sys.stderr)

    def _should_use_ml(self) -> bool:
        # existing
        return random.random() < self.ab_test_percentage

    def route_task(
        self,
        task_description: str,
        task_metadata: Optional[Dict] = None,
        use_ml: Optional[bool] = None
    ) -> Dict:
        # Start performance tracking
        self.current_event_id = self.perf_tracker.start_routing(
            task_description=task_description,
            task_id=task_metadata.get("task_id") if task_metadata else None,
            task_metadata=task_metadata
        )

        # Determine if ML should be used
        should_use_ml = use_ml if use_ml is not None else self._should_use_ml()

        # Route through cascade
        if should_use_ml and self.enable_neural:
            result = self._ml_route_with_tracking(task_description, task_metadata)
        else:
            result = self._rule_based_route_with_tracking(task_description, task_metadata)

        # Finalize tracking
        self.perf_tracker.finalize_routing(
            selected_master=result["selected_master"],
            routing_layer=result["routing_method"],
            confidence=result["confidence"],
            all_probabilities=result.get("all_probabilities", {})
        )

        return result

    def _ml_route_with_tracking(self, task_description, task_metadata):
        # existing
        return self._rule_based_route_with_tracking(task_description, task_metadata)

    def _rule_based_route_with_tracking(
        self,
        task_description: str,
        task_metadata: Optional[Dict]
    ) -> Dict:
        # Layer 1: Keyword matching
        self.perf_tracker.mark_layer_start("keyword")
        keyword_result = self._keyword_match(task_description)

        self.perf_tracker.record_layer_attempt(
            layer_name="keyword",
            confidence=keyword_result["confidence"],
            selected_master=keyword_result["selected_master"],
            success=keyword_result["confidence"] >= 0.85,
            metadata={
                "rule_used": keyword_result["rule_used"],
                "matched_keywords": keyword_result.get("matched_keywords", [])
            }
        )

        # Check if keyword layer succeeded
        if keyword_result["confidence"] >= 0.85:
            return {
                "selected_master": keyword_result["selected_master"],
                "routing_method": "keyword",
                "confidence": keyword_result["confidence"],
                "task_description": task_description
            }

        # Layer 2: Semantic similarity (if available)
        if self._has_semantic_layer():
            self.perf_tracker.mark_layer_start("semantic")
            semantic_result = self._semantic_match(task_description)

            self.perf_tracker.record_layer_attempt(
                layer_name="semantic",
                confidence=semantic_result["confidence"],
                selected_master=semantic_result["selected_master"],
                success=semantic_result["confidence"] >= 0.70,
                metadata={
                    "similarity_score": semantic_result.get("similarity_score", 0),
                    "cluster": semantic_result.get("cluster", "unknown")
                }
            )

            if semantic_result["confidence"] >= 0.70:
                return {
                    "selected_master": semantic_result["selected_master"],
                    "routing_method": "semantic",
                    "confidence": semantic_result["confidence"],
                    "all_probabilities": semantic_result.get("all_probabilities", {})
                }

        # Layer 3: RAG (if available)
        if self.enable_rag and self.retriever:
            self.perf_tracker.mark_layer_start("rag")
            rag_result = self._rag_match(task_description)

            self.perf_tracker.record_layer_attempt(
                layer_name="rag",
                confidence=rag_result["confidence"],
                selected_master=rag_result["selected_master"],
                success=rag_result["confidence"] >= 0.85,
                metadata={
                    "retrieved_docs": rag_result.get("num_docs", 0),
                    "vector_similarity": rag_result.get("similarity", 0)
                }
            )

            if rag_result["confidence"] >= 0.85:
                return {
                    "selected_master": rag_result["selected_master"],
                    "routing_method": "rag",
                    "confidence": rag_result["confidence"],
                    "all_probabilities": rag_result.get("all_probabilities", {})
                }

        # Layer 4: PyTorch neural (if available)
        if self.enable_neural and self.neural_router:
            self.perf_tracker.mark_layer_start("pytorch")
            pytorch_result = self._pytorch_match(task_description)

            self.perf_tracker.record_layer_attempt(
                layer_name="pytorch",
                confidence=pytorch_result["confidence"],
                selected_master=pytorch_result["selected_master"],
                success=pytorch_result["confidence"] >= 0.90,
                metadata={
                    "model_version": "v1.0",
                    "logits": pytorch_result.get("logits", [])
                }
            )

            if pytorch_result["confidence"] >= 0.90:
                return {
                    "selected_master": pytorch_result["selected_master"],
                    "routing_method": "pytorch",
                    "confidence": pytorch_result["confidence"],
                    "all_probabilities": pytorch_result.get("all_probabilities", {})
                }

        # Layer 5: Clarification fallback
        self.perf_tracker.record_layer_attempt(
            layer_name="clarification",
            confidence=1.0,
            selected_master="coordinator-master",
            success=True,
            metadata={"reason": "low_confidence_cascade"}
        )

        return {
            "selected_master": "coordinator-master",
            "routing_method": "clarification",
            "confidence": 1.0,
            "task_description": task_description
        }

    def _keyword_match(self, task_description: str) -> Dict:
        """Layer 1: Keyword matching"""
        desc_lower = task_description.lower()
        matched_keywords = []

        # Security keywords
        security_keywords = ["security", "vulnerability", "cve", "audit", "scan"]
        if any(word in desc_lower for word in security_keywords):
            matched_keywords = [w for w in security_keywords if w in desc_lower]
            return {
                "selected_master": "security-master",
                "confidence": 0.88,
                "rule_used": "security-keywords",
                "matched_keywords": matched_keywords
            }

        # CI/CD keywords
        cicd_keywords = ["build", "deploy", "ci/cd", "pipeline", "test"]
        if any(word in desc_lower for word in cicd_keywords):
            matched_keywords = [w for w in cicd_keywords if w in desc_lower]
            return {
                "selected_master": "cicd-master",
                "confidence": 0.86,
                "rule_used": "cicd-keywords",
                "matched_keywords": matched_keywords
            }

        # Inventory keywords
        inventory_keywords = ["document", "catalog", "inventory", "dependency"]
        if any(word in desc_lower for word in inventory_keywords):
            matched_keywords = [w for w in inventory_keywords if w in desc_lower]
            return {
                "selected_master": "inventory-master",
                "confidence": 0.85,
                "rule_used": "inventory-keywords",
                "matched_keywords": matched_keywords
            }

        # Development keywords
        dev_keywords = ["fix", "bug", "implement", "feature", "refactor"]
        if any(word in desc_lower for word in dev_keywords):
            matched_keywords = [w for w in dev_keywords if w in desc_lower]
            return {
                "selected_master": "development-master",
                "confidence": 0.82,
                "rule_used": "development-keywords",
                "matched_keywords": matched_keywords
            }

        # Fallback
        return {
            "selected_master": "coordinator-master",
            "confidence": 0.50,
            "rule_used": "fallback",
            "matched_keywords": []
        }

    def _semantic_match(self, task_description: str) -> Dict:
        """Layer 2: Semantic similarity (placeholder)"""
        return {
            "selected_master": "development-master",
            "confidence": 0.65,
            "similarity_score": 0.65,
            "cluster": "development"
        }

    def _has_semantic_layer(self) -> bool:
        """Check if semantic layer is available"""
        semantic_script = Path(__file__).parent / "routing" / "run_semantic.py"
        return semantic_script.exists()

    def record_task_outcome(
        self,
        event_id: str,
        task_completed: bool,
        was_correct_master: bool = True,
        user_corrected_to: Optional[str] = None,
        completion_time_minutes: Optional[float] = None,
        quality_score: Optional[float] = None
    ):
        # Find the routing event
        events = self.perf_tracker.get_recent_events(limit=1000)
        event = next((e for e in events if e["event_id"] == event_id), None)

        if event:
            # Restore routing context
            self.perf_tracker.current_routing = event

            # Record outcome
            self.perf_tracker.record_outcome(
                task_completed=task_completed,
                task_status="completed" if task_completed else "failed",
                was_correct_master=was_correct_master,
                user_corrected_to=user_corrected_to,
                completion_time_minutes=completion_time_minutes,
                quality_score=quality_score
            )
