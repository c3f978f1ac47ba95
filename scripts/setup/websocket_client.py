"""Sends one message over a WebSocket and prints the echo: websocket_client.py URL."""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1], proxy=None, open_timeout=10, close_timeout=10) as socket:
    socket.send("hello through the gateway")
    print("echoed:", socket.recv(timeout=10))
