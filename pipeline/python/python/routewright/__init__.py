"""Decide with a learned router, and log routings so that they can be learned from.

Router      decides with an artifact of `routewright export`
Gateway     shares traffic between static rules and the router, with known propensities
Rules       the static router from `rules.toml`
Tracker     logs the layers of a cascade and their outcomes
OutcomeLog  logs decisions with propensities and their outcomes
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._native import Decision, Shared
from . import _native

__all__ = ["Decision", "Gateway", "OutcomeLog", "Router", "RoutingPerformanceTracker", "Rules", "Shared", "Tracker"]

_Handed = tuple[str, int, "str | None", "str | None", "str | None", "str | None", "list[float] | None", str]
_MAX_EVENTS = 10**9


def _flat(extras: Mapping[str, Any] | None) -> dict[str, Any]:
    """Dotted keys: {"context": {"system_mode": "ALERT"}} is {"context.system_mode": "ALERT"}."""
    flat: dict[str, Any] = {}
    for key, value in (extras or {}).items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{name}": inner for name, inner in _flat(value).items()})
        else:
            flat[key] = value
    return flat


def _handed(
    query: str,
    *,
    timestamp: float | None = None,
    query_type: str | None = None,
    complexity: str | None = None,
    static_path: str | None = None,
    session_id: str | None = None,
    sentence: Sequence[float] | None = None,
    extras: Mapping[str, Any] | None = None,
) -> _Handed:
    moment = time.time() if timestamp is None else timestamp
    vector = None if sentence is None else [float(component) for component in sentence]
    scalars = json.dumps(_flat(extras), allow_nan=False) if extras else "{}"
    return query, round(moment * 1e6), query_type, complexity, static_path, session_id, vector, scalars


class Router:
    """A router from an artifact's folder, by default the one that `MODEL_PATH` names in the environment. Shared by threads.

    Requests are given by their query and, as keywords, `timestamp` (seconds since 1970, now by default), `query_type`, `complexity`,
    `static_path` (what the static rules would choose; the fallback), `session_id`, `sentence` (the text's vector, where
    `sentence_source` names a model) and `extras` (further scalars of the log).
    """

    def __init__(self, artifact: str | os.PathLike[str] | None = None) -> None:
        folder = os.environ.get("MODEL_PATH", "").strip() if artifact is None else os.fspath(artifact)
        if not folder:
            raise ValueError("no artifact: give its folder, or set the environment variable `MODEL_PATH`")
        self._native = _native.Router.load(folder)

    def route(self, query: str, **request: Any) -> Decision:
        """Decides one query."""
        return self._native.route(_handed(query, **request))

    def route_many(self, queries: Iterable[str], **request: Any) -> list[Decision]:
        """Decides many queries that share everything but their text."""
        return self._native.route_many([_handed(query, **request) for query in queries])

    def features(self, queries: Iterable[str], **request: Any) -> bytes:
        """Feature rows for the ONNX models: 32-bit floats, row after row; `numpy.frombuffer(..., "<f4").reshape(-1, len(columns))`."""
        return self._native.features([_handed(query, **request) for query in queries])

    def predict(self, rows: bytes) -> tuple[bytes, bytes, bytes]:
        """Success, latency in milliseconds and imitation per path of such rows: 64-bit floats, row after row, NaN without a model."""
        success, latency_ms, imitation = self._native.predict(rows)
        return success, latency_ms, imitation

    def onnx_files(self) -> dict[str, bytes]:
        """The models as ONNX, by file name."""
        return self._native.onnx_files()

    def verify(self) -> int:
        """Repeats the artifact's golden decisions and returns their number."""
        return self._native.verify()

    @property
    def paths(self) -> list[str]:
        """The paths, in the order of the models' outputs."""
        return self._native.paths

    @property
    def columns(self) -> list[str]:
        """The feature columns, in the order of a row."""
        return self._native.columns

    @property
    def sentence_source(self) -> tuple[str, int] | None:
        """Name and length of the vector that every request must carry as `sentence`; None where the built-in embedder is used."""
        return self._native.sentence_source

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact's manifest."""
        return self._native.digest


class Rules:
    """The static router: `rules.toml` as text, or the keyword cascade."""

    def __init__(self, toml: str | None = None) -> None:
        self._native = _native.Rules(toml)

    def route(self, query: str, **request: Any) -> dict[str, Any]:
        """Decides one query: `selected_master`, `confidence`, `rule_used`, `matched_keywords`."""
        path, confidence, rule, matched = self._native.route(_handed(query, **request))
        return {"selected_master": path, "confidence": confidence, "rule_used": rule, "matched_keywords": matched}


class Gateway:
    """Shares traffic between the static rules and the router. Shared by threads.

    Settings: `use_learned_model`, `mode` ("shadow" or "live"), `treatment_share`, `explore`, `randomise_disagreement`, `salt`. With
    `environment=True`, `AB_TEST_PERCENTAGE` and `ENABLE_NEURAL` come on top.
    """

    def __init__(self, *, environment: bool = False, **settings: Any) -> None:
        self._native = _native.Gateway(json.dumps(settings), environment)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in force."""
        settings: dict[str, Any] = json.loads(self._native.settings())
        return settings

    def group(self, unit: str) -> str:
        """The group of a unit, such as a user: `control` or `treatment`."""
        return self._native.group(unit)

    def decide(self, router: Router, query: str, *, unit: str, trace_id: str, **request: Any) -> Shared:
        """Decides one query for a unit."""
        return self._native.decide(router._native, _handed(query, **request), unit, trace_id)


class OutcomeLog:
    """Logs decisions with their propensities, one file per day. Shared by threads."""

    def __init__(self, folder: str | os.PathLike[str], **settings: Any) -> None:
        self._native = _native.OutcomeLog(os.fspath(folder), json.dumps(settings))

    def record(self, trace_id: str, router: Router, decision: Shared, query: str, **request: Any) -> None:
        """Logs a gateway's decision on a request."""
        self._native.record(trace_id, _handed(query, **request), router._native, decision)

    def record_outcome(self, trace_id: str, execution: Mapping[str, Any], quality: Mapping[str, Any] | None = None) -> None:
        """Adds what is known of the execution, whenever it comes."""
        self._native.record_outcome(trace_id, json.dumps(dict(execution)), json.dumps(dict(quality or {})))

    def flush(self) -> None:
        """Waits until everything is in the file."""
        self._native.flush()


class Tracker:
    """Logs the routings of a cascade: from `start_routing` over the layers to `finalize_routing`, and `record_outcome` afterwards.

    Each thread has a routing of its own under way. `settings` are those of the log: `queue`, `linger_ms`, `when_full`, `fsync`,
    `max_bytes`, `recent`; `layers` is the cascade as pairs of name and threshold, cheapest first.
    """

    def __init__(
        self,
        log_file: str | os.PathLike[str] = "coordination/routing/performance.jsonl",
        *,
        layers: Sequence[tuple[str, float]] | None = None,
        **settings: Any,
    ) -> None:
        document: dict[str, Any] = {"log": settings}
        if layers is not None:
            document["layers"] = [{"name": name, "threshold": threshold} for name, threshold in layers]
        self._native = _native.Tracker(os.fspath(log_file), json.dumps(document))
        self._threads = threading.local()

    @property
    def current_routing(self) -> dict[str, Any] | None:
        """The event that this thread works on; set it to an event of the log to record an outcome for that one."""
        event: dict[str, Any] | None = getattr(self._threads, "event", None)
        return event

    @current_routing.setter
    def current_routing(self, event: dict[str, Any] | None) -> None:
        self._threads.event = event

    def start_routing(self, task_description: str, task_id: str | None = None, task_metadata: Mapping[str, Any] | None = None) -> str:
        """Begins a routing and returns its identifier."""
        routing = self._native.start_routing(task_description, task_id, _json(task_metadata))
        self._threads.routing = routing
        self._threads.event = {"event_id": routing.event_id, "task_description": task_description}
        return routing.event_id

    def mark_layer_start(self, layer_name: str) -> None:
        """Starts the clock of a layer."""
        self._routing().mark_layer_start(layer_name)

    def record_layer_attempt(
        self,
        layer_name: str,
        confidence: float,
        selected_master: str | None = None,
        success: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Notes what a layer answered."""
        self._native.record_layer_attempt(self._routing(), layer_name, confidence, selected_master, success, _json(metadata))

    def finalize_routing(
        self, selected_master: str, routing_layer: str, confidence: float, all_probabilities: Mapping[str, float] | None = None
    ) -> str:
        """Ends the routing, logs it and returns its identifier."""
        routing = self._routing()
        return self._native.finalize_routing(routing, selected_master, routing_layer, confidence, dict(all_probabilities or {}))

    def record_outcome(
        self,
        task_completed: bool,
        was_correct_master: bool | None = None,
        *,
        event_id: str | None = None,
        task_status: str | None = None,
        user_corrected_to: str | None = None,
        completion_time_minutes: float | None = None,
        quality_score: float | None = None,
    ) -> dict[str, Any]:
        """Adds an outcome to an event, by default to the one this thread works on, and returns what it teaches."""
        current = self.current_routing
        if event_id is None:
            if current is None:
                raise RuntimeError("no routing to record an outcome for: start one, set `current_routing` or give an `event_id`")
            event_id = current["event_id"]
        outcome = {
            "task_completed": task_completed,
            "task_status": task_status,
            "was_correct_master": was_correct_master,
            "user_corrected_to": user_corrected_to,
            "completion_time_minutes": completion_time_minutes,
            "quality_score": quality_score,
        }
        feedback: dict[str, Any] = json.loads(self._native.record_outcome(event_id, json.dumps(outcome)))
        return feedback

    def get_recent_events(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last events of the log, the oldest first, each as it was last written; without an outcome its `outcome` is None."""
        events: list[dict[str, Any]] = json.loads(self._native.recent_events(min(max(limit, 0), _MAX_EVENTS)))
        for event in events:
            event.setdefault("outcome", None)
            event.setdefault("learning_feedback", None)
        return events

    def flush(self) -> None:
        """Waits until everything is in the file."""
        self._native.flush()

    def rotate(self) -> str | None:
        """Moves the log to the archive beside it and returns where."""
        moved = self._native.rotate()
        return None if moved is None else os.fspath(moved)

    def counts(self) -> dict[str, int]:
        """Lines accepted, written, dropped and failed so far."""
        counts: dict[str, int] = json.loads(self._native.counts())
        return counts

    def _routing(self) -> _native.Routing:
        routing: _native.Routing | None = getattr(self._threads, "routing", None)
        if routing is None:
            raise RuntimeError("no routing under way in this thread: call `start_routing` first")
        return routing


def _json(metadata: Mapping[str, Any] | None) -> str:
    return json.dumps(dict(metadata or {}), default=str, allow_nan=False)


#: The name under which older integrations know the tracker.
RoutingPerformanceTracker = Tracker
