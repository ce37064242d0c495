"""An echo server on a port of 127.0.0.1 that has the faults that it is told to have."""

import argparse
import os
import signal
import socketserver
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--delay", type=float, default=0, help="seconds before each reply")
parser.add_argument("--silent", action="store_true", help="never reply")
parser.add_argument("--wrong-after", type=int, help="spoil each reply after so many")
parser.add_argument("--exit-after", type=int, help="end with exit code 7 after so many replies")
parser.add_argument("--chatter", type=int, default=0, help="bytes written to standard output before each reply")
parser.add_argument("--child", action="store_true", help="have a child that does nothing")
parser.add_argument("--ignore-term", action="store_true")
parser.add_argument("--pids", help="a file to which each process adds its id")
args = parser.parse_args()

if args.ignore_term:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

pids = [os.getpid()]
if args.child:
    # It inherits an ignored SIGTERM.
    pids.append(subprocess.Popen(["sleep", "1000"]).pid)

replies = 0


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        global replies
        while data := self.request.recv(65536):
            if args.silent:
                continue
            if args.exit_after is not None and replies >= args.exit_after:
                print("\x1b[31mgiving up", file=sys.stderr, flush=True)
                os._exit(7)
            if args.wrong_after is not None and replies >= args.wrong_after:
                data = data[:-1] + b"!"
            if args.chatter:
                print("x" * args.chatter, flush=True)
            time.sleep(args.delay)
            replies += 1
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


with Server(("127.0.0.1", args.port), Echo) as server:
    if args.pids:
        with open(args.pids, "a") as file:
            file.write("".join(f"{pid}\n" for pid in pids))
    server.serve_forever()
