"""A soak: four RTSP cameras that are cut off, frozen and brought back at random, through the whole pipeline.

    python benchmarks/soak.py [--minutes 20] [--engine plate-detector] [--seed 1]

A real RTSP server per camera (GStreamer's; see tests/integration/install_servers). Every five seconds it notes resident
memory, threads, descriptors and children; at the end it compares the last tenth but a bit with an early one, and exits
with 1 where memory grew by more than 3 MB, a thread or a descriptor is left, or the books do not balance.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

CAMERAS = 4
ALLOWED_MB = 3.0
EARLY, LATE = (0.25, 0.35), (0.9, 1.0)  # shares of the run that are compared; of 20 minutes: 5–7 and 18–20


def main() -> int:
    """Run, report, judge."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=20.0)
    words.add_argument("--engine", default="plate-detector")
    words.add_argument("--seed", type=int, default=1)
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdict = soak(chosen.minutes * 60, chosen.engine, random.Random(chosen.seed), Path(folder))
    print(json.dumps(verdict, indent=2))
    return 0 if verdict["passed"] else 1


def soak(
    seconds: float, engine: str, dice: random.Random, folder: Path, allowed_mb: float = ALLOWED_MB
) -> dict[str, Any]:
    """The verdict after so many seconds."""
    from rtsp_process import RtspServer

    servers = [RtspServer(mounts={"/live": {"gop": 10, "fps": 10}}).start() for _ in range(CAMERAS)]
    pipeline = assembled(engine, [server.url() for server in servers], folder)
    roads = dict(pipeline._roads)
    threads_before = threading.active_count()
    reports: list[Any] = []
    worker = threading.Thread(target=lambda: reports.append(pipeline.run()))
    samples: list[tuple[float, float, int, int]] = []  # share of the run, MB, threads, descriptors
    cuts = 0
    began_s = time.monotonic()
    worker.start()
    try:
        next_cut_s = began_s + 10
        while (now := time.monotonic()) < began_s + seconds:
            samples.append(((now - began_s) / seconds, resident_mb(), threading.active_count(), descriptors()))
            if now >= next_cut_s:
                cut(dice.choice(servers), dice)
                cuts += 1
                next_cut_s = now + dice.uniform(4, 15)
            time.sleep(min(5.0, seconds / 40))
    finally:
        for server in servers:
            server.thaw()
        pipeline.stop()
        worker.join(60)
        for server in servers:
            server.kill()
    return judged(samples, cuts, reports[0], roads, threading.active_count() - threads_before, allowed_mb)


def assembled(engine: str, urls: list[str], folder: Path) -> Any:
    """Four cameras, one of them isolated, with tracker and records."""
    from streamdet.config.assemble import assemble
    from streamdet.config.validation import read_options

    streams = {
        f"cam{number}": {"source": url, "deadline_s": 2, "isolate": number == 0} for number, url in enumerate(urls)
    }
    sink = {"kind": "jsonl", "path": str(folder / "records.jsonl"), "rotate_mb": 5, "keep": 2}
    options = read_options(None, lambda _: {"streams": streams, "detect": {"engine": engine}, "sinks": [sink]})
    return assemble(options)


def cut(server: Any, dice: random.Random) -> None:
    """Kill and restart a camera, or stop it in mid-sentence for longer than the deadline."""
    if dice.random() < 0.7:
        server.kill()
        time.sleep(dice.uniform(0, 2))
        server.start()
    else:
        server.freeze()
        time.sleep(dice.uniform(2.5, 4))
        server.thaw()


def judged(
    samples: list[tuple[float, float, int, int]],
    cuts: int,
    report: Any,
    roads: dict[str, Any],
    threads_left: int,
    allowed_mb: float,
) -> dict[str, Any]:
    """What the samples say."""

    def median(column: int, share: tuple[float, float]) -> float:
        return statistics.median(each[column] for each in samples if share[0] <= each[0] <= share[1])

    grown_mb = median(1, LATE) - median(1, EARLY)
    balances = {name: road.ledger.balance() for name, road in roads.items()}
    balanced = all(each.balanced and each.in_flight == 0 for each in balances.values())
    sinks_balanced = all(each.balanced and each.queued == 0 for each in report.sinks.values())
    thread_growth = median(2, LATE) - median(2, EARLY)
    descriptor_growth = median(3, LATE) - median(3, EARLY)
    return {
        "passed": grown_mb <= allowed_mb
        and abs(thread_growth) <= 1
        and abs(descriptor_growth) <= 4
        and threads_left <= 0
        and balanced
        and sinks_balanced,
        "cuts": cuts,
        "epochs": {name: road.shell.epoch + 1 for name, road in roads.items()},
        "frames": {name: each.captured for name, each in balances.items()},
        "memory_mb": {
            "early": round(median(1, EARLY), 1),
            "late": round(median(1, LATE), 1),
            "grown": round(grown_mb, 2),
        },
        "memory_mb_over_time": [round(each[1], 1) for each in samples[:: max(len(samples) // 20, 1)]],
        "threads": {"early": median(2, EARLY), "late": median(2, LATE), "left": threads_left},
        "descriptors": {"early": median(3, EARLY), "late": median(3, LATE)},
        "ledger_balanced": balanced,
        "sinks_balanced": sinks_balanced,
    }


def resident_mb() -> float:
    """Of this process, children apart."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors() -> int:
    """Open in this process."""
    return len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    sys.exit(main())
