"""Every source keeps the contract of sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.sources import catalogue
from streamdet.sources.contract import Source
from streamdet.sources.options import SourceOptions
from streamdet.testing import SyntheticSource, check_source

Make = Callable[[], Source]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import av

    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open("testsrc2=size=96x64:rate=25:duration=1", format="lavfi") as card, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in card.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((32, 48, 3), number * 20, np.uint8))
    return folder


def test_a_video_file_keeps_the_contract(clip: Path) -> None:
    check_source(lambda: catalogue.make_source("s", str(clip)))


def test_a_looped_file_keeps_the_contract(clip: Path) -> None:
    source = catalogue.make_source("s", str(clip), SourceOptions(loop=True))
    source.open()
    epochs = []
    for _ in range(60):
        frame = source.read()
        epochs.append(frame.epoch)
        frame.picture.release()
    source.close()
    assert [0] * 25 + [1] * 25 + [2] * 10 == epochs


def test_an_isolated_file_keeps_the_contract(clip: Path) -> None:
    check_source(lambda: catalogue.make_source("s", str(clip), SourceOptions(isolate=True)))


def test_a_folder_of_pictures_keeps_the_contract(pictures: Path) -> None:
    source = catalogue.make_source("s", str(pictures), SourceOptions(sequence=True, fps=5))
    check_source(lambda: source)


@pytest.mark.parametrize("scene", ["plates?duration=1&size=320x180", "bars?duration=1"])
def test_a_rendered_scene_keeps_the_contract(scene: str) -> None:
    check_source(lambda: catalogue.make_source("s", f"synthetic:{scene}"))


def test_the_kits_own_source_keeps_the_contract() -> None:
    class Rewound(SyntheticSource):
        def open(self) -> None:
            super().open()
            self._next = 0

    check_source(lambda: Rewound(frames=10))


def test_every_kind_of_the_catalogue_has_a_row_here() -> None:
    # rtsp, rtsps, http and https stand in tests/integration, with real servers; a camera needs a device
    assert {"", "file", "synthetic", "camera", "rtsp", "rtsps", "http", "https"} == set(catalogue._TABLE)
