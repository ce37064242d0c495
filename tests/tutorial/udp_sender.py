"""The tutorial's UDP sender, written again.

usage: udp_sender.py HOST PORT

Each line of standard input is one datagram in UTF-8; "bye" is the last, and unlike the tutorial's this one waits for its answer.
"""

import socket
import sys


def main():
    address = (sys.argv[1], int(sys.argv[2]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20)
        for line in sys.stdin:
            message = line.rstrip("\n")
            sender.sendto(message.encode("utf-8"), address)
            if message == "bye":
                answer, source = sender.recvfrom(1024)
                print(answer.decode("utf-8"), "from the server" if source == address else f"from {source}")
                break


main()
