"""Turns the golden Parquet tables of /work/shared/golden/ope into compact binaries that the tests read without polars.

Usage: python convert.py /work/shared/golden/ope .     (needs pyarrow, numpy)

NAME.bin.gz, little-endian: magic b"RWOPE1", u32 n, u32 k, u8 has_pi_b, u8 action[n], f64 reward[n], f64 pscore[n],
f64 pi_b[n*k] (where has_pi_b), f64 pi_e[n*k], f64 q_hat[n*k], f64 q_mrdr[n*k]; matrices row after row.
resamples.bin.gz: magic b"RWIDX1", u32 resamples, u32 rows, u16 row[resamples*rows].
"""
import gzip
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

source, target = Path(sys.argv[1]), Path(sys.argv[2])
# The logging policy of S1 is dense and no golden number of S1 needs more of it than pscore.
SCENARIOS = {
    "S1_obp_softmax_target": False,
    "S3a_router_eps05_additive_qhat": True,
    "S5a_router_deterministic_log_additive_qhat": True,
    "S6_latency_eps20": False,
}


def write(path, parts):
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9, mtime=0, filename="") as out:
        for part in parts:
            out.write(part)


def matrix(table, prefix, k):
    return np.stack([table[f"{prefix}_{arm}"].to_numpy() for arm in range(k)], axis=1).astype("<f8")


for name, has_pi_b in SCENARIOS.items():
    table = pq.read_table(source / f"{name}.parquet")
    mrdr = pq.read_table(source / f"{name}.mrdr_qhat.parquet")
    n, k = table.num_rows, mrdr.num_columns
    parts = [b"RWOPE1", struct.pack("<IIB", n, k, has_pi_b), table["action"].to_numpy().astype("u1").tobytes()]
    parts += [table[column].to_numpy().astype("<f8").tobytes() for column in ("reward", "pscore")]
    parts += [matrix(table, "pi_b", k).tobytes()] if has_pi_b else []
    parts += [matrix(table, "pi_e", k).tobytes(), matrix(table, "q_hat", k).tobytes(), matrix(mrdr, "q_mrdr", k).tobytes()]
    write(target / f"{name}.bin.gz", parts)
    shutil.copyfile(source / f"{name}.json", target / f"{name}.json")

index = pq.read_table(source / "boot_idx_n500_B200.parquet")
rows = np.stack([index[column].to_numpy() for column in index.column_names], axis=1).astype("<u2")
write(target / "resamples.bin.gz", [b"RWIDX1", struct.pack("<II", *rows.shape), rows.tobytes()])
shutil.copyfile(source / "partial_identification.json", target / "partial_identification.json")
