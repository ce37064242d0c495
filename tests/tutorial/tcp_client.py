"""The tutorial's TCP client, written again.

usage: tcp_client.py HOST PORT [ENCODING]

Each line of standard input is one message; "bye" is the last. What the server answers is printed. Two things differ from the
tutorial: the answer is read before the next message leaves (two messages on their way may be read as one), and the end is the
server's end of the connection, not a second of sleep.
"""

import codecs
import socket
import sys

END_OF_ANSWER = "]收到了!"


def read_answer(connection, decoder):
    """One acknowledgement. TCP keeps no boundaries: it may come in pieces, cut within a character."""
    text = ""
    while not text.endswith(END_OF_ANSWER):
        piece = connection.recv(1024)
        if not piece:
            return None
        text += decoder.decode(piece)
    return text


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    encoding = sys.argv[3] if len(sys.argv) > 3 else "gbk"
    decoder = codecs.getincrementaldecoder(encoding)()
    with socket.create_connection((host, port), timeout=20) as connection:
        for line in sys.stdin:
            message = line.rstrip("\n")
            connection.sendall(message.encode(encoding))
            answer = read_answer(connection, decoder)
            if answer is None:
                print("the server ended")
                return
            print(answer)
            if message == "bye":
                break
        # recv gives nothing once the server has ended its side: the tutorial's note 9, from the client's end.
        print("ended" if connection.recv(1024) == b"" else "more came")


main()
