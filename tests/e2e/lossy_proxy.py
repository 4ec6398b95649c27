"""A proxy between clients and a runtime that harms some of the frames."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

import zmq


class LossyProxy:
    """Listens at `address`; of a fraction `rate` of all frames each way one is dropped, doubled,
    delayed by up to 50 ms, swapped with the next one or cut. What it did is in `harm`."""

    def __init__(self, runtime: str, folder: Path, rate: float, seed: int) -> None:
        self.address = f"ipc://{folder}/proxy"
        self.harm: Counter[str] = Counter()
        self.rate = rate
        self._rng = random.Random(seed)
        self._runtime = runtime
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.SNDHWM, 0)
        self._router.bind(self.address)
        self._dealers: dict[bytes, zmq.Socket[bytes]] = {}
        self._late: list[tuple[float, zmq.Socket[bytes], list[bytes]]] = []
        self._held: dict[zmq.Socket[bytes], list[bytes]] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped = True
        self._thread.join(60)
        self._context.destroy(linger=0)

    def _main(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        while not self._stopped:
            ready = dict(poller.poll(5))
            if self._router in ready:
                client, *frames = self._router.recv_multipart()
                if client not in self._dealers:
                    dealer = self._context.socket(zmq.DEALER)
                    dealer.connect(self._runtime)
                    poller.register(dealer, zmq.POLLIN)
                    self._dealers[client] = dealer
                for frame in frames:
                    self._pass(self._dealers[client], [frame])
            for client, dealer in self._dealers.items():
                if dealer in ready:
                    self._pass(self._router, [client, dealer.recv()])
            now_s = time.monotonic()
            for entry in [entry for entry in self._late if entry[0] <= now_s]:
                self._late.remove(entry)
                entry[1].send_multipart(entry[2])
            if not ready:
                for target in list(self._held):
                    target.send_multipart(self._held.pop(target))

    def _pass(self, target: zmq.Socket[bytes], frames: list[bytes]) -> None:
        held = self._held.pop(target, None)
        if self._rng.random() >= self.rate:
            target.send_multipart(frames)
        else:
            what = self._rng.choice(["drop", "double", "delay", "swap", "cut"])
            self.harm[what] += 1
            match what:
                case "double":
                    target.send_multipart(frames)
                    target.send_multipart(frames)
                case "delay":
                    late_s = time.monotonic() + self._rng.random() * 0.05
                    self._late.append((late_s, target, frames))
                case "swap":
                    self._held[target] = frames
                case "cut":
                    *before, frame = frames
                    target.send_multipart([*before, frame[: self._rng.randrange(len(frame))]])
        if held is not None:
            target.send_multipart(held)
