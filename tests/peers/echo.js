// An echo server on Node's streams, on a free port of 127.0.0.1, until it is killed.
const net = require("node:net");

net.createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
}).listen(0, "127.0.0.1");
