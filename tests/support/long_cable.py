"""A piece of cable between two devices: carries every frame to the other one, each after a time of its own.

    long_cable.py LEFT RIGHT DELAY_US JITTER_US

A frame takes DELAY_US and up to JITTER_US more, at random from a fixed seed, so that some overtake others. Ends at a line on its standard
input, and then says how many frames it carried and how many of them were overtaken.
"""

import heapq
import random
import select
import socket
import sys
import time

# linux/if_ether.h, linux/if_packet.h
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33


def device(name):
    plug = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    # Checksums and segments are left to the devices, which are none: what is to be done comes with each frame, and goes on with it.
    plug.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    plug.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 * 1024 * 1024)
    plug.bind((name, 0))
    plug.setblocking(False)
    return plug


def main():
    left, right = device(sys.argv[1]), device(sys.argv[2])
    delay, jitter = int(sys.argv[3]) / 1e6, int(sys.argv[4]) / 1e6
    other = {left: right, right: left}
    chance = random.Random(27)
    under_way, number, carried, overtaken = [], 0, 0, 0
    latest = {left: 0, right: 0}
    print("ready", flush=True)
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([left, right, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            break
        for plug in readable:
            for _ in range(64):
                try:
                    frame, address = plug.recvfrom(128 * 1024)
                except BlockingIOError:
                    break
                except OSError:
                    # The networks are gone, and the device with them.
                    return
                if address[2] != PACKET_OUTGOING:
                    number += 1
                    due = time.monotonic() + delay + chance.uniform(0, jitter)
                    heapq.heappush(under_way, (due, number, other[plug], frame))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, place, plug, frame = heapq.heappop(under_way)
            try:
                plug.send(frame)
            except OSError:
                # The device is down or its queue is full: a cable loses that.
                continue
            carried += 1
            overtaken += place < latest[plug]
            latest[plug] = max(latest[plug], place)
    print(carried, overtaken, flush=True)


main()
