"""An echo server on asyncio's streams, on a free port of 127.0.0.1, until it is killed."""

import asyncio


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    await server.serve_forever()


asyncio.run(main())
