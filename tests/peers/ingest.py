"""Peers of `routewright ingest`: DuckDB and Polars turn the same logs into one Parquet file with the same columns. They check nothing.

usage: ingest.py duckdb|duckdb-tables|polars|check FORMAT LOGS OUT
  duckdb, polars: read the logs (a glob), write OUT (a Parquet file with the log's keys as columns, one row per record)
  duckdb-tables: write the tables that routewright writes: OUT (its decisions), and OUT.more (its layers of cortex, its assignments of router-metrics)
  check: read OUT (a glob of Parquet files with routewright's columns)
Prints one JSON object: tool, version, rows, sums, wall_seconds, cpu_seconds, peak_mib (of this process, Linux). Two threads each.
"""

import json
import os
import resource
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "2"
tool, kind, logs, out = sys.argv[1:5]

# The schemas are given, so that no tool spends time on finding them.
STAGES = {
    "stage_1_result": {"query_type": "VARCHAR", "complexity": "VARCHAR", "confidence": "DOUBLE", "requires_tools": "BOOLEAN"},
    "stage_2_result": {"execution_path": "VARCHAR", "tool_name": "VARCHAR", "rationale": "VARCHAR"},
    "stage_3_result": {"is_valid": "BOOLEAN", "confidence_score": "DOUBLE", "concerns": ["VARCHAR"], "alternative": "VARCHAR"},
}
PATHS = ["CODING", "DIRECT_TOOL", "REASONING", "STANDARD"]
MASTERS = ["development-master", "security-master", "inventory-master", "cicd-master", "coordinator-master"]
E009 = {
    "trace_id": "VARCHAR", "timestamp": "VARCHAR", "query": "VARCHAR", "query_id": "VARCHAR", "session_id": "VARCHAR", "user_id": "VARCHAR",
    "query_features": {"length": "DOUBLE", "has_code": "BOOLEAN", "has_question": "BOOLEAN", "complexity_estimate": "DOUBLE", "keywords": ["VARCHAR"]},
    "context": {"system_mode": "VARCHAR", "recent_error_rate": "DOUBLE", "vram_usage": "DOUBLE"},
    "routing_decision": {
        "execution_path": "VARCHAR", "tool_name": "VARCHAR", "confidence": "DOUBLE", **STAGES, "static_path": "VARCHAR", "propensity": "DOUBLE",
        "propensities": {path: "DOUBLE" for path in PATHS}, "candidates": ["VARCHAR"], "policy_id": "VARCHAR", "explored": "BOOLEAN",
    },
    "execution_outcome": {
        "success": "BOOLEAN", "latency_ms": "DOUBLE", "error": "VARCHAR", "tool_execution_time_ms": "DOUBLE", "llm_calls": "BIGINT", "cost": "DOUBLE",
    },
    "quality_metrics": {
        "user_feedback": "VARCHAR", "response_length": "BIGINT", "hallucination_detected": "BOOLEAN", "quality_score": "DOUBLE", "optimal_path": "VARCHAR",
    },
}
LAYER = {
    "layer_id": "BIGINT", "layer_name": "VARCHAR", "attempted": "BOOLEAN", "success": "BOOLEAN", "confidence": "DOUBLE", "threshold": "DOUBLE",
    "selected_master": "VARCHAR", "latency_ms": "DOUBLE",
}
CORTEX = {
    "event_id": "VARCHAR", "timestamp": "VARCHAR", "task_id": "VARCHAR", "task_description": "VARCHAR",
    "task_metadata": {"priority": "VARCHAR", "source": "VARCHAR", "user_id": "VARCHAR"}, "routing_layers": [LAYER],
    "final_decision": {
        "selected_master": "VARCHAR", "routing_layer": "VARCHAR", "confidence": "DOUBLE", "all_probabilities": {master: "DOUBLE" for master in MASTERS},
    },
    "total_latency_ms": "DOUBLE",
    "outcome": {
        "task_completed": "BOOLEAN", "task_status": "VARCHAR", "was_correct_master": "BOOLEAN", "user_corrected_to": "VARCHAR",
        "completion_time_minutes": "DOUBLE", "quality_score": "DOUBLE",
    },
    "learning_feedback": {
        "correct_routing": "BOOLEAN", "should_have_routed_to": "VARCHAR", "layer_should_have_caught": "VARCHAR",
        "threshold_too_high": "BOOLEAN", "threshold_too_low": "BOOLEAN",
    },
}
ROUTER_METRICS = {
    "timestamp": "VARCHAR", "task_id": "VARCHAR", "method": "VARCHAR", "selected_master": "VARCHAR", "confidence": "DOUBLE",
    "ab_test_group": "VARCHAR", "outcome": "VARCHAR",
}
SCHEMA = {"e009": E009, "matrix": E009, "cortex": CORTEX, "router-metrics": ROUTER_METRICS}[kind]
# Columns that are summed, by the names that our tables and the peers' have.
LATENCY = {"e009": "execution_outcome.latency_ms", "matrix": "execution_outcome.latency_ms", "cortex": "total_latency_ms", "router-metrics": None}[kind]
SUMS = [LATENCY, "routing_decision.confidence" if "routing_decision" in SCHEMA else "final_decision.confidence" if kind == "cortex" else "confidence"]


def leaves(schema, prefix=""):
    """Dotted names of the columns: structs are taken apart, as routewright takes them apart; propensities stay whole."""
    for name, of in schema.items():
        dotted = prefix + name
        if isinstance(of, dict) and name != "propensities":
            yield from leaves(of, dotted + ".")
        else:
            yield dotted


def duckdb_type(of):
    if isinstance(of, dict):
        return "STRUCT(" + ", ".join(f'"{name}" {duckdb_type(inner)}' for name, inner in of.items()) + ")"
    return duckdb_type(of[0]) + "[]" if isinstance(of, list) else of


def taken_apart(name):
    """A dotted name as an expression with that name."""
    return ".".join(f'"{part}"' for part in name.split(".")) + f' AS "{name}"'


def on_logs(*statements):
    """Runs statements that read from LOGS."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    columns = ", ".join(f"'{name}': '{duckdb_type(of)}'" for name, of in SCHEMA.items())
    for statement in statements:
        connection.execute(statement.replace("LOGS", f"read_json('{logs}', format = 'newline_delimited', columns = {{{columns}}})"))
    return duckdb.__version__


def by_duckdb():
    columns = ["timestamp::TIMESTAMPTZ AS timestamp" if name == "timestamp" else taken_apart(name) for name in leaves(SCHEMA)]
    return on_logs(f"COPY (SELECT {', '.join(columns)} FROM LOGS) TO '{out}' (FORMAT parquet)")


# The tables of formats that routewright makes two of: columns of its decisions, and of the other table.
TABLES = {
    "cortex": (
        ", ".join(taken_apart(name) for name in leaves(CORTEX) if name != "routing_layers"),
        "layers",
        "SELECT event_id AS trace_id, timestamp, layer.layer_id, layer.layer_name, layer.success, layer.confidence, layer.threshold, "
        "layer.selected_master AS selected_path, layer.latency_ms FROM (SELECT event_id, timestamp, unnest(routing_layers) AS layer FROM log) WHERE layer.attempted",
        "latency_ms",
    ),
    "router-metrics": (
        "'ab-test/' || task_id AS trace_id, timestamp, '' AS query, task_id AS query_id, selected_master AS path, "
        "CASE WHEN method = 'rule-based' THEN selected_master END AS static_path, method AS policy_id, confidence, outcome = 'completed' AS success, ab_test_group",
        "assignments",
        "SELECT task_id, timestamp, ab_test_group AS \"group\", method, selected_master AS path, confidence, outcome = 'completed' AS success FROM log",
        "confidence",
    ),
}


def tables_by_duckdb():
    decisions, _, second, _ = TABLES[kind]
    return on_logs(
        "CREATE TEMP TABLE log AS SELECT * REPLACE (timestamp::TIMESTAMPTZ AS timestamp) FROM LOGS",
        f"COPY (SELECT {decisions} FROM log) TO '{out}' (FORMAT parquet)",
        f"COPY ({second}) TO '{out}.more' (FORMAT parquet)",
    )


def by_polars():
    import polars

    kinds = {"VARCHAR": polars.String, "DOUBLE": polars.Float64, "BIGINT": polars.Int64, "BOOLEAN": polars.Boolean}

    def kind_of(of):
        if isinstance(of, dict):
            return polars.Struct({name: kind_of(inner) for name, inner in of.items()})
        return polars.List(kind_of(of[0])) if isinstance(of, list) else kinds[of]

    def column(dotted):
        first, *rest = dotted.split(".")
        expression = polars.col(first)
        for part in rest:
            expression = expression.struct.field(part)
        if dotted == "timestamp":
            expression = expression.str.to_datetime("%+", time_zone="UTC")
        return expression.alias(dotted)

    frame = polars.scan_ndjson(logs, schema={name: kind_of(of) for name, of in SCHEMA.items()})
    frame.select([column(name) for name in leaves(SCHEMA)]).sink_parquet(out)
    return polars.__version__


def found(path, names):
    import duckdb

    summed = ", ".join(f'round(sum("{name}"), 3)' if name else "0" for name in names)
    return duckdb.connect().execute(f"SELECT count(*), {summed} FROM read_parquet('{path}')").fetchone()


def more(path):
    """Rows and sum of the second table, where there is one."""
    return found(path, [TABLES[kind][3]]) if kind in TABLES else None


if tool == "check":
    rows, *sums = found(out, ["latency_ms" if LATENCY else None, "confidence"])
    print(json.dumps({"tool": "routewright", "rows": rows, "sums": sums, "more": kind in TABLES and more(out.replace("/decisions/", f"/{TABLES[kind][1]}/"))}))
else:
    wall = time.perf_counter()
    version = {"duckdb": by_duckdb, "duckdb-tables": tables_by_duckdb, "polars": by_polars}[tool]()
    wall = time.perf_counter() - wall
    usage = resource.getrusage(resource.RUSAGE_SELF)
    rows, *sums = found(out, SUMS)
    print(json.dumps({
        "tool": tool, "version": version, "rows": rows, "sums": sums, "more": tool == "duckdb-tables" and more(f"{out}.more"),
        "wall_seconds": round(wall, 3), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "peak_mib": round(usage.ru_maxrss / 1024),
    }))
