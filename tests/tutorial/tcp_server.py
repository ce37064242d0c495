"""The tutorial's TCP server, written again: it acknowledges what each client sends, in GBK, with one thread a client.

usage: tcp_server.py [--as-in-the-tutorial]

It prints the port that it listens on. With the flag it makes the tutorial's three mistakes:

1. The handler is called where it should be passed: Thread(target=handle(...)) runs it right there, before there is any thread, so
   nobody else is accepted until this client has said bye.
2. Each read is decoded by itself: a character whose two bytes come in two reads is an error.
3. The end of the client (a read of nothing) is taken for a message, and answered for ever.
"""

import codecs
import socket
import sys
import threading


def acknowledge(text):
    return f"数据[{text}]收到了!".encode("gbk")


def handle(client, peer):
    decoder = codecs.getincrementaldecoder("gbk")()
    with client:
        while True:
            data = client.recv(1024)
            if not data:
                break
            text = decoder.decode(data)
            if not text:
                continue
            print(f"{peer}: {text}")
            client.sendall(acknowledge(text))
            if text == "bye":
                break


def handle_as_in_the_tutorial(client, peer):
    while True:
        data = client.recv(1024)
        text = data.decode("gbk")
        print(f"{peer}: {text}")
        client.send(acknowledge(text))
        if text == "bye":
            break


def main():
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print("listening", listener.getsockname()[1])
        while True:
            client, peer = listener.accept()
            if "--as-in-the-tutorial" in sys.argv:
                try:
                    threading.Thread(target=handle_as_in_the_tutorial(client, peer)).start()
                except Exception as error:
                    print("failed:", type(error).__name__)
            else:
                threading.Thread(target=handle, args=(client, peer), daemon=True).start()


main()
