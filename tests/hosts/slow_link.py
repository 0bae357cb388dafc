"""A slow and lossy link where the kernel has no netem: ``python -m tests.hosts.slow_link``.

It stands between a host's device and the bridge, at which it has a TAP device. Frames pass as they
are, each after its delay, if they are not lost. Both ends carry the kernel's header about checksums
and segments that are still to be made (linux/virtio_net.h), so a frame passes that a network card
would have finished, and a lost one is as much as netem would lose.
"""

import argparse
import asyncio
import fcntl
import os
import random
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.process import dies_with_parent

# linux/if_tun.h, linux/if_packet.h, linux/if_ether.h
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
_CHECKSUMS, _SEGMENTS = 0x01, 0x02
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4
_LARGEST = 128 * 1024
_READY = "ready"


@dataclass(frozen=True, slots=True)
class Link:
    """What a link does to each frame, in each direction.

    Attributes:
        delay: milliseconds.
        jitter: milliseconds by which that is more or less.
        loss: share of the frames that are lost.
    """

    delay: int
    jitter: int
    loss: float

    def netem(self) -> tuple[str, ...]:
        """Return the same as arguments of ``tc qdisc``."""
        return ("netem", "delay", f"{self.delay}ms", f"{self.jitter}ms", "loss", f"{self.loss:.2%}")


@contextmanager
def running(device: str, link: Link) -> Iterator[str]:
    """Relay between ``device`` and a new TAP device through the block, and yield that one's name.

    Raises:
        OSError: it could not be started.
    """
    tap = f"slow-{device}"
    arguments = (device, tap, str(link.delay), str(link.jitter), str(link.loss))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hosts.slow_link", *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it is short
    ) as relay:
        try:
            assert relay.stdout is not None
            if relay.stdout.readline().strip() != _READY:
                raise OSError(f"the relay of {device} does not run")
            yield tap
        finally:
            relay.kill()


def _open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), _TAP | _NO_PI | _VNET_HDR)
    fcntl.ioctl(tap, _TUNSETIFF, request)
    fcntl.ioctl(tap, _TUNSETOFFLOAD, _CHECKSUMS | _SEGMENTS)
    return tap


def _open_device(name: str) -> socket.socket:
    device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    device.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    device.bind((name, _ETH_P_ALL))
    device.setblocking(False)  # noqa: FBT003 - the socket's own method
    return device


async def _relay(device: socket.socket, tap: int, link: Link) -> None:
    loop = asyncio.get_running_loop()
    source = random.Random(8)

    def later(frame: bytes, send: Callable[[bytes], object]) -> None:
        if source.random() >= link.loss:
            wait = source.uniform(link.delay - link.jitter, link.delay + link.jitter) / 1000
            loop.call_later(wait, _send, send, frame)

    def from_device() -> None:
        frame, origin = device.recvfrom(_LARGEST)
        if origin[2] != _PACKET_OUTGOING:
            later(frame, lambda data: os.write(tap, data))

    loop.add_reader(device, from_device)
    loop.add_reader(tap, lambda: later(os.read(tap, _LARGEST), device.send))
    sys.stdout.write(f"{_READY}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _send(send: Callable[[bytes], object], frame: bytes) -> None:
    with suppress(OSError):  # a full buffer, or a device that is down: one more is lost
        send(frame)


def main() -> None:
    """Relay until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.slow_link")
    parser.add_argument("device")
    parser.add_argument("tap")
    parser.add_argument("delay", type=int)
    parser.add_argument("jitter", type=int)
    parser.add_argument("loss", type=float)
    chosen = parser.parse_args()
    link = Link(chosen.delay, chosen.jitter, chosen.loss)
    asyncio.run(_relay(_open_device(chosen.device), _open_tap(chosen.tap), link))


if __name__ == "__main__":
    main()
