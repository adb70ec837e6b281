/**
 * node:net by hand, with care: one decode and one write for each chunk, and reading stops while the peer does not take
 * the answers. The base of all ratios.
 */
import { type AddressInfo, createServer, type Socket } from "node:net"
import { encode, Lines } from "./lines.ts"

const handle = (line: string): string => line

const serve = (socket: Socket): void => {
  const splitter = new Lines()
  let ready = false

  const onData = (chunk: Buffer): void => {
    const lines = splitter.push(chunk)
    if (lines === undefined) return
    let n = 0
    if (!ready) {
      if (lines[0] !== "You ready?") {
        socket.off("data", onData)
        socket.end("No! Go away!\n")
        return
      }
      ready = true
      lines[n++] = "Bring it!"
    }
    for (; n < lines.length; n++) lines[n] = handle(lines[n])
    if (!socket.write(encode(lines), "utf8")) socket.pause()
  }

  socket.on("data", onData)
  socket.on("drain", () => socket.resume())
  socket.on("error", () => socket.destroy())
}

const server = createServer({ noDelay: true }, serve)
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  console.log(`listening ${(server.address() as AddressInfo).port}`) // it listens on TCP
})
