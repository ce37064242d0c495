"""The tutorial's UDP receiver, written again: it prints what comes, and ends at "bye", whoever says it.

usage: udp_receiver.py

It prints the port that it receives on first.
"""

import socket


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        print("listening", receiver.getsockname()[1])
        while True:
            data, sender = receiver.recvfrom(65535)
            text = data.decode("utf-8", errors="replace")
            print(f"from {sender[0]}:{sender[1]}: {text}")
            if text == "bye":
                receiver.sendto(b"bye", sender)
                break


main()
