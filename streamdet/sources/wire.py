"""What an isolated source and its child say to each other: one JSON object a datagram, a descriptor where needed.

    child → parent   ready                                     its imports are done
    parent → child   source  {name, uri, options}              what to open
    child → parent   opened  {live, duration_s}
                     ring    {ring, slots, size} + descriptor  memory for pictures from here on
                     frame   {ring, slot, generation, …}       a picture, leased to the parent
                     alive   {suspects, dropped}               frames come, and no slot is free for them
                     end | lost {cause, what, …}               the last word
    parent → child   done    {ring, slot, generation}          a lease has ended

Pixels never pass here, and neither do credentials pass through a command line or the environment.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LARGEST = 1 << 16
_DESCRIPTOR = struct.Struct("i")


def send(link: socket.socket, kind: str, descriptor: int | None = None, /, **fields: Any) -> None:
    """One message; blocks only as long as the other side does not read."""
    text = json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode()
    rights = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(descriptor))]
    link.sendmsg([text], rights, socket.MSG_NOSIGNAL)


def receive(link: socket.socket, *, wait: bool = True) -> tuple[dict[str, Any], int | None] | None:
    """The next message and its descriptor, if one came; None once the other side has closed.

    Without `wait` an empty queue raises BlockingIOError.
    """
    flags = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
    # Not socket.recv_fds: on Python 3.11 it forgets the flags.
    text, rights, _, _ = link.recvmsg(_LARGEST, socket.CMSG_SPACE(_DESCRIPTOR.size), flags)
    if not text:
        return None
    descriptor = _DESCRIPTOR.unpack(rights[0][2])[0] if rights else None
    return json.loads(text), descriptor
