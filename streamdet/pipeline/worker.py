"""The threads that run an engine: each with a session of its own, replaced when it is stuck."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from streamdet.errors import InferenceFailed, StreamdetError
from streamdet.infer.contract import Detector, DetectorOnGpus, DetectorWorker, least_deadline_s
from streamdet.metrics import Meter
from streamdet.pipeline.backoff import Backoff
from streamdet.pipeline.batcher import Batcher, Wanted
from streamdet.pipeline.clock import Clock
from streamdet.pipeline.gpus import Gpus
from streamdet.pipeline.lane import Ticket
from streamdet.plates.reader import Reader, ReaderWorker

if TYPE_CHECKING:
    from streamdet.pipeline.desk import Desk

log = logging.getLogger(__name__)

Batch = list[tuple[Any, int]]  # a detector's tickets, or a reader's errands, and which of their stations this is

_STARTS = 5  # failed starts in a row, after which an engine is given up


class Worker(Wanted):
    """One thread, one session: takes a batch, detects, brings the answers to their lanes."""

    def __init__(self, crew: Crew, number: int, threads: int, gpu: int | None) -> None:
        self._crew = crew
        self.gpu = gpu
        self._threads = threads
        self._lock = threading.Lock()
        self._batch: Batch | None = None
        self._since_s = 0.0
        self.gone = False
        self.stuck = False
        self.thread = threading.Thread(target=self._run, name=f"detect:{crew.detector.name}:{number}", daemon=True)

    def overdue(self, now_s: float, deadline_s: float) -> Batch | None:
        """Give this worker up if its batch has been running for too long; the batch then belongs to the caller."""
        with self._lock:
            if self._batch is None or now_s - self._since_s <= deadline_s:
                return None
            batch, self._batch = self._batch, None
            self.gone = self.stuck = True
            return batch

    def _claim(self) -> bool:
        """The batch's answers are still wanted."""
        with self._lock:
            wanted = self._batch is not None
            self._batch = None
            return wanted

    def _run(self) -> None:
        crew = self._crew
        backoff = Backoff(cap_s=5.0)
        session: DetectorWorker | ReaderWorker | None = None
        while True:
            if session is None:
                session = self._open()
                if session is None:
                    if not crew.pause(self, backoff.next_s()):
                        return
                    continue
            batch = crew.batcher.take(self)
            if batch is None:
                break
            crew.share(batch)
            if self._detect(session, batch):
                backoff = Backoff(cap_s=5.0)
            else:
                self._dismiss(session)
                session = None
        self._dismiss(session)

    def _open(self) -> DetectorWorker | ReaderWorker | None:
        try:
            session = self._crew.open(self._threads, self.gpu)
        except Exception as error:  # noqa: BLE001 - an engine that does not start is tried again, then given up
            self._crew.failed(error, self.gpu, starting=True)
            return None
        self._crew.started(self.gpu)
        return session

    def _detect(self, session: DetectorWorker | ReaderWorker, batch: Batch) -> bool:
        with self._lock:
            self._batch, self._since_s = batch, self._crew.clock.now()
        try:
            answers = self._crew.ask(session, batch)
            if len(answers) != len(batch):
                raise ValueError(f"{len(answers)} answers to {len(batch)} frames")
        except Exception as error:  # noqa: BLE001 - whatever an engine raises costs this batch alone
            self._crew.failed(error, self.gpu)
            if self._claim():
                for ticket, position in batch:
                    self._crew.give(ticket, position, None, "inference_failed")
            return False
        if self._claim():
            self._crew.gpus.answered(self.gpu, len(batch), self._crew.clock.now() - self._since_s)
            for (ticket, position), found in zip(batch, answers, strict=True):
                self._crew.give(ticket, position, found)
        return True

    def _dismiss(self, session: DetectorWorker | ReaderWorker | None) -> None:
        if session is not None:
            try:
                session.close()
            except Exception as error:  # noqa: BLE001 - it is gone either way, and said so
                self._crew.failed(error, self.gpu)


class Crew:
    """The workers of one engine. `resize` says how many and how wide; `watch` replaces the stuck ones.

    On several GPUs each has so many workers; one that is put out of service loses its own.
    """

    def __init__(
        self,
        detector: Detector | Reader,
        batcher: Batcher | Desk,
        clock: Clock,
        meter: Meter,
        *,
        push: Callable[[Ticket], None],
        on_hopeless: Callable[[StreamdetError], None],
    ) -> None:
        self.detector = detector
        self.batcher = batcher
        self.clock = clock
        self.gpus = Gpus(getattr(detector, "gpus", ()), detector.name, meter)
        self._push = push
        self._on_hopeless = on_hopeless
        self._failed_starts: Counter[int | None] = Counter()  # by GPU
        self.ready = False  # a session has come up
        self._workers: list[Worker] = []
        self._retired: list[Worker] = []
        self._hired = 0
        self._plan = (0, 0)
        self._condition = threading.Condition()
        self._closing = False
        self._failed_total = meter.inference_failures.labels(detector.name, "failed")
        self._deadline_total = meter.inference_failures.labels(detector.name, "deadline")
        self._truncated_total = meter.nms_truncated.labels(detector.name)

    def resize(self, workers: int, threads: int) -> None:
        """So many workers on each GPU, with sessions of so many threads; others leave after their batch."""
        with self._condition:
            if (workers, threads) == self._plan:
                return
            self._plan = (workers, threads)
            for worker in self._workers:
                worker.gone = True
            self._retired += self._workers
            gpus = self.gpus.in_service
            self._workers = [self._hire(gpu) for gpu in gpus or (None,) for _ in range(workers)]
            self._condition.notify_all()
        self.batcher.serve(gpus)

    def staff(self, cores: int, *, single_live: bool) -> None:
        """How many sessions, and how wide. On a CPU a batch gains nothing: many one-thread sessions where frames wait
        in numbers, one session of all cores where a single live stream wants its answer soon. On a GPU two sessions,
        so that one copies while the other computes. What looks at no pixels is done before a second one has woken."""
        detector = cast(Detector, self.detector)
        if not detector.needs_picture:
            self.resize(1, 1)
        elif detector.device != "cpu":
            self.resize(2, 1)
        elif single_live:
            self.resize(1, cores)
        else:
            self.resize(cores, 1)

    def open(self, threads: int, gpu: int | None) -> DetectorWorker | ReaderWorker:
        """A session for one worker."""
        if gpu is None:
            return self.detector.worker(threads)
        return cast(DetectorOnGpus, self.detector).worker(threads, gpu)

    @property
    def takes_surfaces(self) -> bool:
        """Pictures had best be decoded on one of the engine's GPUs."""
        return bool(self.gpus.in_service) and cast(DetectorOnGpus, self.detector).takes_surfaces

    def _hire(self, gpu: int | None) -> Worker:
        worker = Worker(self, self._hired, self._plan[1], gpu)
        self._hired += 1
        worker.thread.start()
        return worker

    def watch(self, deadline_s: float) -> None:
        """Called now and then by the supervisor: what runs for too long is abandoned and replaced."""
        now = self.clock.now()
        deadline_s = max(deadline_s, least_deadline_s(self.detector))
        for worker in (*self._workers, *self._retired):
            batch = worker.overdue(now, deadline_s)
            if batch is None:
                continue
            self._deadline_total.inc()
            log.error(
                "engine %s: a session did not answer within %g s; it is abandoned and replaced",
                self.detector.name,
                deadline_s,
            )
            with self._condition:
                if worker in self._workers:
                    self._workers[self._workers.index(worker)] = self._hire(worker.gpu)
                    self._retired.append(worker)
            if self.gpus.failed(worker.gpu):
                self._leave(worker.gpu)
            for ticket, position in batch:
                self.give(ticket, position, None, "inference_deadline")
        with self._condition:
            self._retired = [worker for worker in self._retired if worker.thread.is_alive()]

    def ask(self, session: Any, batch: Batch) -> list[Any]:
        """One answer per ticket."""
        return list(session.detect([ticket.frame for ticket, _ in batch]))

    def give(self, ticket: Any, position: int, found: Any, reason: str | None = None) -> None:
        """Bring an answer to its lane, None where there is none."""
        if found is not None and found.truncated:
            self._truncated_total.inc()
        ticket.lane.answer(ticket, position, found, reason)

    def share(self, batch: Batch) -> None:
        """Frames that further detectors shall see too."""
        for ticket, position in batch:
            if position == 0:
                self._push(ticket)

    def failed(self, error: Exception, gpu: int | None = None, *, starting: bool = False) -> None:
        """Count and say it; an engine that has not started a few times in a row is hopeless."""
        self._failed_total.inc()
        failure = (
            error
            if isinstance(error, StreamdetError)
            else InferenceFailed(f"engine {self.detector.name} failed: {type(error).__name__}: {error}")
        )
        log.error("engine %s: %s", self.detector.name, failure.line, extra={"cause": f"engine:{self.detector.name}"})
        log.debug("engine %s", self.detector.name, exc_info=error)
        if self.gpus.failed(gpu):
            self._leave(gpu)
        elif starting:
            self._failed_starts[gpu] += 1
            if self._failed_starts[gpu] >= _STARTS and len(self.gpus.in_service) < 2:
                self._on_hopeless(failure)

    def _leave(self, gpu: int | None) -> None:
        """A GPU is out of service: its workers go, and the others take what is its."""
        left = self.gpus.in_service
        log.error(
            "engine %s: GPU %s fails again and again and is out of service; its streams go to GPU %s",
            self.detector.name,
            gpu,
            ", ".join(map(str, left)),
            extra={"cause": f"gpu:{gpu}"},
        )
        with self._condition:
            gone = [worker for worker in self._workers if worker.gpu == gpu]
            for worker in gone:
                worker.gone = True
            self._workers = [worker for worker in self._workers if worker.gpu != gpu]
            self._retired += gone
            self._condition.notify_all()
        self.batcher.serve(left)

    def started(self, gpu: int | None) -> None:
        """A session came up."""
        self._failed_starts[gpu] = 0
        self.ready = True

    def pause(self, worker: Worker, wait_s: float) -> bool:
        """Wait before another try; False where the worker is not needed any more."""
        until = self.clock.now() + wait_s
        with self._condition:
            while not worker.gone and not self._closing:
                left_s = until - self.clock.now()
                if left_s <= 0:
                    return True
                self.clock.wait(self._condition, left_s)
            return False

    def close(self) -> None:
        """Workers leave once nothing waits for them; does not wait."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self.batcher.close()

    @property
    def threads(self) -> list[threading.Thread]:
        """Those still alive, stuck ones apart."""
        return [
            worker.thread
            for worker in (*self._workers, *self._retired)
            if worker.thread.is_alive() and not worker.stuck
        ]

    @property
    def stuck(self) -> int:
        """Threads that never came back from native code."""
        return sum(worker.stuck and worker.thread.is_alive() for worker in (*self._workers, *self._retired))
