"""The script that people write by hand: OpenCV reads, ONNX Runtime infers, numpy decodes, a tracker follows.

It is the other side of benchmarks/road.py, written as a fair user of these libraries would: one session with two
threads, candidates thresholded before anything else is computed, OpenCV's own batched suppression, JSON lines out.

    python by_hand.py MODEL.onnx CLIP.mp4 OUT.jsonl
"""

import json
import resource
import sys
import time

import cv2
import numpy as np
import onnxruntime
import supervision
from trackers import ByteTrackTracker

SIZE, FLOOR, OVERLAP = 416, 0.1, 0.45


def grids() -> tuple[np.ndarray, np.ndarray]:
    """Cell corners and strides of YOLOX's three maps."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        side = SIZE // stride
        y, x = np.mgrid[:side, :side]
        cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def main() -> None:
    """Read, infer, follow, write; print frames, seconds, objects and peak memory."""
    model, clip, out = sys.argv[1:4]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    cells, strides = grids()
    capture = cv2.VideoCapture(clip)
    tracker = ByteTrackTracker(frame_rate=capture.get(cv2.CAP_PROP_FPS))
    canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
    frames = objects = 0
    began_s = time.perf_counter()
    with open(out, "w", encoding="utf-8") as lines:
        while True:
            ok, picture = capture.read()
            if not ok:
                break
            height, width = picture.shape[:2]
            ratio = min(SIZE / height, SIZE / width)
            scaled = cv2.resize(picture, (int(width * ratio), int(height * ratio)))
            canvas[: scaled.shape[0], : scaled.shape[1]] = scaled
            batch = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)
            raw = session.run(None, {name: batch})[0][0]
            scores = raw[:, 4:5] * raw[:, 5:]
            best = scores.max(axis=1)
            rows = np.flatnonzero(best > FLOOR)
            centre = (raw[rows, :2] + cells[rows]) * strides[rows] / ratio
            size = np.exp(raw[rows, 2:4]) * strides[rows] / ratio
            boxes = np.concatenate([centre - size / 2, size], axis=1)
            classes = scores[rows].argmax(axis=1)
            keep = cv2.dnn.NMSBoxesBatched(boxes, best[rows], classes, FLOOR, OVERLAP) if len(rows) else []
            keep = np.array(keep, np.int64)
            xyxy = np.concatenate([boxes[keep, :2], boxes[keep, :2] + boxes[keep, 2:]], axis=1).reshape(-1, 4)
            found = supervision.Detections(xyxy, confidence=best[rows][keep], class_id=classes[keep])
            found = tracker.update(found)
            shown = found[found.confidence >= 0.25]
            objects += len(shown)
            ids = shown.tracker_id if shown.tracker_id is not None else [-1] * len(shown)
            record = [
                {"track_id": int(track), "class_id": int(kind), "score": float(score), "xyxy": box.tolist()}
                for box, score, kind, track in zip(shown.xyxy, shown.confidence, shown.class_id, ids, strict=True)
            ]
            lines.write(json.dumps({"frame": frames, "objects": record}) + "\n")
            frames += 1
    seconds = time.perf_counter() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"frames": frames, "seconds": seconds, "objects": objects, "peak_mb": peak_mb}))


main()
