"""The whole road against the script that people write by hand, in turns within one run.

    python benchmarks/road.py MODEL.onnx --engine ENGINE --peer-python PEER/bin/python [--streams 1 4] [--rounds 3]

MODEL.onnx is YOLOX-Nano as its authors export it, ENGINE the same network imported (`streamdet engine import`). PEER is
a virtual environment of its own with `trackers onnxruntime opencv-python-headless`. The clip is 1080p H.264, made from
a video of your own (--video) or a test card. Several streams are compared with as many scripts side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

BY_HAND = Path(__file__).with_name("by_hand.py")
OURS = """
import json, resource, sys, time
from streamdet.config.assemble import assemble
from streamdet.config.flags import Flags
from streamdet.config.validation import read_options
engine, backend, precision, clip, out, streams = sys.argv[1:7]
values = {
    "streams": {f"s{number}": {"source": clip} for number in range(int(streams))},
    "detect": {"engine": engine, "backend": backend, "precision": precision or None},
    "score": 0.25,
    "sinks": [{"kind": "jsonl", "path": out, "existing": "replace"}],
}
pipeline = assemble(read_options(None, lambda _: values))
began_s = time.perf_counter()
report = pipeline.run()
seconds = time.perf_counter() - began_s
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
objects = int(sum(pipeline.meter.value("streamdet_detections_total", stream=f"s{n}") for n in range(int(streams))))
frames = sum(status.emitted for status in report.streams)
print(json.dumps({"frames": frames, "seconds": seconds, "objects": objects, "peak_mb": peak_mb}))
"""


def main() -> None:
    """Print the table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", type=Path)
    words.add_argument("--engine", required=True)
    words.add_argument("--backend", default="auto")
    words.add_argument("--precision", default="")
    words.add_argument("--peer-python", default=sys.executable)
    words.add_argument("--video", type=Path)
    words.add_argument("--streams", type=int, nargs="+", default=[1, 4])
    words.add_argument("--rounds", type=int, default=3)
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "clip.mp4", chosen.video)
        print(
            f"{len(os.sched_getaffinity(0))} cores; medians of {chosen.rounds} rounds; fps are of all streams together"
        )
        print(
            f"{'streams':>7} {'by hand':>9} {'streamdet':>10} {'ratio':>6} "
            f"{'MB':>6} {'MB':>6} {'objects':>8} {'objects':>8}"
        )
        for streams in chosen.streams:
            compare(chosen, clip, Path(folder), streams)


def compare(chosen: argparse.Namespace, clip: Path, folder: Path, streams: int) -> None:
    """One line of the table."""
    hand: list[dict[str, float]] = []
    ours: list[dict[str, float]] = []
    for _ in range(chosen.rounds):
        hand.append(
            together(
                [
                    [chosen.peer_python, str(BY_HAND), str(chosen.model), str(clip), str(folder / f"{n}.jsonl")]
                    for n in range(streams)
                ]
            )
        )
        command = [sys.executable, "-c", OURS, chosen.engine, chosen.backend, chosen.precision, str(clip)]
        ours.append(together([[*command, str(folder / "ours.jsonl"), str(streams)]]))
    ratio = statistics.median(one["fps"] / other["fps"] for one, other in zip(ours, hand, strict=True))
    theirs, mine = (
        {key: statistics.median(each[key] for each in runs) for key in ("fps", "peak_mb", "objects")}
        for runs in (hand, ours)
    )
    print(
        f"{streams:>7} {theirs['fps']:>9.1f} {mine['fps']:>10.1f} {ratio:>6.2f} {theirs['peak_mb']:>6.0f} "
        f"{mine['peak_mb']:>6.0f} {theirs['objects']:>8.0f} {mine['objects']:>8.0f}",
        flush=True,
    )


def together(commands: list[list[str]]) -> dict[str, float]:
    """Run side by side; frames of all over the seconds of the slowest, memory of all added up."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for command in commands]
    told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    return {
        "fps": sum(each["frames"] for each in told) / max(each["seconds"] for each in told),
        "peak_mb": sum(each["peak_mb"] for each in told),
        "objects": sum(each["objects"] for each in told),
    }


def make_clip(path: Path, video: Path | None, frames: int = 500) -> Path:
    """1080p at 25 fps, as an average camera encodes it."""
    import av

    opened = av.open(str(video)) if video else av.open("testsrc2=size=1920x1080:rate=25:duration=20", format="lavfi")
    with opened as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "b": "2M"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == frames:
                break
            frame = frame.reformat(1920, 1080, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.pict_type = 0
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return path


main()
