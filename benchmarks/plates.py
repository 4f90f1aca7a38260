"""Number plates on the whole road: a 1080p H.264 file at 25 frames per second with a plate or two in view.

    python benchmarks/plates.py [--suite plates] [--seconds 40] [--seed 5] [--folder out/benchmark-plates]

Renders the clip and its truth where they are not there yet. Then, each in a process of its own: the file as fast as it
goes, with tracks, texts and records; the same file paced like a camera, whose frames do not wait. Prints frames per
second, the time from capture to record, the largest memory, and how many of the plates that passed were read right.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from streamdet.config.assemble import Streams
from streamdet.config.validation import read_options
from streamdet.errors import EndOfStream
from streamdet.evaluation.passed import plates_passed
from streamdet.frames import Event, Result
from streamdet.pipeline.pipeline import Pipeline
from streamdet.sinks.contract import Accepts
from streamdet.sinks.jsonl import Jsonl, JsonlOptions
from streamdet.sources.synthetic import SyntheticSource

FPS, SIZE = 25, (1920, 1080)
LEAST_FPS, MOST_P95_MS, MOST_MB = 25.0, 150.0, 600.0


class Watch:
    """A sink that notes when each result arrives."""

    name = "watch"
    accepts: Accepts = "results"
    lossless = True
    needs_picture = False

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, float]] = []  # pts, decoded, here

    def open(self) -> None:
        """Nothing to open."""

    def write(self, item: Result | Event) -> None:
        """One result."""
        if isinstance(item, Result):
            self.seen.append((item.frame.pts_s, item.frame.decoded_s, time.monotonic()))

    def close(self) -> None:
        """Nothing to close."""


def road(clip: Path, suite: str, records: Path, live: bool) -> dict[str, float]:
    """One run in this process."""
    stream = {"source": str(clip), "realtime": True} if live else {"source": str(clip)}
    options = read_options(None, lambda _: {"streams": {"gate": stream}, "detect": {"engine": suite}})
    workshop, watch = Streams(options), Watch()
    sink = Jsonl(JsonlOptions(path=records, existing="replace"))
    pipeline = Pipeline([sink, watch], on_finished=workshop.close)
    workshop.place = pipeline.place
    made = workshop.make("gate", options.streams["gate"], str(clip))
    if live:
        made.source.live = True  # paced, and frames that come too late are dropped, as a camera's are
    pipeline.add("gate", made)
    report = pipeline.run()
    pts, decoded, here = np.array(watch.seen).T
    # A paced frame is taken at its own time after the first: from there, not from its decoding, it is counted.
    taken = pts + float((decoded - pts).min())
    return {
        "frames": len(pts),
        "fps": (len(pts) - 1) / (here[-1] - here[0]),
        "p50_ms": 1000 * float(np.quantile(here - taken, 0.5)),
        "p95_ms": 1000 * float(np.quantile(here - taken, 0.95)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "dropped": sum(status.dropped for status in report.streams),
    }


def rendered(clip: Path, truth: Path, seconds: float, seed: int) -> None:
    """The scene as an average camera would encode it."""
    import av

    uri = f"synthetic:plates?seed={seed}&size={SIZE[0]}x{SIZE[1]}&fps={FPS}&duration={seconds:g}&truth={truth}"
    source = SyntheticSource("clip", uri)
    source.open()
    with av.open(str(clip), "w") as target:
        stream = target.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "b": "4M"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        try:
            while True:
                picture = source.read().picture
                planes = np.concatenate([plane.reshape(-1, SIZE[0]) for plane in picture.planes])
                target.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
                picture.release()
        except EndOfStream:
            source.close()
        target.mux(stream.encode())


def in_a_process(clip: Path, suite: str, records: Path, live: bool) -> dict[str, float]:
    """The same in a process of its own, so that its memory is that of the road alone."""
    command = [sys.executable, __file__, "--clip", str(clip), "--suite", suite, "--records", str(records)]
    done = subprocess.run([*command, "--live"] if live else command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def verdict(met: bool) -> str:
    """In words."""
    return "met" if met else "not met"


def main() -> None:
    """Print the table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--suite", default="plates")
    words.add_argument("--seconds", type=float, default=40.0)
    words.add_argument("--seed", type=int, default=5)
    words.add_argument("--folder", type=Path, default=Path("out/benchmark-plates"))
    words.add_argument("--clip", type=Path, help=argparse.SUPPRESS)
    words.add_argument("--records", type=Path, help=argparse.SUPPRESS)
    words.add_argument("--live", action="store_true", help=argparse.SUPPRESS)
    told = words.parse_args()
    if told.clip is not None:
        print(json.dumps(road(told.clip, told.suite, told.records, told.live)))
        return
    told.folder.mkdir(parents=True, exist_ok=True)
    clip, truth = (told.folder / f"{told.seed}-{told.seconds:g}.{suffix}" for suffix in ("mp4", "truth.jsonl"))
    if not clip.exists():
        rendered(clip, truth, told.seconds, told.seed)
    print("| 1080p H.264, 25 fps | fps | p50 ms | p95 ms | dropped | MB | plates read right | |")
    print("|---|---|---|---|---|---|---|---|")
    for live in (False, True):
        records = told.folder / ("live.jsonl" if live else "recorded.jsonl")
        found = in_a_process(clip, told.suite, records, live)
        passed = plates_passed(truth, records)
        small = found["peak_mb"] < MOST_MB
        met = small and (found["p95_ms"] < MOST_P95_MS if live else found["fps"] >= LEAST_FPS)
        late = (f"{found['p50_ms']:.0f}", f"{found['p95_ms']:.0f}") if live else ("-", "-")
        print(
            f"| {'paced live' if live else 'recorded file'} | {found['fps']:.1f} | {late[0]} | {late[1]} "
            f"| {found['dropped']:.0f} | {found['peak_mb']:.0f} "
            f"| {passed.right} of {passed.plates}, {passed.wrong} wrong | {verdict(met)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
